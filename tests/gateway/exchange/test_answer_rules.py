"""What a service's answer has to be before any of it leaves (design, section 4, step 6)."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.scripted import Script
from gateway.exchange.messages import Response
from tests.world import CSV_PATH, document_of, field_of, make_request, open_world, text_answer

CSV = b"month,admissions\n2026-08,145\n"
PARQUET = "application/vnd.apache.parquet"


def answered(home: Path, script: Script, target: str = CSV_PATH) -> tuple[Response, dict[str, Any]]:
    """Carry out a public call that the service answers as scripted; returns it and its record."""

    async def play() -> tuple[Response, dict[str, Any]]:
        async with open_world(home, [script]) as world:
            response = await world.send(make_request("GET", target))
            return response, world.recorded(response)

    return asyncio.run(play())


def body_of(response: Response) -> bytes:
    """Return the body of a response that is whole."""
    assert isinstance(response.body, bytes)
    return response.body


def parquet(columns: dict[str, Any]) -> bytes:
    """Write columns as a service would."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def test_parquet_leaves_with_the_fields_that_are_agreed(tmp_path: Path) -> None:
    """The file is read in a process of its own, and its duties are on record."""
    body = parquet({"month": ["2026-08"], "admissions": [145], "patient": ["MARKER"]})

    response, record = answered(tmp_path, text_answer(body, PARQUET))

    assert response.status == 200
    assert field_of(response, "content-type") == PARQUET
    assert isinstance(response.body, bytes)
    assert pq.read_table(pa.BufferReader(response.body)).to_pydict() == {
        "month": ["2026-08"],
        "admissions": [145],
    }
    assert record["records"] == 1
    assert "patient" in record["fields_withheld"]


def test_parquet_with_a_small_number_is_withheld(tmp_path: Path) -> None:
    """The guard holds in every media type."""
    body = parquet({"month": ["2026-08"], "admissions": [3]})

    response, record = answered(tmp_path, text_answer(body, PARQUET))

    assert response.status == 502
    assert document_of(response)["reason_code"] == "SMALL_NUMBERS_WITHHELD"
    assert record["alert"]


def test_a_parquet_file_that_cannot_be_read_is_withheld(tmp_path: Path) -> None:
    """A broken file says nothing of what is in it."""
    response, _ = answered(tmp_path, text_answer(b"PAR1 broken PAR1", PARQUET))

    assert response.status == 502
    assert document_of(response)["reason_code"] == "DUTY_NOT_APPLICABLE"


@pytest.mark.parametrize(
    "media_type",
    [
        *("application/xml", "application/fhir+xml", "text/html", "text/plain", "application/pdf"),
        *("application/x-ndjson", "application/jsonl", "application/json-seq", "text/json"),
        *("application/octet-stream", "application/gzip", "application/zip", "image/png"),
        *("multipart/byteranges; boundary=x", "multipart/mixed; boundary=x", "message/http"),
        *("text/csv; charset=utf-16", "text/csv; header=absent", "text/csv, text/html", "*/*", ""),
    ],
)
def test_any_other_media_type_is_withheld(tmp_path: Path, media_type: str) -> None:
    """What no duty can be applied to does not leave, though its bytes would be a fine table."""
    response, record = answered(tmp_path, text_answer(CSV, media_type))

    assert response.status == 502
    assert b"2026-08" not in body_of(response)
    assert record["reason"] == "SMALL_NUMBERS_WITHHELD"


