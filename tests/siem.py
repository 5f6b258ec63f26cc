"""Receivers of forwarded events on loopback: a syslog listener with TLS, and an OTLP collector."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from tests.certificates import Certificate

PATIENCE_S: Final = 30.0
"""How long what must come is waited for; never reached where all is well."""
_RFC5424: Final = re.compile(
    rb"<(?P<pri>\d{1,3})>1 (?P<time>\d{4}-\d\d-\d\dT[0-9:]{8}(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d))"
    rb" (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<proc>[!-~]{1,128}) (?P<msgid>[!-~]{1,32})"
    rb" (?P<sd>-|(?:\[[^\]]+\])+) (?P<msg>.*)",
    re.DOTALL,
)


@dataclass
class Received:
    """What a receiver has read: each event, as JSON, and each whole message."""

    events: list[dict[str, Any]] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    connections: int = 0

    def add(self, message: bytes, event: dict[str, Any]) -> None:
        """Take down one event."""
        with self.changed:
            self.messages.append(message)
            self.events.append(event)
            self.changed.notify_all()

    @property
    def indices(self) -> set[int]:
        """Return the indices of the records that have arrived."""
        with self.changed:
            return {event["metadata"]["sequence"] for event in self.events}

    def wait_for_number(self, number: int) -> None:
        """Wait until so many events have arrived."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.events) >= number, PATIENCE_S)

    def wait_for(self, indices: set[int]) -> None:
        """Wait until these have arrived."""
        with self.changed:
            came = self.changed.wait_for(
                lambda: indices <= {event["metadata"]["sequence"] for event in self.events},
                PATIENCE_S,
            )
        assert came, sorted(indices - self.indices)


def parsed(message: bytes) -> dict[str, str]:
    """Return the fields of a message of RFC 5424; an AssertionError if it is none."""
    found = _RFC5424.fullmatch(message)
    assert found is not None, message[:200]
    return {name: value.decode() for name, value in found.groupdict().items()}


class SyslogListener:
    """A collector that reads octet-counted frames (RFC 5425); it can stall, and forget."""

    def __init__(
        self, certificate: Certificate, port: int = 0, client: Certificate | None = None
    ) -> None:
        """Listen on loopback; a caller without `client`'s certificate is sent away."""
        self.received = Received()
        self._context = certificate.server_context(client)
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self.reads = threading.Event()
        self.reads.set()
        self._ended = False
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def stall(self) -> None:
        """Read nothing from now on."""
        self.reads.clear()

    def close(self) -> None:
        """End as a process that is killed does: what was not read is lost."""
        self._ended = True
        self.reads.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._ended:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(plain)
            thread = threading.Thread(target=self._serve, args=(plain,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain, self._context.wrap_socket(plain, server_side=True) as tls:
            self._open.append(tls)
            self.received.connections += 1
            buffer = b""
            while True:
                self.reads.wait()
                more = b"" if self._ended else tls.recv(65_536)
                if not more:
                    return
                buffer += more
                while (taken := _frame(buffer)) is not None:
                    message, buffer = taken
                    self.received.add(message, json.loads(parsed(message)["msg"]))


def _frame(buffer: bytes) -> tuple[bytes, bytes] | None:
    length, space, rest = buffer.partition(b" ")
    if not space or len(rest) < int(length):
        return None
    return rest[: int(length)], rest[int(length) :]


@contextmanager
def syslog_listener(
    certificate: Certificate, port: int = 0, client: Certificate | None = None
) -> Iterator[SyslogListener]:
    """Listen while the context lasts."""
    listener = SyslogListener(certificate, port, client)
    try:
        yield listener
    finally:
        listener.close()


@dataclass
class Collector:
    """An OTLP collector: where it is, what it has, and what it answers."""

    url: str
    received: Received
    statuses: list[int] = field(default_factory=list)
    """Answers to come, before it is well again."""
    answer: dict[str, Any] | bytes = field(default_factory=dict)
    media_types: set[str] = field(default_factory=set)
    credentials: list[str | None] = field(default_factory=list)


@contextmanager
def otlp_collector(
    *, port: int = 0, certificate: Certificate | None = None, client: Certificate | None = None
) -> Iterator[Collector]:
    """Collect logs at ``/v1/logs`` while the context lasts; with TLS where it has a certificate.

    Then `client` is whose certificate it asks for.
    """
    collector = Collector("", Received())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = collector.statuses.pop(0) if collector.statuses else 200
            collector.media_types.add(self.headers["content-type"])
            collector.credentials.append(self.headers["authorization"])
            if status == 200 and self.path == "/v1/logs":
                for record in _records(json.loads(body)):
                    collector.received.add(json.dumps(record).encode(), plain(record["body"]))
            answer = collector.answer
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    scheme = "http"
    if certificate is not None:
        tls = certificate.server_context(client)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    host = "localhost" if certificate is not None else "127.0.0.1"
    collector.url = f"{scheme}://{host}:{server.server_address[1]}/v1/logs"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _records(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in request["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            yield from scope["logRecords"]


def plain(value: dict[str, Any]) -> Any:
    """Return the plain value of OTLP's AnyValue in its JSON form."""
    if not value:
        return None
    ((kind, held),) = value.items()
    if kind == "kvlistValue":
        return {member["key"]: plain(member["value"]) for member in held["values"]}
    if kind == "arrayValue":
        return [plain(one) for one in held["values"]]
    return int(held) if kind == "intValue" else held


def trusted(certificate: Certificate, directory: Path) -> Path:
    """Write what trusts a certificate: the certificate alone."""
    path = directory / "siem-ca.pem"
    pem = certificate.path.read_text()
    path.write_text(pem[: pem.index("-----BEGIN PRIVATE KEY")])
    ssl.create_default_context(cafile=path)
    return path
