"""Exports of the log: what is taken, in which form, and the record that says so first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import orjson

from gateway.audit.access import Reader, Use
from gateway.audit.entry import Kind, Record
from gateway.audit.export_events import fhir_audit_event, is_event, ocsf_event
from gateway.audit.export_ndjson import gap_lines, ndjson_lines
from gateway.audit.export_tables import csv_lines, write_parquet
from gateway.audit.exported import VERSION
from gateway.audit.keys import LogKeys
from gateway.audit.place import Place
from gateway.audit.reader import snapshot
from gateway.audit.selection import Picked, Selection, pick
from gateway.audit.sqlite import Connection
from gateway.audit.store import LogUnavailable
from gateway.audit.tree import StoredTree
from gateway.clock import new_uuid7, system_time_us

PARQUET_NAME: Final = "records.parquet"
PROOF_NAME: Final = "proof.ndjson"
MANIFEST_NAME: Final = "manifest.json"

Told = Callable[[int, int], None]
"""Hears how many records were read, and of how many."""


class ExportFormat(StrEnum):
    """The forms in which records leave the log; only two can be proved afterwards.

    NDJSON and Parquet carry entries, openings and hashes; the others are for other programs.
    """

    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"
    OCSF = "ocsf"
    FHIR = "fhir"


MEDIA_TYPES: Final[Mapping[ExportFormat, str]] = {
    ExportFormat.NDJSON: "application/x-ndjson",
    ExportFormat.CSV: "text/csv; charset=utf-8; header=present",
    ExportFormat.OCSF: "application/x-ndjson",
    ExportFormat.FHIR: "application/fhir+ndjson",
}
"""What each form is called over HTTP; Parquet is written to files only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What is exported: which records, in which form, and whether personal sections are open."""

    selection: Selection
    format: ExportFormat
    personal: bool = False


def export_record(reader: Reader, use: Use, export: Export) -> Record:
    """Return the record that must be durable before the first byte of an export leaves.

    What is selected may be about a person, so that `core` names the filters alone; their values
    are sealed.
    """
    asked = export.selection.asked()
    times = {name: value for name, value in asked.items() if name in ("from_us", "until_us")}
    return Record(
        record_id=new_uuid7(),
        kind=Kind.EXPORT,
        exchange=None,
        at_us=system_time_us(),
        sections={
            "core": {
                "verb": "export",
                "use": use.value,
                "format": export.format.value,
                "personal": export.personal,
                "filters": sorted(asked),
                **times,
            },
            "actor": {"principal": reader.principal, "via": reader.via.value},
            "payload": asked,
        },
    )


def export_chunks(
    place: Place, export: Export, keys: LogKeys, *, told: Told | None = None
) -> Iterator[bytes]:
    """Yield an export piece by piece, from one moment of the log.

    Raises LogUnavailable where the log cannot be read, EntryInvalid where a record is damaged.
    """
    with _moment(place, export, keys, told) as moment:
        if export.format is ExportFormat.NDJSON:
            head = {**moment.head, "asked": export.selection.asked()}
            yield from ndjson_lines(head, moment.picks, moment.tree, moment.end, moment.note)
        elif export.format is ExportFormat.CSV:
            yield from csv_lines(moment.picks)
        elif export.format is ExportFormat.PARQUET:
            raise ValueError("Parquet is written to files")
        else:
            event = ocsf_event if export.format is ExportFormat.OCSF else fhir_audit_event
            for picked in filter(is_event, moment.picks):
                yield orjson.dumps(event(picked, moment.origin), option=orjson.OPT_APPEND_NEWLINE)


def write_file(
    place: Place, export: Export, keys: LogKeys, out: Path, *, told: Told | None = None
) -> int:
    """Write an export to a file, whole or not at all; return its size in bytes.

    Raises FileExistsError where `out` is there; see `export_chunks`.
    """
    draft = _draft(out)
    try:
        with draft.open("xb") as file:
            for chunk in export_chunks(place, export, keys, told=told):
                file.write(chunk)
            size = file.tell()
        draft.rename(out)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return size


def write_parquet_directory(
    place: Place, export: Export, keys: LogKeys, out: Path, *, told: Told | None = None
) -> int:
    """Write an export as a directory: Parquet, what proves it, and a manifest; return the rows.

    The manifest has each file's SHA-256 and the root of every full tile of level 1. Raises
    FileExistsError where `out` is there; see `export_chunks`.
    """
    draft = _draft(out)
    draft.mkdir()
    try:
        with _moment(place, export, keys, told) as moment, (draft / PROOF_NAME).open("xb") as proof:
            lines = gap_lines(moment.head, moment.picks, moment.tree, moment.end, moment.note)
            table = write_parquet(_writing(lines, proof.write), draft / PARQUET_NAME)
            tiles = moment.db.execute(
                "SELECT idx, root FROM audit_tile WHERE level = 1 ORDER BY idx"
            ).fetchall()
        written = (draft / PROOF_NAME).read_bytes()
        proved = {"name": PROOF_NAME, "sha256": hashlib.sha256(written).hexdigest()}
        manifest = {
            **moment.head,
            "files": [table, proved],
            "tiles": [{"level": 1, "number": number, "root": root.hex()} for number, root in tiles],
        }
        (draft / MANIFEST_NAME).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        draft.rename(out)
    except BaseException:
        for file in draft.iterdir():
            file.unlink()
        draft.rmdir()
        raise
    rows = table["rows"]
    assert isinstance(rows, int)  # noqa: S101 - what `write_parquet` promises
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """One moment of the log, with what is picked from it."""

    db: Connection
    origin: str
    end: int
    note: str
    picks: Iterator[Picked]

    @property
    def tree(self) -> StoredTree:
        return StoredTree(self.db)

    @property
    def head(self) -> dict[str, object]:
        return {"concordat_export": VERSION, "origin": self.origin, "size": self.end}


@contextmanager
def _moment(place: Place, export: Export, keys: LogKeys, told: Told | None) -> Iterator[_Moment]:
    """Open a moment of the log; what can be proved ends at its newest checkpoint."""
    with snapshot(place) as db:
        origin, end = db.execute("SELECT origin, next_index FROM audit_head").fetchone()
        note = ""
        if export.format in (ExportFormat.NDJSON, ExportFormat.PARQUET):
            newest = db.execute(
                "SELECT size, note FROM audit_checkpoint ORDER BY size DESC LIMIT 1"
            ).fetchone()
            if newest is None:
                raise LogUnavailable("no checkpoint proves the log's records yet")
            end, note = newest
        picks = pick(
            db,
            export.selection,
            end=end,
            keys=keys if export.personal else None,
            told=None if told is None else lambda done: told(done, end),
        )
        yield _Moment(db=db, origin=origin, end=end, note=note, picks=picks)


def _writing(lines: Iterator[bytes | Picked], write: Callable[[bytes], object]) -> Iterator[Picked]:
    """Write what is a line, and hand on what is a record."""
    for line in lines:
        if isinstance(line, bytes):
            write(line)
        else:
            yield line


def _draft(out: Path) -> Path:
    if out.exists():
        raise FileExistsError(f"{out} is there already")
    return out.with_name(f".{out.name}.{new_uuid7().hex()}")
