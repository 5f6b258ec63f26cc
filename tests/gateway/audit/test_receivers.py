"""What receivers are sent: events in syslog's form and in OTLP's, graded and confirmed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.entry import Kind
from gateway.audit.forward import Forwarded, ForwardFailed
from gateway.audit.receivers import OtlpReceiver, SyslogReceiver, otlp_logs, severity_of
from tests.certificates import make_certificate_in
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
            "localhost", listener.port, ca_file=trusted(certificate, tmp_path)
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
            OtlpReceiver(collector.url, ca_file=None).probe()
        receiver = OtlpReceiver(collector.url, ca_file=trusted(certificate, tmp_path))
        receiver.probe()
        assert collector.received.messages == []
        assert receiver.deliver([an_event()]).rejected == 0
        assert collector.received.indices == {7}
        assert collector.media_types == {"application/json"}


def test_what_a_collector_does_not_take_is_not_confirmed() -> None:
    """Any status but 200 is a failure; what it refuses for good is counted."""
    with otlp_collector() as collector:
        receiver = OtlpReceiver(collector.url, ca_file=None)
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
        SyslogReceiver("localhost", port, ca_file=None),
        OtlpReceiver(f"http://127.0.0.1:{port}/v1/logs", ca_file=None),
        OtlpReceiver(f"https://127.0.0.1:{port}/v1/logs", ca_file=missing),
    ):
        with pytest.raises(ForwardFailed) as failure:
            receiver.deliver([an_event()])
        assert str(port) not in str(failure.value)
