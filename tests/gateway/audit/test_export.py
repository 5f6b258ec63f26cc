"""Exports: the record before the first byte, files whole or not at all, one moment of the log."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from gateway.audit.access import Reader, Use, Via
from gateway.audit.entry import EntryInvalid, Kind
from gateway.audit.export import (
    Export,
    ExportFormat,
    export_chunks,
    export_record,
    write_file,
    write_parquet_directory,
)
from gateway.audit.export_check import accepts
from gateway.audit.exported import check_lines
from gateway.audit.log import AuditLog
from gateway.audit.scrub import empty_wal
from gateway.audit.selection import Selection
from gateway.audit.store import LogUnavailable
from tests.gateway.audit.exporting import AGREEMENTS, RECORDS, export_log, vkey_of
from tests.gateway.audit.records import (
    each_store,
    filled,
    integrated,
    intent,
    keys_in,
    place_in,
    provisioned,
    tampered,
    unpublished,
    using,
)

EVERYTHING = Selection()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The file of a log."""
    return export_log(tmp_path)


def exported(log: Path, form: ExportFormat, **asked: object) -> list[bytes]:
    """Return the lines of an export."""
    export = Export(selection=Selection(**asked), format=form)  # type: ignore[arg-type]  # filters by name
    return b"".join(export_chunks(log, export, keys_in(log.parent.parent))).splitlines()


def test_the_record_says_what_leaves_and_hides_what_was_looked_for() -> None:
    """Use, form, range and the names of the filters are clear, their values sealed."""
    export = Export(
        selection=Selection(agreement="DSA-2026-0003", from_us=5, kind=Kind.DENY),
        format=ExportFormat.FHIR,
        personal=True,
    )
    reader = Reader(principal="auditor", via=Via.CONSOLE)
    record = export_record(reader, Use.CRIMINAL_PROCEEDINGS, export)
    assert record.kind is Kind.EXPORT
    assert record.sections["core"] == {
        "verb": "export",
        "use": "criminal_proceedings",
        "format": "fhir",
        "personal": True,
        "filters": ["agreement", "from_us", "kind"],
        "from_us": 5,
    }
    assert record.sections["actor"] == {"principal": "auditor", "via": "console"}
    assert record.sections["payload"]["agreement"] == "DSA-2026-0003"


def test_each_form_holds_what_was_asked_for(log: Path) -> None:
    """Lines of each form, for everything and for one agreement."""
    assert len(exported(log, ExportFormat.CSV)) == 1 + RECORDS
    assert len(exported(log, ExportFormat.OCSF)) == 2 + 40
    fhir = exported(log, ExportFormat.FHIR, agreement=AGREEMENTS[0])
    assert len(fhir) == 20
    assert {orjson.loads(line)["resourceType"] for line in fhir} == {"AuditEvent"}
    assert len(exported(log, ExportFormat.NDJSON)) == 1 + RECORDS + 1


def test_a_log_without_a_checkpoint_has_nothing_to_prove_with(tmp_path: Path) -> None:
    """What can be proved ends at the newest checkpoint, and there is none yet."""
    path = provisioned(tmp_path)
    assert len(exported(path, ExportFormat.CSV)) == 2
    with pytest.raises(LogUnavailable, match="no checkpoint"):
        exported(path, ExportFormat.NDJSON)


def test_a_file_is_whole_or_not_there(log: Path, tmp_path: Path) -> None:
    """An export that breaks off leaves nothing, and none overwrites a file."""
    keys, out = keys_in(tmp_path), tmp_path / "out"
    export = Export(selection=EVERYTHING, format=ExportFormat.NDJSON)
    told: list[tuple[int, int]] = []
    size = write_file(log, export, keys, out, told=lambda *far: told.append(far))
    assert size == out.stat().st_size
    assert told[-1] == (RECORDS, RECORDS)
    with pytest.raises(FileExistsError):
        write_file(log, export, keys, out)
    tampered(log, "UPDATE audit_record SET sections = x'05' WHERE leaf_index = 40")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(EntryInvalid):
        write_file(log, export, keys, tmp_path / "other")
    parquet = Export(selection=EVERYTHING, format=ExportFormat.PARQUET)
    with pytest.raises(EntryInvalid):
        write_parquet_directory(log, parquet, keys, tmp_path / "directory")
    assert sorted(tmp_path.iterdir()) == before


