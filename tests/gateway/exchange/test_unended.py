"""U-05: an answer that only its connection ends may be cut, and nobody takes it for proved."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.scripted import Act, Script
from gateway.audit.entry import Kind
from gateway.exchange import records
from gateway.exchange.deliver import deliver
from gateway.exchange.facts import Ending, Exchange
from gateway.exchange.messages import AnswerCut, Response
from gateway.exchange.pipeline import release_long
from gateway.exchange.stream import HELD_BYTES_MAX, LongAnswer
from gateway.exchange.unended import UNPROVED
from policies.decision import Duties
from tests.world import CSV_PATH, World, ask, document_of, make_request, open_world, text_answer

CONNECTOR = "dwp-eligibility"
TABLE = b"month,admissions\r\n2026-08,145\r\n2026-09,150\r\n"
JSON = b'{"records": [{"uprn": "999000000301", "lad_code": "E06999001"}]}'
FIELDS = Duties(allowed=frozenset({"uprn", "lad_code"}))


def closed_after(
    *pieces: bytes, media_type: str = "text/csv", version: str = "1.1", last: Act = Act.CLOSE
) -> Script:
    """Script an answer without a length, which ends with its connection."""
    head = f"HTTP/{version} 200 OK\r\ncontent-type: {media_type}\r\n\r\n"
    return [head.encode(), *pieces, last]


def parquet() -> bytes:
    """Return a table in a format that ends itself."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"uprn": ["1"], "lad_code": ["E0"]}), sink)
    return sink.getvalue()


def answered(home: Path, script: Script) -> tuple[Response, dict[str, Any]]:
    """Carry out a public call under duties; returns the response and its record."""

    async def play() -> tuple[Response, dict[str, Any]]:
        async with open_world(home, [script]) as world:
            response = await world.send(make_request("GET", CSV_PATH))
            return response, world.recorded(response)

    return asyncio.run(play())


async def under(world: World, duties: Duties) -> tuple[Exchange, Ending]:
    """Call the service under `duties`."""
    exchange = (await ask(world)).exchange
    exchange = replace(exchange, decision=replace(exchange.decision, duties=duties))
    connector = world.ports.connectors[CONNECTOR]
    return exchange, await deliver(exchange, connector, world.ports.duty_processes)


def delivered(home: Path, script: Script, duties: Duties) -> Ending:
    """Call a service that answers as scripted under `duties`."""

    async def play() -> Ending:
        async with open_world(home, [script]) as world:
            _, ending = await under(world, duties)
            return ending

    return asyncio.run(play())


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_table_of_whole_rows_leaves_with_a_mark(tmp_path: Path, version: str) -> None:
    """How many rows there were nobody knows, and both the consumer and the record say so."""
    response, record = answered(tmp_path, closed_after(TABLE, version=version))

    assert (response.status, response.body) == (200, TABLE)
    assert UNPROVED in response.headers
    assert (record["records"], record["end_unproved"]) == (2, True)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(TABLE[:-4], id="in-a-cell"),
        pytest.param(TABLE[:-2], id="before-the-line-end"),
        pytest.param(TABLE[:-1], id="in-the-line-end"),
        pytest.param(TABLE + b'"2026\r\n', id="in-a-quoted-cell"),
        pytest.param(b"", id="before-the-header"),
    ],
)
def test_a_table_that_may_be_cut_is_withheld(tmp_path: Path, body: bytes) -> None:
    """Of 150 the 15 may have come: nothing leaves, and the answer counts as cut short."""
    response, record = answered(tmp_path, closed_after(body))

    assert response.status == 502
    assert document_of(response)["type"].endswith("/service-malformed")
    assert (record["problem"], record["origin"]) == ("service-malformed", "service")
    assert "records" not in record or record["records"] == 0


def test_a_reset_is_a_cut(tmp_path: Path) -> None:
    """However many whole rows came before it."""
    response, record = answered(tmp_path, closed_after(TABLE, last=Act.RESET))

    assert (response.status, record["problem"]) == (502, "service-unreachable")


def test_what_says_its_length_needs_no_line_end(tmp_path: Path) -> None:
    """The last row is as whole as the service says, and nothing is marked."""
    response, record = answered(tmp_path, text_answer(TABLE[:-2], "text/csv"))

    assert (response.status, response.body) == (200, TABLE[:-2])
    assert UNPROVED not in response.headers
    assert "end_unproved" not in record


