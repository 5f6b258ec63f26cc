"""Exports: the record before the first byte, files whole or not at all, one moment of the log."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import orjson
import pytest

from gateway.audit.entry import EntryInvalid, Kind
from gateway.audit.exports.check import accepts, check_export
from gateway.audit.exports.export import (
    Export,
    ExportFormat,
    export_chunks,
    export_parts,
    export_record,
    write_file,
    write_parquet_directory,
)
from gateway.audit.exports.exported import KeyMissing, Unreadable, check_lines
from gateway.audit.exports.selection import Selection
from gateway.audit.log import AuditLog
from gateway.audit.place import LogHome, PostgresHome
from gateway.audit.privacy.scrub import empty_wal
from gateway.audit.search.access import Reader, Use, Via
from gateway.audit.store import LogUnavailable
from tests.gateway.audit.exporting import AGREEMENTS, RECORDS, export_log, vkey_of
from tests.gateway.audit.records import (
    each_store,
    filled,
    home_of,
    integrated,
    intent,
    keys_in,
    provisioned,
    tampered,
    unpublished,
    using,
)
from tests.gateway.audit.sharded import (
    integrated_newest,
    origin_of_newest,
    retired,
    using_newest,
)

EVERYTHING = Selection()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The file of a log."""
    return export_log(tmp_path)


def chunks_of(home: LogHome, export: Export) -> Generator[bytes, None, None]:
    """Begin an export of a log as it is now."""
    directory = home.directory if isinstance(home, PostgresHome) else home
    keys = keys_in(directory.parent)
    return export_chunks(export_parts(home, export), export, keys)


def exported(log: Path, form: ExportFormat, **asked: object) -> list[bytes]:
    """Return the lines of an export."""
    export = Export(selection=Selection(**asked), format=form)  # type: ignore[arg-type]  # filters by name
    return b"".join(chunks_of(log.parent, export)).splitlines()


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
    parts = export_parts(log.parent, export)
    size = write_file(parts, export, keys, out, told=lambda *far: told.append(far)).amount
    assert size == out.stat().st_size
    assert told[-1] == (RECORDS, RECORDS)
    with pytest.raises(FileExistsError):
        write_file(parts, export, keys, out)
    tampered(log, "UPDATE audit_record SET sections = x'05' WHERE leaf_index = 40")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(EntryInvalid):
        write_file(parts, export, keys, tmp_path / "other")
    parquet = Export(selection=EVERYTHING, format=ExportFormat.PARQUET)
    with pytest.raises(EntryInvalid):
        write_parquet_directory(parts, parquet, keys, tmp_path / "directory")
    assert sorted(tmp_path.iterdir()) == before


def test_parquet_comes_with_a_manifest(log: Path, tmp_path: Path) -> None:
    """Each file's SHA-256, the log and its size; the root of each full tile of level 1."""
    export = Export(selection=EVERYTHING, format=ExportFormat.PARQUET)
    parts = export_parts(log.parent, export)
    rows = write_parquet_directory(parts, export, keys_in(tmp_path), tmp_path / "out").amount
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
    chunks = chunks_of(log.parent, export)
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
    chunks = chunks_of(home_of(tmp_path), export)
    lines = [next(chunks)]
    using(tmp_path, one_more)
    integrated(tmp_path)
    (found,) = check_lines([*lines, *chunks], [vkey_of(tmp_path)], accepts)
    assert (found.ok, found.size, found.complete) == (True, 41, (0, 40))


def test_a_checkpoint_that_was_not_published_does_not_leave(log: Path, tmp_path: Path) -> None:
    """A failover may lose what is signed and not published yet: two heads would be out (I5)."""
    unpublished(tmp_path, one_more)
    lines = exported(log, ExportFormat.NDJSON)
    (found,) = check_lines(lines, [vkey_of(tmp_path)], accepts)
    assert (found.ok, found.size) == (True, RECORDS)
    export = Export(selection=EVERYTHING, format=ExportFormat.PARQUET)
    parts = export_parts(log.parent, export)
    written = write_parquet_directory(parts, export, keys_in(tmp_path), tmp_path / "out")
    assert written.amount == RECORDS
    manifest = orjson.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert manifest["size"] == RECORDS


