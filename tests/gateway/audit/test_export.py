"""Exports: the record before the first byte, files whole or not at all, one moment of the log."""

from __future__ import annotations

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
from gateway.audit.selection import Selection
from gateway.audit.store import LogUnavailable
from tests.gateway.audit.exporting import AGREEMENTS, RECORDS, export_log
from tests.gateway.audit.records import keys_in, provisioned, tampered

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
