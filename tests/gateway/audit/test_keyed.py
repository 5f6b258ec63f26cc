"""Records that have keys left, found and opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.entry import EntryInvalid, unwrap_keys
from gateway.audit.keyed import (
    Beginnings,
    Opener,
    exchanges_about,
    keyed_rows,
    rewrapped,
    rows_of_exchange,
)
from gateway.audit.reader import snapshot
from tests.gateway.audit.erasing import AGREEMENT, ANN, BOB, with_exchanges
from tests.gateway.audit.records import ORIGIN, keys_in, tampered


def test_people_are_found_however_they_are_written(tmp_path: Path) -> None:
    """Identifiers in records have spaces; those asked for are normalised."""
    path, (ann, bob, both) = with_exchanges(tmp_path, [ANN], [BOB], [ANN, BOB])
    with snapshot(path) as db:
        opener = Opener(db, keys_in(tmp_path))
        assert exchanges_about(db, {ANN}, opener) == {ann, both}
        assert exchanges_about(db, {ANN, BOB}, opener) == {ann, bob, both}
        assert exchanges_about(db, (), opener) == set()


def test_rows_come_in_pages_and_know_their_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each record with keys comes once; an outcome has its agreement from the intent."""
    path, made = with_exchanges(tmp_path, *[[ANN]] * 5)
    monkeypatch.setattr("gateway.audit.keyed.ROWS_PER_READ", 3)
    with snapshot(path) as db:
        rows = list(keyed_rows(db))
        assert sorted(row.leaf_index for row in rows) == list(range(1, 11))
        beginnings = Beginnings(db)
        assert {beginnings.of(row) for row in reversed(rows)} == {(AGREEMENT, "P8Y")}
        assert list(keyed_rows(db, until=rows[4].record_id)) == rows[:4]
        assert [row.exchange for row in rows_of_exchange(db, made[3])] == [made[3]] * 2


def test_keys_that_stay_are_wrapped_anew(tmp_path: Path) -> None:
    """What is left opens with the day's key; changed bytes are not taken for keys."""
    path, _ = with_exchanges(tmp_path, [ANN])
    with snapshot(path) as db:
        opener = Opener(db, keys_in(tmp_path))
        row = next(keyed_rows(db))
        kek = opener.day_key(row.day)
        assert kek is not None
        kept = rewrapped(kek, ORIGIN, row, {"actor", "subject"})
        before = unwrap_keys(kek, ORIGIN, row.record_id, row.wrapped)
        after = unwrap_keys(kek, ORIGIN, row.record_id, kept)
        assert after == {name: before[name] for name in ("actor", "subject")}
        assert opener.section(row, "actor") == {"client": "council-app"}
        assert opener.section(row._replace(wrapped=kept), "net") is None
    tampered(path, "UPDATE audit_key SET wrapped = CAST(substr(wrapped, 1, 60) AS BLOB)")
    with snapshot(path) as db, pytest.raises(EntryInvalid):
        Opener(db, keys_in(tmp_path)).section(next(keyed_rows(db)), "actor")
