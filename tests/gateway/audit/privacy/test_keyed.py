"""Records that have keys left, found and opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.entry import EntryInvalid, Kind, unwrap_keys
from gateway.audit.log import AuditLog
from gateway.audit.place import Place
from gateway.audit.privacy.keyed import (
    Beginnings,
    KeyedRow,
    Named,
    Opener,
    exchanges_about,
    keyed_rows,
    rewrapped,
    rows_of_exchange,
)
from gateway.audit.reading.reader import snapshot
from gateway.audit.search.follow import catch_up
from gateway.audit.search.index import index_path, open_index
from gateway.clock import new_uuid7
from tests.gateway.audit.erasing import AGREEMENT, ANN, BOB, with_exchanges
from tests.gateway.audit.records import ORIGIN, each_store, keys_in, record, tampered, using


def test_people_are_found_however_they_are_written(tmp_path: Path) -> None:
    """Identifiers in records have spaces; those asked for are normalised."""
    path, (ann, bob, both) = with_exchanges(tmp_path, [ANN], [BOB], [ANN, BOB])
    with snapshot(path) as db:
        opener = Opener(db, keys_in(tmp_path))
        assert exchanges_about(keyed_rows(db), {ANN}, opener) == Named(frozenset({ann, both}), {})
        assert exchanges_about(keyed_rows(db), {ANN, BOB}, opener) == Named(
            frozenset({ann, bob, both}), {}
        )
        assert exchanges_about(keyed_rows(db), (), opener) == Named(frozenset(), {})


def test_rows_come_in_pages_and_know_their_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each record with keys comes once; an outcome has its agreement from the intent."""
    path, made = with_exchanges(tmp_path, *[[ANN]] * 5)
    monkeypatch.setattr("gateway.audit.privacy.keyed.ROWS_PER_READ", 3)
    with snapshot(path) as db:
        rows = list(keyed_rows(db))
        assert sorted(row.leaf_index for row in rows) == list(range(1, 11))
        beginnings = Beginnings(db)
        assert {beginnings.of(row) for row in reversed(rows)} == {(AGREEMENT, "P8Y")}
        assert list(keyed_rows(db, until=rows[4].record_id)) == rows[:4]
        assert [row.exchange for row in rows_of_exchange(db, path, made[3])] == [made[3]] * 2


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


def test_of_whom_a_damaged_record_tells_nobody_knows(tmp_path: Path) -> None:
    """Unless another record of its exchange does; the others are found all the same (F20)."""
    path, (ann, bob, both) = with_exchanges(tmp_path, [ANN], [BOB], [ANN, BOB])
    damage = "UPDATE audit_key SET wrapped = CAST(substr(wrapped, 1, 60) AS BLOB)"
    tampered(path, f"{damage} WHERE leaf_index IN (1, 3, 4)")
    with snapshot(path) as db:
        about = exchanges_about(keyed_rows(db), {ANN}, Opener(db, keys_in(tmp_path)))
        assert about == Named(frozenset({ann, both}), {bob: 2})


@each_store
def test_the_records_of_an_exchange_are_found_by_the_index_and_behind_it(tmp_path: Path) -> None:
    """I9: what the index has come to and what it has not, by the one of this very log alone."""
    path, (exchange, other) = with_exchanges(tmp_path, [ANN], [BOB])
    catch_up(path, keys_in(tmp_path))
    late = record(Kind.LATE_OUTCOME, exchange, core={"intent": 1}, net={"source": "192.0.2.7"})

    async def use(log: AuditLog) -> None:
        await log.append(late)

    using(tmp_path, use)
    with snapshot(path) as db:
        assert indices_of(rows_of_exchange(db, path, exchange)) == [1, 2, 5]
        assert indices_of(rows_of_exchange(db, path, other)) == [3, 4]
        assert rows_of_exchange(db, path, new_uuid7()) == []
    catch_up(path, keys_in(tmp_path))
    in_index(path, "DELETE FROM search_exchange WHERE leaf_index = 5")
    with snapshot(path) as db:  # the index is what was asked
        assert indices_of(rows_of_exchange(db, path, exchange)) == [1, 2]
    in_index(path, "UPDATE search_mark SET leaf_hash = zeroblob(32)")
    with snapshot(path) as db:
        assert indices_of(rows_of_exchange(db, path, exchange)) == [1, 2, 5]
    in_index(path, "DELETE FROM search_mark")
    with snapshot(path) as db:
        assert indices_of(rows_of_exchange(db, path, exchange)) == [1, 2, 5]
    index_path(path).write_bytes(b"no database")
    with snapshot(path) as db:
        assert indices_of(rows_of_exchange(db, path, exchange)) == [1, 2, 5]


@each_store
@pytest.mark.parametrize("lost", [(1,), (2,), (1, 2)])
def test_what_the_index_lost_of_an_exchange_is_found_in_the_log(
    tmp_path: Path, lost: tuple[int, ...]
) -> None:
    """I9: an index without its beginning, its end, or any of it is not taken at its word."""
    path, (exchange, _) = with_exchanges(tmp_path, [ANN], [BOB])
    catch_up(path, keys_in(tmp_path))
    for index in lost:
        in_index(path, "DELETE FROM search_exchange WHERE leaf_index = ?", index)
    with snapshot(path) as db:
        assert indices_of(rows_of_exchange(db, path, exchange)) == [1, 2]


def test_an_end_that_names_another_beginning_is_not_trusted(tmp_path: Path) -> None:
    """I9: whatever the index says, what the records say in clear has to fit it."""
    path, (exchange, other) = with_exchanges(tmp_path, [ANN], [BOB])
    catch_up(path, keys_in(tmp_path))
    tampered(path, "UPDATE audit_record SET exchange = ? WHERE leaf_index = 4", exchange)
    in_index(path, "DELETE FROM search_exchange WHERE leaf_index = 2")
    in_index(path, "UPDATE search_exchange SET exchange = (SELECT exchange FROM search_exchange"
                   " WHERE leaf_index = 1) WHERE leaf_index = 4")  # fmt: skip
    with snapshot(path) as db:
        assert indices_of(rows_of_exchange(db, path, exchange)) == [1, 2, 4]
        assert indices_of(rows_of_exchange(db, path, other)) == [3]


def indices_of(rows: list[KeyedRow]) -> list[int]:
    """Return where records lie."""
    return [row.leaf_index for row in rows]


def in_index(path: Place, statement: str, *values: object) -> None:
    """Change the search index behind its back."""
    index = open_index(path)
    try:
        index.execute(statement, values)
    finally:
        index.close()
