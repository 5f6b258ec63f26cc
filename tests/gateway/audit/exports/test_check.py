"""Checking exports where they lie: NDJSON in a file, Parquet in a directory."""

from __future__ import annotations

from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway.audit.exports.check import check_export
from gateway.audit.exports.export import (
    Export,
    ExportFormat,
    export_parts,
    write_file,
    write_parquet_directory,
)
from gateway.audit.exports.exported import Unreadable
from gateway.audit.exports.selection import Selection
from tests.gateway.audit.exporting import AGREEMENTS, RECORDS, export_log, vkey_of
from tests.gateway.audit.records import keys_in


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """A Parquet export of one agreement, everything opened."""
    log = export_log(tmp_path)
    selection = Selection(agreement=AGREEMENTS[1])
    export = Export(selection=selection, format=ExportFormat.PARQUET, personal=True)
    write_parquet_directory(
        export_parts(log.parent, export), export, keys_in(tmp_path), tmp_path / "out"
    )
    return tmp_path / "out"


def test_a_file_is_checked(tmp_path: Path) -> None:
    """NDJSON is read line by line."""
    log = export_log(tmp_path)
    export = Export(selection=Selection(), format=ExportFormat.NDJSON)
    write_file(export_parts(log.parent, export), export, keys_in(tmp_path), tmp_path / "out")
    (found,) = check_export(tmp_path / "out", [vkey_of(tmp_path)])
    assert found.ok
    assert found.records == RECORDS


def test_a_directory_is_checked(parquet: Path) -> None:
    """Rows and hashes are brought together, and lead to the signed root."""
    (found,) = check_export(parquet, [vkey_of(parquet.parent)])
    assert found.ok, found.faults
    assert found.records == 36
    assert found.closed == 0
    assert found.complete == (2 + 36, 2 + 71)


def rewritten(parquet: Path, *, at: int, column: str, value: object) -> None:
    """Change a value of the Parquet file, and the manifest with it."""
    path = parquet / "records.parquet"
    with pq.ParquetFile(path) as file:
        table = file.read()
    rows = table.to_pylist()
    rows[at][column] = value
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


def test_a_changed_row_is_told_with_its_index(parquet: Path) -> None:
    """Its entry does not lead to the root, and the file is not the one of the manifest (F20)."""
    with pq.ParquetFile(parquet / "records.parquet") as file:
        row = file.read().to_pylist()[5]
    sections = orjson.loads(row["sections"])
    sections["core"]["body"] = sections["core"]["body"].replace("R1", "R2").replace("200", "500")
    rewritten(parquet, at=5, column="sections", value=orjson.dumps(sections).decode())
    ((*_, faults),) = check_export(parquet, [vkey_of(parquet.parent)])
    assert (-1, "records.parquet is not the file that the manifest names") in faults
    assert (row["index"], "the section core does not have its commitment") in faults


@pytest.mark.parametrize("manifest", [b"[]", b"1", b"null", b'{"files":[[]]}', b'{"shards":1}'])
def test_a_manifest_of_another_form_cannot_be_told(parquet: Path, manifest: bytes) -> None:
    """It says nothing of the records, so it is no difference that an auditor was shown."""
    (parquet / "manifest.json").write_bytes(manifest)
    with pytest.raises(Unreadable):
        check_export(parquet, [vkey_of(parquet.parent)])


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("entry", pa.array(["{}"])),
        ("entry", pa.array([None], pa.binary())),
        ("entry", pa.array([1])),
        ("sections", pa.array([None], pa.string())),
        ("index", pa.array([None], pa.int64())),
        ("index", pa.array([2**31 - 1], pa.date32())),
        ("index", pa.array([["0"]])),
    ],
)
def test_columns_of_other_types_cannot_be_told(
    parquet: Path, column: str, values: pa.Array
) -> None:
    """Whatever Parquet can hold in a column that has our name."""
    columns = {"index": pa.array([0]), "entry": pa.array([b"{}"]), "sections": pa.array(["{}"])}
    pq.write_table(pa.table({**columns, column: values}), parquet / "records.parquet")
    with pytest.raises(Unreadable):
        check_export(parquet, [vkey_of(parquet.parent)])


def test_a_proof_of_other_lines_cannot_be_told(parquet: Path) -> None:
    """Each is an object, as in NDJSON."""
    (parquet / "proof.ndjson").write_bytes(b"[]\n")
    with pytest.raises(Unreadable):
        check_export(parquet, [vkey_of(parquet.parent)])


def test_what_is_no_export_cannot_be_told(parquet: Path) -> None:
    """Other files, and manifests that lead elsewhere."""
    vkey = [vkey_of(parquet.parent)]
    with pytest.raises(OSError, match="No such file"):
        check_export(parquet / "nothing", vkey)
    with pytest.raises(OSError, match="manifest"):
        check_export(parquet.parent, vkey)
    (parquet / "records.parquet").write_bytes(b"nothing")
    with pytest.raises(Unreadable):
        check_export(parquet, vkey)
    (parquet / "manifest.json").write_bytes(b'{"files":[{"name":"../other","sha256":""}]}')
    with pytest.raises(Unreadable, match="no export has"):
        check_export(parquet, vkey)
