"""Exports of the log: what is taken, in which form, and the record that says so first."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from gateway.audit.access import Reader, Use
from gateway.audit.entry import Kind, Record
from gateway.audit.export_events import fhir_audit_event, is_event, ocsf_event
from gateway.audit.export_ndjson import gap_lines, ndjson_lines
from gateway.audit.export_tables import csv_lines, write_parquet
from gateway.audit.exported import VERSION
from gateway.audit.keys import LogKeys
from gateway.audit.place import Place
from gateway.audit.published import Head, published_head
from gateway.audit.reader import passing
from gateway.audit.selection import Picked, Selection, pick
from gateway.audit.sqlite import Connection
from gateway.audit.store import LogUnavailable
from gateway.audit.tiles import TILE_BITS
from gateway.audit.tree import StoredTree
from gateway.clock import new_uuid7, system_time_us
from gateway.files import DIRECTORY_MODE

PARQUET_NAME: Final = "records.parquet"
PROOF_NAME: Final = "proof.ndjson"
MANIFEST_NAME: Final = "manifest.json"
FILE_MODE: Final = 0o600
"""What leaves the log may be about people: files are their owner's alone."""

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
    place: Place,
    export: Export,
    keys: LogKeys,
    *,
    told: Told | None = None,
    head: Head | None = None,
) -> Generator[bytes, None, None]:
    """Yield an export piece by piece, up to what the log holds as it begins.

    What can be proved ends at `head`, or else at the newest published checkpoint. Nothing of the
    log is held from one piece to the next, however long whoever takes them waits. Raises
    LogUnavailable where the log cannot be read, EntryInvalid where a record is damaged.
    """
    with _extent(place, export, keys, told, head) as extent:
        if export.format is ExportFormat.NDJSON:
            first = {**extent.head, "asked": export.selection.asked()}
            yield from ndjson_lines(first, extent.picks, extent.tree, extent.end, extent.note)
        elif export.format is ExportFormat.CSV:
            yield from csv_lines(extent.picks)
        elif export.format is ExportFormat.PARQUET:
            raise ValueError("Parquet is written to files")
        else:
            event = ocsf_event if export.format is ExportFormat.OCSF else fhir_audit_event
            for picked in filter(is_event, extent.picks):
                yield orjson.dumps(event(picked, extent.origin), option=orjson.OPT_APPEND_NEWLINE)


def write_file(
    place: Place, export: Export, keys: LogKeys, out: Path, *, told: Told | None = None
) -> int:
    """Write an export to a file, as `whole_file` does; return its size in bytes.

    Raises FileExistsError where `out` is there; see `export_chunks`.
    """
    with whole_file(out) as file:
        for chunk in export_chunks(place, export, keys, told=told):
            file.write(chunk)
        return file.tell()


def write_parquet_directory(
    place: Place, export: Export, keys: LogKeys, out: Path, *, told: Told | None = None
) -> int:
    """Write an export as a directory: Parquet, what proves it, and a manifest; return the rows.

    It is whole or not there, and its owner's alone.
    The manifest has each file's SHA-256 and the root of every full tile of level 1. Raises
    FileExistsError where `out` is there; see `export_chunks`.
    """
    draft = _draft(out)
    draft.mkdir(DIRECTORY_MODE)
    try:
        with (
            _extent(place, export, keys, told, None) as extent,
            _private(draft / PROOF_NAME) as proof,
        ):
            lines = gap_lines(extent.head, extent.picks, extent.tree, extent.end, extent.note)
            _private(draft / PARQUET_NAME).close()
            table = write_parquet(_writing(lines, proof.write), draft / PARQUET_NAME)
            tiles = extent.db.execute(
                "SELECT idx, root FROM audit_tile WHERE level = 1 AND idx < ? ORDER BY idx",
                (extent.end >> 2 * TILE_BITS,),
            ).fetchall()
        with (draft / PROOF_NAME).open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
        manifest = {
            **extent.head,
            "files": [table, {"name": PROOF_NAME, "sha256": digest}],
            "tiles": [{"level": 1, "number": number, "root": root.hex()} for number, root in tiles],
        }
        with _private(draft / MANIFEST_NAME) as file:
            file.write(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        draft.rename(out)
    except BaseException:
        for made in draft.iterdir():
            made.unlink()
        draft.rmdir()
        raise
    rows = table["rows"]
    assert isinstance(rows, int)  # noqa: S101 - what `write_parquet` promises
    return rows


@contextmanager
def whole_file(out: Path) -> Iterator[BinaryIO]:
    """Write a new file whole or not at all, readable by its owner alone.

    It has its name once it is written. Raises FileExistsError where `out` is there.
    """
    draft = _draft(out)
    try:
        with _private(draft) as file:
            yield file
        draft.rename(out)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extent:
    """How far an export reaches, and what is picked from there."""

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
def _extent(
    place: Place, export: Export, keys: LogKeys, told: Told | None, head: Head | None
) -> Iterator[_Extent]:
    """Open what an export reads; what can be proved ends at a checkpoint that was published.

    One that is signed and not published yet must not leave (I5): a failover may lose it.
    """
    if export.format in (ExportFormat.NDJSON, ExportFormat.PARQUET):
        head = head or published_head(place)
        if head is None:
            raise LogUnavailable("no checkpoint proves the log's records yet")
    with passing(place) as db:
        origin, end = db.execute("SELECT origin, next_index FROM audit_head").fetchone()
        note = ""
        if head is not None:
            note, end, _ = head
        picks = pick(
            db,
            export.selection,
            end=end,
            keys=keys if export.personal else None,
            told=None if told is None else lambda done: told(done, end),
        )
        yield _Extent(db=db, origin=origin, end=end, note=note, picks=picks)


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


def _private(path: Path) -> BinaryIO:
    """Open a new file that its owner alone may read, whatever the process's umask is."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE), "wb")
