"""What an erasure leaves: the write-ahead log, and keys of ended shards."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.audit.holds import Holds
from gateway.audit.log import AuditLog
from gateway.audit.privacy.erasable import Selection, Slot, Tally, planned, slot_of
from gateway.audit.privacy.erase import carry_out, holds_of
from gateway.audit.privacy.keyed import Opener, keyed_rows, wrapped_names
from gateway.audit.privacy.scrub import empty_wal, rewrite
from gateway.audit.reading.reader import snapshot, verify_log
from gateway.audit.store import Overtaken
from tests.gateway.audit.erasing import ANN, ORDER, with_exchanges
from tests.gateway.audit.lifecycle.test_shards import newest, retired
from tests.gateway.audit.records import (
    each_store,
    filled,
    intent,
    keys_in,
    opened,
    selected,
    tampered,
)


def left_of(path: Path) -> dict[int, set[str]]:
    """Return the sections that a shard has keys of, by index."""
    rows = selected(path, "SELECT leaf_index, wrapped FROM audit_key")
    return {index: set(wrapped_names(wrapped)) for index, wrapped in rows}


def test_what_is_on_record_of_an_ended_shard_is_done_though_other_keys_went_meanwhile(
    tmp_path: Path,
) -> None:
    """I9: two erasures of the same records' keys at once; each one's sections go, all of them."""
    ended, _ = with_exchanges(tmp_path, [ANN], [ANN])
    retired(tmp_path)
    keys = keys_in(tmp_path)

    def of(section: str) -> list[Slot]:
        chosen = Selection(before_us=1 << 60, sections=frozenset({section}))
        none = Holds(0, ())
        with snapshot(ended) as db:
            return list(planned(db, ended, keys, chosen, Tally(), holds=none, agreements=()))

    async def use() -> None:
        log = newest(tmp_path)
        await log.start()
        holds = holds_of(log.path, keys)
        for slots in (of("net"), of("subject")), (of("actor"), of("actor")):
            for plan in slots:  # both were made before either is carried out
                await carry_out(log, keys, plan, ORDER, by="time", holds=holds, shard=ended)
        await log.stop()

    asyncio.run(use())
    left = left_of(ended)
    assert {index: left[index] for index in (1, 3)} == {1: {"payload"}, 3: {"payload"}}
    assert {2, 4}.isdisjoint(left)
    assert verify_log(ended, keys=keys).ok


@each_store
def test_a_plan_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    """I9: either all of it is done, or it is told that none was."""
    path, _ = with_exchanges(tmp_path, [ANN], [ANN])
    with snapshot(path) as db:
        opener = Opener(db, keys_in(tmp_path))
        slots = [slot_of(row, ["subject"], opener) for row in keyed_rows(db)]
    changes = [slot.change for slot in slots if slot is not None]
    tampered(path, "DELETE FROM audit_key WHERE leaf_index = 4")
    before = left_of(path)
    with pytest.raises(Overtaken):
        rewrite(path, changes)
    assert left_of(path) == before


def test_a_reader_keeps_the_wal_and_its_end_lets_it_be_emptied(tmp_path: Path) -> None:
    """It is told whether the WAL could be emptied, and nobody is waited for."""
    path = filled(tmp_path, 1)

    async def use(log: AuditLog) -> None:
        await log.start()
        with snapshot(path) as db:
            assert db.execute("SELECT count(*) FROM audit_record").fetchone() == (3,)
            await log.append(intent())
            assert not empty_wal(path)
        assert empty_wal(path)
        assert path.with_name(f"{path.name}-wal").stat().st_size == 0
        await log.append(intent())
        await log.stop()

    asyncio.run(use(opened(tmp_path)))
