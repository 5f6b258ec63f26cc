"""What receivers are sent: events in syslog's form and in OTLP's, graded and confirmed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.secrets import SecretReference, SecretStore
from connectors.tls import ClientCertificate, Trust
from gateway.audit.entry import Kind
from gateway.audit.exports.forward import Forwarded, ForwardFailed
from gateway.audit.exports.receivers import OtlpReceiver, SyslogReceiver, otlp_logs, severity_of
from tests.certificates import Certificate, make_certificate_in
from tests.gateway.audit.records import ORIGIN
from tests.running import free_port
from tests.siem import otlp_collector, parsed, plain, syslog_listener, trusted

BODY = {
    "metadata": {"sequence": 7, "uid": "0190"},
    "status_id": 2,
    "shown": True,
    "unmapped": {"article6": ["e", "c"], "none": None},
}


def an_event(*, alert: bool = False, refused: bool = False) -> Forwarded:
    """Return an event."""
    return Forwarded(
        uid="0190", kind=Kind.DENY, at_us=1_790_000_000_123_456, alert=alert, refused=refused,
        origin=ORIGIN, body=BODY,
    )  # fmt: skip


def test_alerts_and_refusals_stand_out() -> None:
    """A receiver can tell them by the severity alone."""
    assert severity_of(an_event()) == 6
    assert severity_of(an_event(refused=True)) == 5
    assert severity_of(an_event(alert=True, refused=True)) == 4


def test_a_syslog_message_is_the_event(tmp_path: Path) -> None:
    """Time, host and kind of the record in the header, the event as JSON behind it."""
    certificate = make_certificate_in(tmp_path)
    with syslog_listener(certificate) as listener:
        receiver = SyslogReceiver(
            "localhost", listener.port, trust=Trust(ca_file=trusted(certificate, tmp_path))
        )
        receiver.probe()
        assert receiver.deliver([an_event(refused=True)]).octets > 0
        listener.received.wait_for({7})
        receiver.close()
    (message,) = listener.received.messages
    fields = parsed(message)

    assert fields["host"] == "gateway.dept-a.example"
    assert (fields["pri"], fields["app"], fields["msgid"]) == ("109", "concordat", "decision.deny")
    assert fields["time"] == "2026-09-21T14:13:20.123456+00:00"
    assert json.loads(fields["msg"]) == BODY


def test_an_otlp_record_is_the_event() -> None:
    """OTLP's JSON: 64-bit numbers as text, the event as a map, identity in an attribute."""
    request: Any = otlp_logs([an_event(alert=True)])
    (record,) = request["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    attributes = {one["key"]: plain(one["value"]) for one in record["attributes"]}

    assert record["timeUnixNano"] == "1790000000123456000"
    assert (record["severityNumber"], record["severityText"]) == (13, "WARN")
    assert record["eventName"] == "decision.deny"
    assert plain(record["body"]) == BODY
    assert attributes == {"log.record.uid": "0190", "concordat.log.origin": ORIGIN}


def test_a_collector_is_verified_and_confirms(tmp_path: Path) -> None:
    """Over TLS by the file of authorities, and not without it."""
    certificate = make_certificate_in(tmp_path)
    with otlp_collector(certificate=certificate) as collector:
        with pytest.raises(ForwardFailed):
            OtlpReceiver(collector.url, trust=Trust()).probe()
        receiver = OtlpReceiver(collector.url, trust=Trust(ca_file=trusted(certificate, tmp_path)))
        receiver.probe()
        assert collector.received.messages == []
        assert receiver.deliver([an_event()]).rejected == 0
        assert collector.received.indices == {7}
        assert collector.media_types == {"application/json"}


def test_what_a_collector_does_not_take_is_not_confirmed() -> None:
    """Any status but 200 is a failure; what it refuses for good is counted."""
    with otlp_collector() as collector:
        receiver = OtlpReceiver(collector.url, trust=Trust())
        for status in (202, 400, 429, 503):
            collector.statuses.append(status)
            with pytest.raises(ForwardFailed, match=str(status)):
                receiver.deliver([an_event()])
        collector.answer = {"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "no"}}
        assert receiver.deliver([an_event()]).rejected == 1
        for number in (b'"many"', b"-1", b"1e400", b"[]", b'"%d"' % (1 << 63), b"9" * 4_000):
            collector.answer = b'{"partialSuccess":{"rejectedLogRecords":%b}}' % number
            with pytest.raises(ForwardFailed, match="cannot be read"):
                receiver.deliver([an_event()])
        for answer in (b"[" * 100_000, b'{"a":1,"a":2}', b"\xff", b" " * (2 << 20)):
            collector.answer = answer
            with pytest.raises(ForwardFailed, match=r"not strict JSON|larger than"):
                receiver.deliver([an_event()])
    with pytest.raises(ForwardFailed):
        receiver.deliver([an_event()])


def test_a_receiver_that_is_not_there_is_told_in_a_phrase(tmp_path: Path) -> None:
    """Without the address, and without anything that was to be sent."""
    port = free_port()
    missing = tmp_path / "none.pem"
    for receiver in (
        SyslogReceiver("localhost", port, trust=Trust()),
        OtlpReceiver(f"http://127.0.0.1:{port}/v1/logs", trust=Trust()),
        OtlpReceiver(f"https://127.0.0.1:{port}/v1/logs", trust=Trust(ca_file=missing)),
    ):
        with pytest.raises(ForwardFailed) as failure:
            receiver.deliver([an_event()])
        assert str(port) not in str(failure.value)


def client_in(directory: Path) -> tuple[Certificate, ClientCertificate, SecretStore]:
    """Make the gateway's certificate, and the store where it and a token lie."""
    certificate = make_certificate_in(directory, "gateway.dept-a.example")
    certificate.path.chmod(0o600)
    (directory / "token").write_text("abc.DEF-123==\n")
    (directory / "token").chmod(0o600)
    reference = SecretReference(source="file", name=certificate.path.name)
    shown = ClientCertificate(certificate=reference, key=reference)
    return certificate, shown, SecretStore(directory=directory)


def test_receivers_that_ask_for_a_certificate_are_shown_one(tmp_path: Path) -> None:
    """RFC 5425, section 4.2: both sides may verify each other; without one nothing is taken."""
    certificate = make_certificate_in(tmp_path)
    client, shown, store = client_in(tmp_path)
    authorities = trusted(certificate, tmp_path)
    nothing = Trust(ca_file=authorities)
    trust = Trust(ca_file=authorities, certificate=shown, store=store)
    with syslog_listener(certificate, client=client) as listener:
        receiver = SyslogReceiver("localhost", listener.port, trust=trust)
        receiver.deliver([an_event()])
        listener.received.wait_for({7})
        receiver.close()
    with otlp_collector(certificate=certificate, client=client) as collector:
        with pytest.raises(ForwardFailed):
            OtlpReceiver(collector.url, trust=nothing).probe()
        OtlpReceiver(collector.url, trust=trust).deliver([an_event()])
        assert collector.received.indices == {7}
        assert collector.credentials == [None]


def test_a_collector_is_given_the_token_as_it_is_now(tmp_path: Path) -> None:
    """RFC 6750: it is read for each request, and what cannot be one is sent to nobody."""
    _, _, store = client_in(tmp_path)
    token = SecretReference(source="file", name="token")
    with otlp_collector() as collector:
        receiver = OtlpReceiver(collector.url, trust=Trust(store=store), token=token)
        receiver.probe()
        (tmp_path / "token").write_text("next")
        receiver.probe()
        assert collector.credentials == ["Bearer abc.DEF-123==", "Bearer next"]
        for bad in ("two words", "a\r\nx-admin: 1", "\u00e9"):
            (tmp_path / "token").write_text(bad)
            with pytest.raises(ForwardFailed, match="file:token is no bearer token") as refused:
                receiver.probe()
            assert bad not in str(refused.value)
        (tmp_path / "token").chmod(0o644)
        with pytest.raises(ForwardFailed, match="others may use file:token"):
            receiver.probe()
        assert len(collector.credentials) == 2


@pytest.mark.parametrize("kind", ["syslog", "otlp"])
def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path, kind: str) -> None:
    """It is named by its reference, and nothing is sent without it."""
    missing = SecretReference(source="file", name="none.pem")
    shown = ClientCertificate(certificate=missing, key=missing)
    trust = Trust(certificate=shown, store=SecretStore(directory=tmp_path))
    receiver = (
        SyslogReceiver("localhost", 9, trust=trust)
        if kind == "syslog"
        else OtlpReceiver("http://127.0.0.1:9/v1/logs", trust=trust)
    )
    with pytest.raises(ForwardFailed, match=r"file:none\.pem cannot be read"):
        receiver.probe()
