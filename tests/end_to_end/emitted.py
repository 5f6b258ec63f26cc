"""Everything that a gateway says to others than its callers, caught while a pack is played."""

from __future__ import annotations

import base64
import csv
import gzip
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from gateway.clock import random_bytes
from gateway.demo.channel import Answer, Channel
from gateway.demo.packs import Pack
from gateway.demo.scenario import ScenarioCall

LETTERS_MIN: Final = 5
DIGITS_MIN: Final = 9
"""Shorter values could stand in a figure or a word by chance."""

_NUMBER: Final = re.compile(r"[\d.:+-]+")
_DAY_OF_TODAY: Final = re.compile(r"20[2-9]\d-\d\d(-\d\d)?")
"""A date that could be the day on which this test runs."""


class Collector:
    """A collector of spans on loopback that keeps what it is sent, octet by octet."""

    def __init__(self) -> None:
        """Keep nothing yet; see `collecting`."""
        self.received: list[bytes] = []
        self.url = ""


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listen for OTLP over HTTP while the context lasts."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.received.append(body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing: standard error is what is examined."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Heard:
    """One request of a caller, with what its token says in clear, and the answer."""

    asked: str
    status: int
    answer: bytes


class TracedChannel(Channel):
    """A consumer's channel whose calls are all in sampled traces; it notes what goes over it."""

    def __init__(self, gateway_url: str) -> None:
        """Trace what goes to the gateway; what goes to issuers is none of its business."""
        super().__init__()
        self._gateway_url = gateway_url
        self.heard: list[Heard] = []
        self.secrets: set[str] = set()

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send one request."""
        fields = dict(headers or {})
        for name in ("authorization", "dpop"):
            self.secrets |= set(secrets_of(fields.get(name, "")))
        if not url.startswith(self._gateway_url):
            return super().send(method, url, headers=fields, body=body)
        fields["traceparent"] = f"00-{random_bytes(16).hex()}-{random_bytes(8).hex()}-01"
        answer = super().send(method, url, headers=fields, body=body)
        self.secrets.add(answer.headers["exchange-id"])
        said = " ".join(map(claims_of, fields.values()))
        asked = f"{url} {said} {body.decode()}"
        self.heard.append(Heard(asked, answer.status, answer.body))
        return answer


def secrets_of(credentials: str) -> Iterator[str]:
    """Yield a token or proof, its parts, and the identifiers in it."""
    token = credentials.rpartition(" ")[2]
    if token.count(".") == 2:
        yield token
        yield from token.split(".")
        claims = json.loads(claims_of(token))
        yield from (claims[name] for name in ("jti", "ath") if name in claims)
    elif token:
        yield token


def claims_of(credentials: str) -> str:
    """Return the claims of a token as text, and any other text as it is."""
    token = credentials.rpartition(" ")[2]
    if token.count(".") != 2:
        return credentials
    payload = token.split(".")[1]
    return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()


def data_values(pack: Pack) -> set[str]:
    """Return every value that the departments hold and that the configuration does not name."""
    values: set[str] = set()
    for path in (pack.directory / "data").iterdir():
        if path.suffix == ".csv":
            with path.open(newline="", encoding="utf-8") as lines:
                values.update(cell for row in csv.DictReader(lines) for cell in row.values())
        elif path.suffix == ".json":
            values.update(leaves(json.loads(path.read_text())))
    return telling(values, pack)


def call_values(pack: Pack) -> set[str]:
    """Return what the calls say of people and cases: in paths, queries, bodies and tokens."""
    values: set[str] = set()
    for call in pack.sheet.calls:
        values |= set(_values_of(call))
        values |= set(leaves(pack.body_of(call)))
    return telling(values, pack)


def _values_of(call: ScenarioCall) -> Iterator[str]:
    facts = call.token
    yield from call.path.split("/")
    yield from (value for _, value in call.query)
    yield from facts.context.values()
    yield from (text for text in (facts.client, facts.subject, facts.on_behalf_of) if text)
    if facts.break_glass is not None:
        yield facts.break_glass.justification


def telling(values: set[str], pack: Pack) -> set[str]:
    """Return the values that would tell something, were they found in a log."""
    named = " ".join(
        path.read_text().lower()
        for folder in ("agreements", "legal", "schema")
        for path in sorted((pack.directory / folder).rglob("*"))
        if path.is_file()
    )
    clients = set(pack.clients)
    return {
        value
        for value in values
        if len(value) >= (DIGITS_MIN if _NUMBER.fullmatch(value) else LETTERS_MIN)
        and not _DAY_OF_TODAY.fullmatch(value)
        and (value in clients or value.lower() not in named)
    }


def leaves(value: object) -> Iterator[str]:
    """Yield every text in a JSON value."""
    if isinstance(value, Mapping):
        for member in value.values():
            yield from leaves(member)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, str):
        yield value


def found_in(text: bytes, markers: set[str]) -> set[str]:
    """Return the markers that stand in `text`, whatever their case."""
    lowered = text.lower()
    return {marker for marker in markers if marker.lower().encode() in lowered}


def files_of(directory: Path) -> bytes:
    """Return the content of all files of a directory."""
    return b"".join(path.read_bytes() for path in directory.iterdir() if path.is_file())