def test_an_answer_without_a_media_type_is_withheld(tmp_path: Path) -> None:
    """Its format is not guessed."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(CSV)

    assert answered(tmp_path, [head + CSV])[0].status == 502


def test_an_answer_with_two_media_types_is_withheld(tmp_path: Path) -> None:
    """The gateway would read one, and a consumer might believe the other."""
    script = text_answer(CSV, "text/html\r\ncontent-type: text/csv")

    assert answered(tmp_path, script)[0].status == 502


@pytest.mark.parametrize(
    "coding", ["gzip", "GZIP", "br", "zstd", "identity, gzip", "gzip, identity", "x", "aws-chunked"]
)
def test_an_encoded_answer_is_withheld(tmp_path: Path, coding: str) -> None:
    """Nobody asked for an encoding, and one that is sent anyway is not undone (B-02)."""
    script = text_answer(CSV, f"text/csv\r\ncontent-encoding: {coding}")
    response, _ = answered(tmp_path, script)

    assert response.status == 502
    assert document_of(response)["reason_code"] == "DUTY_NOT_APPLICABLE"


@pytest.mark.parametrize(
    "media_type", ["text/csv\r\ncontent-range: bytes 0-9/80", "multipart/byteranges; boundary=x"]
)
def test_a_part_of_an_answer_is_withheld(tmp_path: Path, media_type: str) -> None:
    """A 206 shows some of the records, and hides that there are others."""
    script = text_answer(CSV, media_type)
    assert isinstance(script[0], bytes)
    part = script[0].replace(b"200 OK", b"206 Partial Content")

    assert answered(tmp_path, [part])[0].status == 502


def test_ranges_and_encodings_are_not_asked_for_where_duties_apply(tmp_path: Path) -> None:
    """The service is asked for the whole, as it is; the caller gets the whole, narrowed.

    Not to name any encoding would be to take every one, and a coded answer is withheld.
    """

    async def play() -> None:
        async with open_world(tmp_path, [text_answer(CSV, "text/csv")]) as world:
            asked = {
                "accept-encoding": "gzip, br",
                "range": "bytes=0-,0-,0-",
                "if-range": '"1"',
                "accept": "text/csv",
            }
            response = await world.send(make_request("GET", CSV_PATH, headers=asked))

            assert response.status == 200
            sent = world.service.requests[0].lower()
            assert b"\r\naccept: text/csv\r\n" in sent
            assert b"\r\naccept-encoding: identity\r\n" in sent
            assert sent.count(b"accept-encoding") == 1
            for name in (b"range", b"if-range"):
                assert b"\r\n" + name + b":" not in sent

    asyncio.run(play())


@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
def test_fields_that_describe_the_whole_stay_where_duties_apply(
    tmp_path: Path, status: str
) -> None:
    """An entity tag may be a hash of what is withheld, a file's name may be a person's."""
    more = 'etag: "MARKER"\r\ncontent-disposition: attachment; filename=MARKER\r\n'
    more += "accept-ranges: bytes\r\nlink: <https://MARKER>\r\ndata-as-of: 2026-11-20\r\n"
    length, body = (f"content-length: {len(CSV)}\r\n", CSV) if "200" in status else ("", b"")
    head = f"HTTP/1.1 {status}\r\ncontent-type: text/csv\r\n{length}{more}\r\n"
    response, _ = answered(tmp_path, [head.encode() + body])

    assert response.status == int(status[:3])
    assert b"MARKER" not in repr(response.headers).encode()
    assert field_of(response, "data-as-of") == "2026-11-20"


def test_that_nothing_changed_is_not_passed_on_where_duties_apply(tmp_path: Path) -> None:
    """No service was asked for it, and it would tell of records that may not be seen."""
    response, record = answered(tmp_path, [b'HTTP/1.1 304 Not Modified\r\netag: "M"\r\n\r\n'])

    assert response.status == 502
    assert record["reason"] == "DUTY_NOT_APPLICABLE"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_withheld_cannot_be_guessed_by_its_entity_tag(tmp_path: Path, method: str) -> None:
    """A tag may be a hash of the whole answer: no service is asked to compare one."""
    conditions = {
        "if-none-match": '"guess"',
        "if-match": '"guess"',
        "if-modified-since": "Fri, 20 Nov 2026 20:00:00 GMT",
        "if-unmodified-since": "Fri, 20 Nov 2026 20:00:00 GMT",
    }

    async def play() -> None:
        async with open_world(tmp_path, [text_answer(CSV, "text/csv")]) as world:
            response = await world.send(make_request(method, CSV_PATH, headers=conditions))

            assert response.status == 200
            assert b"\r\nif-" not in world.service.requests[0].lower()

    asyncio.run(play())


@pytest.mark.parametrize(
    ("status", "answered_with"),
    [("400 Bad", 400), ("404 No", 404), ("422 No", 422), ("500 Oops", 502), ("302 Found", 502)],
)
@pytest.mark.parametrize("media_type", ["application/json", "application/problem+json"])
def test_a_service_s_own_error_text_is_replaced(
    tmp_path: Path, status: str, answered_with: int, media_type: str
) -> None:
    """It may quote records, addresses or statements; what leaves is ours and says so."""
    script = text_answer(b'{"detail":"no record of MARKER"}', media_type)
    assert isinstance(script[0], bytes)
    response, _ = answered(tmp_path, [script[0].replace(b"200 OK", status.encode())])

    assert response.status == answered_with
    assert field_of(response, "content-type") == "application/problem+json"
    assert document_of(response)["origin"] == "service"
    assert b"MARKER" not in body_of(response)


@pytest.mark.parametrize(
    "query",
    [
        "?_fields=month&_fields=month",
        "?_fields=month,month",
        "?_fields=",
        "?_fields=month,patient",
        "?_fields=month&month=2026-08&month=2026-09",
        "?patient=1",
        "?_elements=month",
        "?MONTH=2026-08",
        "?month%5B%5D=2026-08",
        "?%5ffields=month&_fields=month",
    ],
)
def test_a_query_names_permitted_fields_once_each(tmp_path: Path, query: str) -> None:
    """Anything else could probe what fields may not show, or mean two things (P-22)."""
    response, record = answered(tmp_path, text_answer(CSV, "text/csv"), CSV_PATH + query)

    assert response.status == 403
    assert document_of(response)["reason_code"] == "FIELD_NOT_PERMITTED"
    assert record["decision"] == "deny"


@pytest.mark.parametrize(
    "query", ["?_fields=month", "?month=2026-08&_fields=month", "?_fields=%6Donth"]
)
def test_fields_narrow_the_answer(tmp_path: Path, query: str) -> None:
    """The gateway narrows; the service is not told, and what it is told is byte for byte."""

    async def play() -> None:
        async with open_world(tmp_path, [text_answer(CSV, "text/csv")]) as world:
            response = await world.send(make_request("GET", CSV_PATH + query))

            assert response.body == b"month\n2026-08\n"
            kept = b"?month=2026-08" if "month=2026" in query else b""
            assert world.service.requests[0].startswith(
                b"GET " + CSV_PATH.encode() + kept + b" HTTP/1.1\r\n"
            )

    asyncio.run(play())
