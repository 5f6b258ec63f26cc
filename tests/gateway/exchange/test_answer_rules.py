"""What a service's answer has to be before any of it leaves (design, section 4, step 6)."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.scripted import Script
from gateway.exchange.messages import Response
from tests.world import CSV_PATH, document_of, field_of, make_request, open_world, text_answer

PARQUET = "application/vnd.apache.parquet"


def answered(home: Path, script: Script, target: str = CSV_PATH) -> tuple[Response, dict[str, Any]]:
    """Carry out a public call that the service answers as scripted; returns it and its record."""

    async def play() -> tuple[Response, dict[str, Any]]:
        async with open_world(home, [script]) as world:
            response = await world.send(make_request("GET", target))
            return response, world.recorded(response)

    return asyncio.run(play())


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