def test_what_leaves_is_its_owner_s_alone(log: Path, tmp_path: Path) -> None:
    """Whatever the umask of the process is, for it may be about people."""
    keys, before = keys_in(tmp_path), os.umask(0)
    try:
        export = Export(selection=EVERYTHING, format=ExportFormat.CSV)
        write_file(export_parts(log.parent, export), export, keys, tmp_path / "file")
        parquet = Export(selection=EVERYTHING, format=ExportFormat.PARQUET)
        parts = export_parts(log.parent, parquet)
        write_parquet_directory(parts, parquet, keys, tmp_path / "directory")
    finally:
        os.umask(before)
    written = [tmp_path / "file", tmp_path / "directory", *(tmp_path / "directory").iterdir()]
    assert len(written) == 5
    assert {oct(path.stat().st_mode & 0o077) for path in written} == {"0o0"}


@pytest.fixture
def two_shards(log: Path, tmp_path: Path) -> list[str]:
    """The public keys of a log's two shards; the newer one holds an exchange."""
    retired(tmp_path)
    using_newest(tmp_path, one_more)
    integrated_newest(tmp_path)
    signer = keys_in(tmp_path).signer(origin_of_newest(tmp_path))
    return [vkey_of(tmp_path), signer.verifier.vkey()]


def test_an_export_goes_over_all_shards(two_shards: list[str], tmp_path: Path) -> None:
    """Every form holds what each shard has, and says of which; every shard is proved by itself."""
    home = tmp_path / "audit"
    lines = list(chunks_of(home, Export(selection=EVERYTHING, format=ExportFormat.NDJSON)))
    older, newer = check_lines(lines, two_shards, accepts)
    assert (older.ok, older.complete) == (True, (0, RECORDS))
    assert (newer.ok, newer.complete) == (True, (0, 1))
    csv = b"".join(chunks_of(home, Export(selection=EVERYTHING, format=ExportFormat.CSV)))
    assert [row.rpartition(b",")[2] for row in csv.splitlines()[1:]] == [
        *[older.origin.encode()] * (RECORDS + 1),
        *[newer.origin.encode()] * 2,
    ]
    with pytest.raises(KeyMissing, match=newer.origin):
        check_lines(lines, two_shards[:1], accepts)
    with pytest.raises(Unreadable, match="one shard twice"):
        check_lines([*lines, *lines], two_shards, accepts)
    end = next(at for at, line in enumerate(lines) if b'"checkpoint"' in line)
    with pytest.raises(Unreadable):
        check_lines([*lines[:end], *lines[end + 1 :]], two_shards, accepts)


def test_parquet_has_a_directory_for_each_shard(two_shards: list[str], tmp_path: Path) -> None:
    """A manifest names them; each is checked as one, and no other path is followed."""
    export = Export(selection=EVERYTHING, format=ExportFormat.PARQUET)
    parts, out = export_parts(tmp_path / "audit", export), tmp_path / "out"
    told: list[tuple[int, int]] = []
    written = write_parquet_directory(
        parts, export, keys_in(tmp_path), out, told=lambda *far: told.append(far)
    )
    assert (written.amount, [part.vkey for part in written.parts]) == (RECORDS + 3, two_shards)
    assert told[-1] == (RECORDS + 3, RECORDS + 3)
    assert sorted(path.name for path in out.iterdir()) == ["2026", "2026-2", "manifest.json"]
    older, newer = check_export(out, two_shards)
    assert (older.ok, older.records, newer.ok, newer.records) == (True, RECORDS + 1, True, 2)
    (out / "2026-2" / "records.parquet").write_bytes((out / "2026/records.parquet").read_bytes())
    assert not check_export(out, two_shards)[1].ok
    (out / "manifest.json").write_bytes(b'{"shards":["../out/2026"]}')
    with pytest.raises(Unreadable, match="no export has"):
        check_export(out, two_shards)
    (out / "manifest.json").write_bytes(b'{"shards":["2026","2026"]}')
    with pytest.raises(Unreadable, match="one shard twice"):
        check_export(out, two_shards)
    (out / "manifest.json").write_bytes(b'{"shards":[]}')
    with pytest.raises(Unreadable, match="no shard"):
        check_export(out, two_shards)
