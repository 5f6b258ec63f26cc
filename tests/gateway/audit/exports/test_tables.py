"""Records as rows: the same in CSV and Parquet, and no formula in a spreadsheet."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gateway.audit.exports import tables as export_tables
from gateway.audit.exports.selection import Opening, Picked, Selection, pick
from gateway.audit.exports.tables import csv_lines, write_parquet
from gateway.audit.reading.reader import snapshot
from tests.gateway.audit.exporting import PERSON, RECORDS, export_log
from tests.gateway.audit.records import keys_in


@pytest.fixture(scope="module")
def picks(tmp_path_factory: pytest.TempPathFactory) -> list[Picked]:
    """Every record of a log, opened."""
    log = export_log(tmp_path_factory.mktemp("log"))
    with snapshot(log) as db:
        return list(pick(db, Selection(), end=RECORDS, keys=keys_in(log.parent.parent)))


def test_csv_has_a_row_for_each_record(picks: list[Picked]) -> None:
    """Core facts are columns, an outcome's with those of its intent; sections are JSON."""
    rows = list(csv.DictReader(io.StringIO(b"".join(csv_lines(picks)).decode())))
    assert [int(row["index"]) for row in rows] == list(range(RECORDS))
    outcome = next(row for row in rows if row["kind"] == "exchange.outcome")
    assert (outcome["agreement"], outcome["status"]) == ("DSA-2026-0003", "200")
    assert PERSON in next(row for row in rows if row["kind"] == "exchange.intent")["subject"]


def test_csv_holds_no_formula(picks: list[Picked]) -> None:
    """What a spreadsheet would calculate gets an apostrophe."""
    core = Opening(b"", b'{"agreement":"=1+1","alert":true}')
    changed = replace(picks[0], sections={"core": core})
    _, row = b"".join(csv_lines([changed])).decode().splitlines()
    assert ",'=1+1," in row
    assert ",true," in row


def test_parquet_is_the_same_every_time(
    picks: list[Picked], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same records give the same bytes, in index order, in groups of a bounded size."""
    monkeypatch.setattr(export_tables, "ROWS_PER_GROUP", 32)
    told = [write_parquet(iter(picks), tmp_path / name) for name in ("one", "two")]
    assert told[0]["sha256"] == told[1]["sha256"]
    assert told[0]["rows"] == RECORDS
    with pq.ParquetFile(tmp_path / "one") as file:
        assert file.num_row_groups == 3
        rows = file.read().to_pylist()
    assert [row["index"] for row in rows] == list(range(RECORDS))
    assert rows[2]["entry"] == picks[2].entry
    assert rows[2]["status"] == 403
