"""Syslog over TLS: messages by RFC 5424, frames by RFC 5425, and what is confirmed."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from connectors.syslog import NOTICE, SyslogFailed, SyslogLink, SyslogMessage
from connectors.tls import Trust
from tests.connectors.conftest import Certificate
from tests.running import free_port
from tests.siem import parsed, syslog_listener, trusted

MESSAGE = SyslogMessage(
    severity=NOTICE,
    timestamp="2026-11-23T10:00:00.000123+00:00",
    hostname="gateway.example",
    app_name="concordat",
    kind="exchange.outcome",
    structured='[origin software="Concordat"]',
    text='{"metadata":{"sequence":7},"text":"na\u00efve\\n"}'.encode(),
)


def test_a_message_is_framed_by_its_octets() -> None:
    """The length counts octets, not characters; the facility is that of audit messages."""
    length, _, message = MESSAGE.frame().partition(b" ")
    fields = parsed(message)

    assert int(length) == len(message)
    assert fields["pri"] == str(13 * 8 + 5)
    assert (fields["time"], fields["host"]) == (MESSAGE.timestamp, MESSAGE.hostname)
    assert (fields["app"], fields["proc"], fields["msgid"]) == ("concordat", "-", MESSAGE.kind)
    assert fields["msg"].encode() == MESSAGE.text


def test_a_header_holds_printable_ascii_alone() -> None:
    """Nothing in a name can begin another field, or another message."""
    odd = SyslogMessage(
        severity=NOTICE, timestamp=MESSAGE.timestamp, hostname="a b\n<1>c", app_name="\u00e9",
        kind="x" * 99, structured="-", text=b"{}",
    )  # fmt: skip
    fields = parsed(odd.frame().partition(b" ")[2])

    assert (fields["host"], fields["app"], fields["msgid"]) == ("ab<1>c", "-", "x" * 32)


def test_what_was_sent_has_arrived(
    make_certificate: Callable[..., Certificate], tmp_path: Path
) -> None:
    """A link that was closed by the receiver says so once, and then connects again."""
    certificate = make_certificate()
    with syslog_listener(certificate) as listener:
        link = SyslogLink(
            "localhost", listener.port, trust=Trust(ca_file=trusted(certificate, tmp_path))
        )
        link.send(MESSAGE.frame() * 3)
        listener.received.wait_for({7})
        port = listener.port
    with pytest.raises(SyslogFailed):
        link.send(MESSAGE.frame())
    with syslog_listener(certificate, port) as listener:
        link.send(MESSAGE.frame())
        listener.received.wait_for({7})
        link.close()


def test_a_receiver_is_verified(
    make_certificate: Callable[..., Certificate], tmp_path: Path
) -> None:
    """Its chain, its name and its dates: otherwise nothing is sent."""
    certificate = make_certificate()
    other, late = make_certificate("other.example"), make_certificate(days=-1)
    with syslog_listener(certificate) as listener, pytest.raises(SyslogFailed, match="certificate"):
        SyslogLink("localhost", listener.port).send(MESSAGE.frame())
    for unfit in (other, late):
        with syslog_listener(unfit) as listener:
            link = SyslogLink(
                "localhost", listener.port, trust=Trust(ca_file=trusted(unfit, tmp_path))
            )
            with pytest.raises(SyslogFailed, match="certificate"):
                link.send(MESSAGE.frame())
            assert listener.received.messages == []


def test_a_receiver_that_stalls_is_given_up(
    make_certificate: Callable[..., Certificate], tmp_path: Path
) -> None:
    """Once its host takes nothing more, the sending ends in time, and says so."""
    certificate = make_certificate()
    with syslog_listener(certificate) as listener:
        listener.stall()
        link = SyslogLink(
            "localhost",
            listener.port,
            trust=Trust(ca_file=trusted(certificate, tmp_path)),
            timeout_s=0.5,
        )
        with pytest.raises(SyslogFailed, match="takes nothing"):
            link.send(MESSAGE.frame() * 150_000)  # more than the buffers of both hosts hold


def chatter(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Accept one connection, and talk for as long as anybody listens."""
    plain, _ = listener.accept()
    with suppress(OSError), context.wrap_socket(plain, server_side=True) as tls:
        while True:
            tls.sendall(b"x" * 16_384)


def test_a_receiver_that_talks_without_end_is_given_up(
    make_certificate: Callable[..., Certificate], tmp_path: Path
) -> None:
    """A receiver has nothing to say; one that floods us does not hold the forwarding up."""
    certificate = make_certificate()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        flood = threading.Thread(target=chatter, args=(listener, certificate.server_context()))
        flood.start()
        port = listener.getsockname()[1]
        link = SyslogLink("localhost", port, trust=Trust(ca_file=trusted(certificate, tmp_path)))
        with pytest.raises(SyslogFailed):  # noqa: PT012 - as soon as it has talked enough
            while True:
                link.send(MESSAGE.frame())
        link.close()
        flood.join()


def test_who_does_not_answer_is_told_in_a_phrase(tmp_path: Path) -> None:
    """A port that nobody listens on, and authorities that cannot be read."""
    with pytest.raises(SyslogFailed, match="no connection"):
        SyslogLink("127.0.0.1", free_port()).open()
    with pytest.raises(SyslogFailed, match="authorities"):
        SyslogLink("127.0.0.1", 9, trust=Trust(ca_file=tmp_path / "none.pem")).open()
    with pytest.raises(SyslogFailed, match=r"no connection|egress"):
        SyslogLink("169.254.169.254", 9, timeout_s=0.2).open()


@pytest.mark.parametrize("name", ["a..b", "a" * 64, "\ud800", "a\0b"])
def test_a_name_that_no_resolver_takes_is_a_failure_like_others(name: str) -> None:
    """Whoever probes the receiver hears a phrase, and no exception of the codec's."""
    with pytest.raises(SyslogFailed, match="no connection"):
        SyslogLink(name, 6514).open()
