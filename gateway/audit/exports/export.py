"""Exports of the log: what is taken, in which form, and the record that says so first."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import orjson

from gateway.audit.entry import Kind, Record
from gateway.audit.exports.events import fhir_audit_event, is_event, ocsf_event
from gateway.audit.exports.exported import VERSION
from gateway.audit.exports.ndjson import gap_lines, ndjson_lines
from gateway.audit.exports.parts import Extent, Part, Told, extents, parts_of
from gateway.audit.exports.selection import Picked, Selection
from gateway.audit.exports.tables import csv_lines, write_parquet
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.place import LogHome
from gateway.audit.reading.reader import shard_name
from gateway.audit.search.access import Reader, Use
from gateway.audit.tiles import TILE_BITS
from gateway.clock import new_uuid7, system_time_us
from gateway.files import DIRECTORY_MODE

PARQUET_NAME: Final = "records.parquet"
PROOF_NAME: Final = "proof.ndjson"
MANIFEST_NAME: Final = "manifest.json"
FILE_MODE: Final = 0o600
"""What leaves the log may be about people: files are their owner's alone."""


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
PROVED: Final = frozenset({ExportFormat.NDJSON, ExportFormat.PARQUET})
"""Forms that end at a published checkpoint, and carry what proves them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What is exported: which records, in which form, and whether personal sections are open."""

    selection: Selection
    format: ExportFormat
    personal: bool = False


class Written(NamedTuple):
    """What was written: bytes of a file or rows of a table, of these parts of the log."""

    amount: int
    parts: tuple[Part, ...]


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
    parts: Sequence[Part],
    export: Export,
    keys: LogKeys,
    *,
    told: Told | None = None,
    taken: list[Part] | None = None,
) -> Generator[bytes, None, None]:
    """Yield an export of parts of a log piece by piece.

    Nothing of the log is held from one piece to the next, however long whoever takes them waits.
    `taken` gets each part that the export has something of. Raises LogUnavailable where the log
    cannot be read, EntryInvalid where a record is damaged.
    """
    with closing(_extents(parts, export, keys, told, taken)) as reading:
        if export.format is ExportFormat.NDJSON:
            for extent in reading:
                first = {**extent.head, "asked": export.selection.asked()}
                end, note = extent.part.end, extent.part.note
                yield from ndjson_lines(first, extent.picks, extent.tree, end, note)
        elif export.format is ExportFormat.CSV:
            yield from csv_lines(picked for extent in reading for picked in extent.picks)
        elif export.format is ExportFormat.PARQUET:
            raise ValueError("Parquet is written to files")
        else:
            event = ocsf_event if export.format is ExportFormat.OCSF else fhir_audit_event
            for extent in reading:
                for picked in filter(is_event, extent.picks):
                    told_as = event(picked, extent.part.origin)
                    yield orjson.dumps(told_as, option=orjson.OPT_APPEND_NEWLINE)


def export_parts(home: LogHome, export: Export) -> tuple[Part, ...]:
    """Return what an export reads, as the log is now; LogUnavailable where it cannot be proved."""
    return parts_of(home, export.selection, proved=export.format in PROVED)


def write_file(
    parts: Sequence[Part], export: Export, keys: LogKeys, out: Path, *, told: Told | None = None
) -> Written:
    """Write an export to a file, as `whole_file` does; return its size in bytes.

    Raises FileExistsError where `out` is there; see `export_chunks`.
    """
    taken: list[Part] = []
    with whole_file(out) as file:
        for chunk in export_chunks(parts, export, keys, told=told, taken=taken):
            file.write(chunk)
        return Written(file.tell(), tuple(taken))


def write_parquet_directory(
    parts: Sequence[Part], export: Export, keys: LogKeys, out: Path, *, told: Told | None = None
) -> Written:
    """Write an export as a directory: Parquet, what proves it, and a manifest; return the rows.

    It is whole or not there, and its owner's alone. The manifest has each file's SHA-256 and the
    root of every full tile of level 1. Of several shards each has a directory of its own there, and
    a manifest names them. Raises FileExistsError where `out` is there; see `export_chunks`.
    """
    taken: list[Part] = []
    draft = _draft(out)
    draft.mkdir(DIRECTORY_MODE)
    try:
        with closing(_extents(parts, export, keys, told, taken)) as reading:
            rows = sum(
                _write_parquet(extent, draft / shard_name(extent.part.place)) for extent in reading
            )
        names = [shard_name(part.place) for part in taken]
        if len(names) == 1:
            (draft / names[0]).rename(out)
        else:
            _write_manifest(draft, {"concordat_export": VERSION, "shards": names})
            draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Written(rows, tuple(taken))


def _write_parquet(extent: Extent, directory: Path) -> int:
    directory.mkdir(DIRECTORY_MODE)
    part = extent.part
    with _private(directory / PROOF_NAME) as proof:
        lines = gap_lines(extent.head, extent.picks, extent.tree, part.end, part.note)
        _private(directory / PARQUET_NAME).close()
        table = write_parquet(_writing(lines, proof.write), directory / PARQUET_NAME)
    tiles = extent.db.execute(
        "SELECT idx, root FROM audit_tile WHERE level = 1 AND idx < ? ORDER BY idx",
        (part.end >> 2 * TILE_BITS,),
    ).fetchall()
    with (directory / PROOF_NAME).open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    manifest = {
        **extent.head,
        "files": [table, {"name": PROOF_NAME, "sha256": digest}],
        "tiles": [{"level": 1, "number": number, "root": root.hex()} for number, root in tiles],
    }
    _write_manifest(directory, manifest)
    rows = table["rows"]
    assert isinstance(rows, int)  # noqa: S101 - what `write_parquet` promises
    return rows


def _write_manifest(directory: Path, manifest: Mapping[str, object]) -> None:
    with _private(directory / MANIFEST_NAME) as file:
        file.write(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))


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


def _extents(
    parts: Sequence[Part],
    export: Export,
    keys: LogKeys,
    told: Told | None,
    taken: list[Part] | None,
) -> Generator[Extent, None, None]:
    opened = keys if export.personal else None
    for extent in extents(parts, export.selection, keys=opened, told=told):
        if taken is not None:
            taken.append(extent.part)
        yield extent


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
