"""Retention and the search indexes of ended shards, which no follower keeps up."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.log import AuditLog
from gateway.audit.place import Place
from gateway.audit.privacy import retention
from gateway.audit.privacy.retention import Expirer
from gateway.audit.reading.reader import shard_name
from gateway.audit.seal import DAY_US
from gateway.audit.search.follow import catch_up, index_anew
from gateway.audit.search.index import index_snapshot
from gateway.audit.search.terms import What
from gateway.audit.store import LogUnavailable
from tests.gateway.audit.erasing import ANN, exchange_about
from tests.gateway.audit.privacy.test_retention import PERIODS, TODAY, with_two_periods
from tests.gateway.audit.records import each_store, keys_in
from tests.gateway.audit.sharded import retired, using_newest


def tags_of(place: Place, keys: LogKeys) -> int:
    """Count the tags of people by which exchanges of a shard are found, once its index is whole."""
    catch_up(place, keys)
    with index_snapshot(place) as index:
        counted = "SELECT count(*) FROM search_tag WHERE what = ?"
        return int(index.execute(counted, (What.PERSON.value,)).fetchone()[0])


@each_store
@pytest.mark.parametrize(("days_on", "left"), [(740, 1), (2_300, 0)])
def test_who_has_expired_is_found_in_no_ended_shard(
    tmp_path: Path, days_on: int, left: int
) -> None:
    """I9: neither where single sections go, nor where a day goes with its key."""
    ended, keys = with_two_periods(tmp_path), keys_in(tmp_path)
    assert tags_of(ended, keys) == 2
    retired(tmp_path)

    async def use(log: AuditLog) -> None:
        await exchange_about(log, ANN, kept_for="P2Y" if left == 0 else "P4Y")
        expirer = Expirer(log, keys, PERIODS, agreements_on_hold=tuple)
        await expirer.expire((TODAY + days_on) * DAY_US)
        assert expirer.left == ()

    using_newest(tmp_path, use)
    assert tags_of(ended, keys) == left


def test_an_index_that_could_not_be_emptied_is_told_and_emptied_by_the_next_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I9: what went is gone from the log, so that nothing but memory leads back to the index."""
    ended, keys = with_two_periods(tmp_path), keys_in(tmp_path)
    assert tags_of(ended, keys) == 2
    retired(tmp_path)

    def fail(shard: Place, keys: LogKeys) -> None:
        monkeypatch.setattr(retention, "index_anew", index_anew)
        raise LogUnavailable(f"no room for the index of {shard_name(shard)}, {keys}")

    async def use(log: AuditLog) -> None:
        monkeypatch.setattr(retention, "index_anew", fail)
        expirer = Expirer(log, keys, PERIODS, agreements_on_hold=tuple)
        await expirer.expire((TODAY + 2_300) * DAY_US)
        assert "may still find" in expirer.left[0]
        assert tags_of(ended, keys) == 2
        await expirer.expire((TODAY + 2_300) * DAY_US)
        assert expirer.left == ()

    using_newest(tmp_path, use)
    assert tags_of(ended, keys) == 0
