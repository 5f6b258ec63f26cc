"""One search through all shards: nothing twice, nothing passed over, the newest first."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from gateway.audit import incident
from gateway.audit.entry import INTEGER_MAX
from gateway.audit.log import AuditLog
from gateway.audit.reading.reader import find_shards
from gateway.audit.search import across
from gateway.audit.search.across import SHARD_SKEW_US, find_across, shards_within
from gateway.audit.search.query import Filters
from gateway.audit.store import LogUnavailable
from gateway.clock import new_uuid7, system_time_us, uuid_text
from tests.gateway.audit.records import integrated, intent, keys_in, selected, using
from tests.gateway.audit.sharded import retired, using_newest

EXCHANGES_PER_SHARD = 3


def with_shards(directory: Path, shards: int) -> list[str]:
    """Make a log of several shards; return its exchanges, the newest first."""
    made = [[new_uuid7() for _ in range(EXCHANGES_PER_SHARD)] for _ in range(shards)]

    async def first(log: AuditLog) -> None:
        for exchange in made[0]:
            await log.append(intent(exchange))

    using(directory, first)
    integrated(directory)
    for exchanges in made[1:]:
        retired(directory)
        _fill_newest(directory, exchanges)
    return [uuid_text(exchange) for exchanges in made for exchange in exchanges][::-1]


def _fill_newest(directory: Path, exchanges: list[bytes]) -> None:
    async def use(log: AuditLog) -> None:
        for exchange in exchanges:
            await log.append(intent(exchange))

    using_newest(directory, use)


def walked(directory: Path, limit: int, filters: Filters | None = None) -> list[object]:
    """Return everything that is found page by page."""
    cursor: int | None = None
    found: list[object] = []
    while True:
        page = find_across(
            directory / "audit",
            filters or Filters(),
            keys=keys_in(directory),
            cursor=cursor,
            limit=limit,
        )
        found += [item["exchange_id"] for item in page.items]
        if page.cursor is None:
            return found
        assert page.cursor <= INTEGER_MAX, "every JSON implementation can hold it"
        cursor = page.cursor


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_pages_go_from_one_shard_to_the_one_before(tmp_path: Path, limit: int) -> None:
    """Whatever a page's length, each exchange is found once, the newest first."""
    made = with_shards(tmp_path, 3)
    assert walked(tmp_path, limit) == made
    assert walked(tmp_path, limit, Filters(agreement="DSA-2026-0003")) == made
    assert walked(tmp_path, limit, Filters(agreement="DSA-2020-0001")) == []


def test_a_cursor_outlives_what_happens_between_two_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard that is begun, or taken away, moves no page; and one page reads so many shards."""
    made = with_shards(tmp_path, 3)
    audit, keys = tmp_path / "audit", keys_in(tmp_path)
    first = find_across(audit, Filters(), keys=keys, cursor=None, limit=4)
    assert [item["exchange_id"] for item in first.items] == made[:4]
    retired(tmp_path)
    rest = find_across(audit, Filters(), keys=keys, cursor=first.cursor, limit=50)
    assert [item["exchange_id"] for item in rest.items] == made[4:]
    (audit / "audit-2020.db").write_bytes(b"no log at all, and never reached")
    monkeypatch.setattr(across, "SHARDS_PER_PAGE_MAX", 1)
    page = find_across(audit, Filters(), keys=keys, cursor=first.cursor, limit=50)
    assert [item["exchange_id"] for item in page.items] == made[4:6]
    assert page.cursor is not None
    for file in audit.glob("*2026-2.db*"):
        file.unlink()
    gone = find_across(audit, Filters(), keys=keys, cursor=first.cursor, limit=50)
    assert [item["exchange_id"] for item in gone.items] == made[6:]


def test_an_index_alone_is_of_the_newest_shard(tmp_path: Path) -> None:
    """A cursor from before there were several shards to search goes on where it was."""
    made = with_shards(tmp_path, 1)
    page = find_across(tmp_path / "audit", Filters(), keys=keys_in(tmp_path), cursor=2, limit=1)
    assert [item["exchange_id"] for item in page.items] == made[2:]


def test_without_a_log_there_is_nothing_to_search(tmp_path: Path) -> None:
    """No shard at all is an error, not an empty page."""
    with pytest.raises(LogUnavailable, match="no audit log"):
        find_across(tmp_path, Filters(), keys=keys_in(tmp_path), cursor=None, limit=1)
    with pytest.raises(LogUnavailable, match="no audit log"):
        shards_within(tmp_path, None, None)


def test_a_time_is_in_the_shards_of_its_day(tmp_path: Path) -> None:
    """A shard that had ended a day before, or began a day after, is not read at all."""
    with_shards(tmp_path, 3)
    audit = tmp_path / "audit"
    first, second, third = find_shards(audit)
    ((began_us,),) = selected(third, "SELECT t FROM audit_record WHERE leaf_index = 0")
    assert shards_within(audit, None, None) == [first, second, third]
    assert shards_within(audit, began_us, began_us + 1) == [first, second, third]
    later_us = began_us + SHARD_SKEW_US
    first.write_bytes(b"no log at all")
    assert shards_within(audit, later_us, None) == [third]
    assert shards_within(audit, later_us, later_us + 1) == [third]
    with pytest.raises(LogUnavailable, match=r"audit-2026\.db cannot be read"):
        shards_within(audit, None, later_us)
    first.unlink()
    assert shards_within(audit, None, began_us - 2 * SHARD_SKEW_US) == [third]


def test_a_slow_clock_at_the_begin_of_a_shard_hides_none_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was recorded an hour ago is in the older shard, though the newer says it is as old."""
    exchange, now_us = new_uuid7(), system_time_us()

    async def use(log: AuditLog) -> None:
        await log.append(intent(exchange))

    using(tmp_path, use)
    integrated(tmp_path)
    slow_s = 3 * 86_400
    with monkeypatch.context() as slow:
        slow.setattr(incident, "system_time_us", lambda: system_time_us() - slow_s * 1_000_000)
        slow.setattr(incident, "new_uuid7", partial(uuid7_at, now_us - slow_s * 1_000_000))
        retired(tmp_path)
    audit, hour_us = tmp_path / "audit", 3_600_000_000
    first, second = find_shards(audit)
    assert shards_within(audit, now_us - hour_us, None) == [first, second]
    assert shards_within(audit, now_us - hour_us, now_us + hour_us) == [first, second]
    assert shards_within(audit, now_us + 2 * SHARD_SKEW_US, None) == [second]


def test_a_fast_clock_at_the_begin_of_a_shard_hides_nothing_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was recorded once the clock was right is found, though the shard says it is younger."""
    with_shards(tmp_path, 1)
    now_us = system_time_us()
    fast_us = 3 * SHARD_SKEW_US
    with monkeypatch.context() as fast:
        fast.setattr(incident, "system_time_us", lambda: system_time_us() + fast_us)
        fast.setattr(incident, "new_uuid7", partial(uuid7_at, now_us + fast_us))
        retired(tmp_path)
    _fill_newest(tmp_path, [new_uuid7()])
    audit = tmp_path / "audit"
    assert shards_within(audit, None, now_us + SHARD_SKEW_US) == find_shards(audit)


def uuid7_at(at_us: int) -> bytes:
    """Return an identifier as a clock makes it that shows this time."""
    return (at_us // 1_000).to_bytes(6, "big") + new_uuid7()[6:]
