"""Hostile requests to the control listener: whatever is asked, it is answered, and goes on."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from queue import Queue
from typing import Any
from urllib.parse import quote, quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.app import open_control_plane
from gateway.audit.entry import Kind
from gateway.audit.publishing.published import published_head
from gateway.audit.reading.reader import find_log, verify_log
from gateway.clock import new_uuid7, uuid_text
from gateway.control.exchanges import FindParameters
from gateway.control.exports import ExportParameters
from gateway.data_plane import Composition, log_origin
from gateway.database import open_engine
from gateway.processes import _serve_control
from gateway.registry.store import Registry
from gateway.settings import Settings
from tests.gateway.control.test_exchanges import denial
from tests.homes import make_settings

RECORDS = 300
WAIT_S = 60.0

NUMBERS = ("0", "-1", "00", "1e3", "٣", "255", "256", "257", "4294967296", str(1 << 63), "9" * 500)
TEXTS = (
    *("", "\x00", "\ud800", "\ufeff", "\u202e", "'; DROP TABLE audit_record; --", "%", "?", "*"),
    *("../../sealed-head", "..%2f..%2f", "${jndi:ldap://x}", "x" * 10_000, "nhs_number:9990000018"),
    *("nhs_number:", ":", "nobody:\x00", "nhs_number:" + "9" * 1_000),
)
TIMES = (
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1969-12-31T23:59:59Z", "now"),
    *("2026-11-23T05:00:00.123456789Z", "2026-02-30T00:00:00Z", "1e400", "NaN", "-1", "9" * 30),
)
PIECES = (
    *("tile", "entries", "checkpoint", "exchanges", "receipt-keys"),
    *("announced", "proof", "receipt"),
    *("2026", "2026-1", "000", "001.p", "000.p", "x001", "x" * 300, ".", "..", "", "%", "*"),
)

values = st.one_of(
    st.sampled_from([*NUMBERS, *TEXTS, *TIMES, *(kind.value for kind in Kind)]),
    st.text(st.characters(), max_size=30),
).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=20)
pieces = st.sampled_from([*PIECES, *NUMBERS]) | st.text(max_size=8)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([*TEXTS, *TIMES]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@dataclass
class Listening:
    """A control listener that is up, with a published log behind it."""

    settings: Settings
    secret: str
    exchange: str
    port: int = 0

    def ask(
        self, target: str, *, secret: str | None = "", method: str = "GET", body: bytes = b""
    ) -> tuple[int, bytes]:
        """Return status and body of the answer, which is well-formed whatever it is."""
        lines = [f"{method} {target} HTTP/1.1", "Host: control", "Connection: close"]
        lines.append(f"Content-Length: {len(body)}")
        lines.append("Content-Type: application/json")
        if secret is not None:
            lines.append(f"Authorization: Bearer {secret or self.secret}")
        head = "\r\n".join([*lines, "", ""]).encode("ascii")
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S) as connection:
            connection.sendall(head + body)
            answer = HTTPResponse(connection, method=method)
            answer.begin()
            content = answer.read()
        assert answer.status != 500, (target, content)
        if answer.status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert json.loads(content)["status"] == answer.status
        return answer.status, content


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    """Give a real control listener on a real socket, as the control process serves it."""
    settings = make_settings(tmp_path_factory.mktemp("hostile"))
    engine = open_engine(settings.database_url)
    secret = Registry(engine).make_bootstrap_secret()
    engine.dispose()
    found = Listening(settings, secret, uuid_text(new_uuid7()))
    ready, ending = Queue[int](), threading.Event()

    async def play() -> None:
        async with open_control_plane(Composition(settings=settings)) as plane:
            exchange = bytes.fromhex(found.exchange.replace("-", ""))
            await plane.log.append(denial(exchange))
            await asyncio.gather(*[plane.log.append(denial(new_uuid7())) for _ in range(RECORDS)])
            with socket.create_server(("127.0.0.1", 0)) as listener:
                async with _serve_control(plane, listener):
                    async with asyncio.timeout(WAIT_S):
                        while published(settings) <= RECORDS:  # noqa: ASYNC110 - publishing has no event
                            await asyncio.sleep(0.05)
                    ready.put(listener.getsockname()[1])
                    await asyncio.to_thread(ending.wait)

    thread = threading.Thread(target=lambda: asyncio.run(play()))
    thread.start()
    try:
        found.port = ready.get(timeout=WAIT_S)
        yield found
    finally:
        ending.set()
        thread.join()
    report = verify_log(find_log(settings.audit_directory))
    assert report.ok, report.faults


def published(settings: Settings) -> int:
    """Return how many records the published checkpoint covers."""
    head = published_head(find_log(settings.audit_directory))
    return head.size if head is not None else 0


def query(parameters: dict[str, bytes]) -> str:
    """Return parameters as a query, whatever octets they are."""
    return "&".join(f"{quote(name)}={quote_from_bytes(one)}" for name, one in parameters.items())


def names_of(model: Any) -> list[str]:
    """Return the names of a route's parameters, as they are sent."""
    return [field.alias or name for name, field in model.model_fields.items()]


