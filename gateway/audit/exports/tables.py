"""Records as rows: CSV for spreadsheets, Parquet for analysis; one column for each core fact."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from gateway.audit.exports.events import iso_time
from gateway.audit.exports.ndjson import sections_of
from gateway.audit.exports.selection import Opening, Picked
from gateway.clock import uuid_text

ROWS_PER_GROUP: Final = 4_096
"""Rows that are held at a time, and that a Parquet row group has."""
CORE_COLUMNS: Final = (
    "consumer", "provider", "service", "agreement", "agreement_version", "rule", "purpose",
    "decision", "reason", "method", "route", "status", "records", "subjects", "bytes",
    "duration_us", "instrument", "legal_gateway", "alert", "trace_id",
)  # fmt: skip
_NUMBERS: Final = frozenset(
    {"agreement_version", "status", "records", "subjects", "bytes", "duration_us"}
)
_FIRST: Final = ("index", "record_id", "exchange_id", "kind", "at", "leaf_hash")
_PERSONAL: Final = ("actor", "subject", "payload", "net")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def csv_lines(picks: Iterable[Picked]) -> Iterator[bytes]:
    """Yield CSV (RFC 4180): a line of names, and one for each record.

    An opened personal section is a column of JSON, and the last one is the `origin` of the shard
    that the index is of. What a spreadsheet would take for a formula gets an apostrophe before it.
    """
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow([*_FIRST, *CORE_COLUMNS, *_PERSONAL, "origin"])
    for picked in picks:
        facts = picked.section("core")
        bodies = [picked.sections.get(name) for name in _PERSONAL]
        shown = [item.body.decode() if isinstance(item, Opening) else item for item in bodies]
        named = [*_identity(picked).values(), *[facts.get(name) for name in CORE_COLUMNS], *shown]
        writer.writerow([_cell(value) for value in (*named, picked.origin)])
        if written.tell() > 1 << 16:
            yield _taken(written)
    yield _taken(written)


def write_parquet(picks: Iterable[Picked], path: Path) -> dict[str, object]:
    """Write records to a Parquet file in index order; return what a manifest says of it.

    The columns are those of CSV, then `entry`, the leaf's bytes, and `sections`, the openings as
    JSON, so that the file can be checked against the tree. The same records give the same bytes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = {name: pa.int64() for name in _NUMBERS}
    schema = pa.schema(
        [
            ("index", pa.int64()),
            *[(name, pa.string()) for name in _FIRST[1:4]],
            ("at", pa.timestamp("us", tz="UTC")),
            ("leaf_hash", pa.string()),
            *[(name, numbers.get(name, pa.string())) for name in CORE_COLUMNS],
            ("entry", pa.binary()),
            ("sections", pa.string()),
        ]
    )
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        group: list[dict[str, Any]] = []
        for picked in picks:
            group.append(_parquet_row(picked))
            if len(group) == ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(group, schema))
                rows, group = rows + len(group), []
        if group:
            writer.write_table(pa.Table.from_pylist(group, schema))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.name, "sha256": digest, "rows": rows + len(group)}


def _parquet_row(picked: Picked) -> dict[str, Any]:
    facts = picked.section("core")
    core = {
        name: value if name in _NUMBERS or value is None else _text(value)
        for name in CORE_COLUMNS
        for value in [facts.get(name)]
    }
    sections = orjson.dumps(sections_of(picked)).decode()
    identity = {**_identity(picked), "at": picked.at_us}
    return {**identity, **core, "entry": picked.entry, "sections": sections}


def _identity(picked: Picked) -> dict[str, Any]:
    return {
        "index": picked.index,
        "record_id": uuid_text(picked.record_id),
        "exchange_id": uuid_text(picked.exchange) if picked.exchange else None,
        "kind": picked.kind.value,
        "at": iso_time(picked.at_us),
        "leaf_hash": picked.leaf_hash.hex(),
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _cell(value: object) -> object:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    text = _text(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _taken(written: io.StringIO) -> bytes:
    taken = written.getvalue().encode()
    written.seek(0)
    written.truncate()
    return taken