def test_parquet_comes_with_a_manifest(log: Path, tmp_path: Path) -> None:
    """Each file's SHA-256, the log and its size; the root of each full tile of level 1."""
    export = Export(selection=EVERYTHING, format=ExportFormat.PARQUET)
    rows = write_parquet_directory(log, export, keys_in(tmp_path), tmp_path / "out")
    manifest = orjson.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert rows == manifest["files"][0]["rows"] == RECORDS
    assert [file["name"] for file in manifest["files"]] == ["records.parquet", "proof.ndjson"]
    assert manifest["size"] == RECORDS
    assert manifest["tiles"] == []
    with pytest.raises(ValueError, match="written to files"):
        exported(log, ExportFormat.PARQUET)


async def one_more(log: AuditLog) -> None:
    """Append a record."""
    await log.append(intent())


@pytest.mark.parametrize("form", [ExportFormat.NDJSON, ExportFormat.OCSF, ExportFormat.FHIR])
def test_an_export_that_nobody_takes_holds_nothing_of_the_log(
    log: Path, tmp_path: Path, form: ExportFormat
) -> None:
    """The write-ahead log starts over whatever is under way; it would fill the disk (F5)."""
    export = Export(selection=EVERYTHING, format=form, personal=True)
    chunks = export_chunks(log, export, keys_in(tmp_path))
    for _ in range(3):
        assert next(chunks)
        using(tmp_path, one_more)
        assert empty_wal(log)
    chunks.close()


@each_store
def test_an_export_ends_where_it_began_to(tmp_path: Path) -> None:
    """What is appended and signed meanwhile is not in it, and it verifies."""
    filled(tmp_path, 20)
    export = Export(selection=EVERYTHING, format=ExportFormat.NDJSON)
    chunks = export_chunks(place_in(tmp_path), export, keys_in(tmp_path))
    lines = [next(chunks)]
    using(tmp_path, one_more)
    integrated(tmp_path)
    found = check_lines([*lines, *chunks], vkey_of(tmp_path), accepts)
    assert (found.ok, found.size, found.complete) == (True, 41, (0, 40))


def test_a_checkpoint_that_was_not_published_does_not_leave(log: Path, tmp_path: Path) -> None:
    """A failover may lose what is signed and not published yet: two heads would be out (I5)."""
    unpublished(tmp_path, one_more)
    lines = exported(log, ExportFormat.NDJSON)
    found = check_lines(lines, vkey_of(tmp_path), accepts)
    assert (found.ok, found.size) == (True, RECORDS)
    export = Export(selection=EVERYTHING, format=ExportFormat.PARQUET)
    assert write_parquet_directory(log, export, keys_in(tmp_path), tmp_path / "out") == RECORDS
    manifest = orjson.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert manifest["size"] == RECORDS


def test_what_leaves_is_its_owner_s_alone(log: Path, tmp_path: Path) -> None:
    """Whatever the umask of the process is, for it may be about people."""
    keys, before = keys_in(tmp_path), os.umask(0)
    try:
        write_file(
            log, Export(selection=EVERYTHING, format=ExportFormat.CSV), keys, tmp_path / "file"
        )
        parquet = Export(selection=EVERYTHING, format=ExportFormat.PARQUET)
        write_parquet_directory(log, parquet, keys, tmp_path / "directory")
    finally:
        os.umask(before)
    written = [tmp_path / "file", tmp_path / "directory", *(tmp_path / "directory").iterdir()]
    assert len(written) == 5
    assert {oct(path.stat().st_mode & 0o077) for path in written} == {"0o0"}