@given(st.lists(pieces, max_size=7), st.booleans())
def test_no_path_below_the_published_log_breaks_it(
    listening: Listening, parts: list[str], known: bool
) -> None:
    """Levels, indices, widths and shards of any size and spelling are there, or are not."""
    path = "/".join(quote(part, safe="", errors="surrogatepass") for part in parts)
    shard = log_origin(listening.settings).rpartition("/")[2]
    for prefix in ("/audit/v1", f"/audit/v1/{shard}", f"/audit/v1/{shard}/tile"):
        status, _ = listening.ask(f"{prefix}/{path}", secret="" if known else None)
        assert status in {200, 400, 401, 404}


@given(st.sampled_from(["proof", "receipt"]), pieces, st.dictionaries(pieces, values, max_size=2))
def test_no_name_of_an_exchange_breaks_its_proof(
    listening: Listening, what: str, name: str, parameters: dict[str, bytes]
) -> None:
    """Neither for whoever may ask nor for a stranger, who learns nothing."""
    asked = {"kind": b"decision.deny"} | {
        key.encode("utf-8", "replace").decode(): one for key, one in parameters.items()
    }
    for exchange in (quote(name, safe="", errors="surrogatepass"), listening.exchange):
        target = f"/audit/v1/exchanges/{exchange}/{what}?{query(asked)}"
        assert listening.ask(target)[0] in {200, 400, 404}
        assert listening.ask(target, secret=None)[0] in {400, 401, 404}


@given(st.dictionaries(st.sampled_from(names_of(FindParameters)), values, min_size=1, max_size=3))
def test_no_filter_breaks_a_search(listening: Listening, parameters: dict[str, bytes]) -> None:
    """In the address and in a body: understood, or refused by the parameter's name."""
    assert listening.ask(f"/api/v1/exchanges?{query(parameters)}")[0] in {200, 400}
    said = {name: one.decode("utf-8", "surrogateescape") for name, one in parameters.items()}
    body = json.dumps(said).encode()
    assert listening.ask("/api/v1/exchanges/search", method="POST", body=body)[0] in {200, 400}


@given(st.dictionaries(st.sampled_from(names_of(ExportParameters)), values, max_size=3))
def test_no_parameter_breaks_an_export(listening: Listening, parameters: dict[str, bytes]) -> None:
    """An export comes whole or is refused; none stops in its midst."""
    assert listening.ask(f"/api/v1/exports?{query(parameters)}")[0] in {200, 400, 503}


@given(documents, st.binary(max_size=10))
def test_no_document_breaks_a_search(listening: Listening, document: Any, more: bytes) -> None:
    """JSON of any shape, what is none, and what follows it."""
    for body in (json.dumps(document).encode(), json.dumps(document).encode() + more):
        status, _ = listening.ask("/api/v1/exchanges/search", method="POST", body=body)
        assert status in {200, 400}


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000, b'{"a":' * 20_000, b'{"cursor":' + b"9" * 100_000 + b"}",
        b'{"cursor":1e999}', b'{"cursor":NaN}', b'{"person":"\\ud800"}', b'{"agreement":"\\u0000"}',
        b'{"limit":1,"limit":0}', b"\xff\xfe", b"\x00" * 1_000,
    ],
    ids=range(10),
)  # fmt: skip
def test_json_that_breaks_parsers_is_refused(listening: Listening, body: bytes) -> None:
    """Deep nesting, numbers of any length, text that is none."""
    status, _ = listening.ask("/api/v1/exchanges/search", method="POST", body=body)
    assert status in {200, 400}