@pytest.mark.parametrize(
    ("body", "media_type"),
    [(JSON, "application/json"), (parquet(), "application/vnd.apache.parquet")],
)
def test_a_format_that_ends_itself_is_whole_where_it_was_read(
    tmp_path: Path, body: bytes, media_type: str
) -> None:
    """A part of it is withheld, with a record that tells why it may be one."""
    script = closed_after(body, media_type=media_type)
    ending = delivered(tmp_path / "whole", script, FIELDS)
    assert (ending.status, ending.end_unproved) == (200, False)
    assert UNPROVED not in ending.headers

    script = closed_after(body[:-1], media_type=media_type)
    ending = delivered(tmp_path / "part", script, FIELDS)
    assert (ending.status, ending.problem) == (502, "duty-not-applicable")
    assert ending.end_unproved
    assert UNPROVED not in ending.headers


@pytest.mark.parametrize(
    ("body", "media_type", "duties"),
    [
        (JSON, "application/json", Duties()),
        (TABLE[:-4], "text/csv", Duties()),
        (b"", "application/json", FIELDS),
    ],
)
def test_what_nobody_reads_leaves_with_a_mark(
    tmp_path: Path, body: bytes, media_type: str, duties: Duties
) -> None:
    """Nothing is known of its end."""
    ending = delivered(tmp_path, closed_after(body, media_type=media_type), duties)

    assert (ending.status, ending.body, ending.end_unproved) == (200, body, True)
    assert UNPROVED in ending.headers


def test_the_end_of_an_error_matters_to_nobody(tmp_path: Path) -> None:
    """It is replaced, long or short."""
    script: Script = [b"HTTP/1.0 404 No\r\ncontent-type: text/csv\r\n\r\nnothing", Act.CLOSE]
    ending = delivered(tmp_path, script, Duties())

    assert (ending.status, ending.end_unproved) == (404, False)


@pytest.mark.parametrize("duties", [Duties(), FIELDS])
def test_what_has_no_body_has_no_end_to_prove(tmp_path: Path, duties: Duties) -> None:
    """A 205 leaves whole, whatever the service sends with it and however it ends that."""
    ending = delivered(tmp_path, [b"HTTP/1.0 205 Reset\r\n\r\nrest", Act.CLOSE], duties)

    assert (ending.status, ending.body, ending.end_unproved) == (205, b"", False)
    assert UNPROVED not in ending.headers


def test_a_coded_table_is_withheld_as_such(tmp_path: Path) -> None:
    """Its octets say nothing of its rows."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ncontent-encoding: gzip\r\n\r\n"
    ending = delivered(tmp_path, [head, b"\x1f\x8b", Act.CLOSE], FIELDS)

    assert (ending.problem, ending.end_unproved) == ("duty-not-applicable", True)


def long_table(end: bytes) -> Sequence[bytes]:
    """Return a table that is longer than what is held, in pieces; `end` ends it."""
    block = b"E06999001,999000000301\r\n" * 4096
    return (b"lad_code,uprn\r\n", *(block,) * (2 * HELD_BYTES_MAX // len(block)), end)


async def taken(world: World, duties: Duties) -> tuple[Response, bytes, bool]:
    """Take a long answer as the front does; tells what came, and whether its end did."""
    exchange, long = await under(world, duties)
    assert isinstance(long, LongAnswer)
    intent = await world.log.append(records.intent(exchange, instance="test"))
    response = await release_long(exchange, long, intent, world.ports)
    assert not isinstance(response.body, bytes)
    came = b""
    try:
        async for piece in response.body:
            came += piece
    except AnswerCut:
        return response, came, False
    return response, came, True


@pytest.mark.parametrize(
    ("end", "duties", "cut"),
    [
        (b"E06999002,9\r\n", FIELDS, None),
        (b"E06999002,9", FIELDS, "service-malformed"),
        (b'E06999002,"9\r\n', FIELDS, "service-malformed"),
        (b"E06999002,9", Duties(), None),
    ],
    ids=["U-05-whole", "U-05-cut", "U-05-cut-in-quotes", "U-05-unread"],
)
def test_a_long_table_has_an_end_where_it_may_be_whole(
    tmp_path: Path, end: bytes, duties: Duties, cut: str | None
) -> None:
    """Its head says that nobody knows; one that may be cut is an incomplete message."""
    table = b"".join(long_table(end))

    async def play() -> None:
        async with open_world(tmp_path, [closed_after(*long_table(end))]) as world:
            response, came, whole = await taken(world, duties)
            assert UNPROVED in response.headers
            record = world.recorded(response)
            assert [entry["kind"] for entry in record["entries"]][-1] == Kind.OUTCOME
            assert record["end_unproved"] is True
            assert record.get("cut") == cut
            assert whole is (cut is None)
            if whole:
                assert came == table
            else:
                assert len(came) < len(table) - len(end)
                assert table.startswith(came)

    asyncio.run(play())
