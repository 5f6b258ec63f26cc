"""All shards of a log: which of them a time is in, and one search with one cursor through them."""

from __future__ import annotations

from typing import Final

from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.place import LogHome, Place
from gateway.audit.reading.reader import CannotTell, find_shards, shard_name, snapshot
from gateway.audit.search.query import PAGE_ITEMS_MAX, Filters, Page, View, find
from gateway.audit.store import LogUnavailable

SHARDS_PER_PAGE_MAX: Final = 4
"""How many shards one page looks into; its cursor goes on in the one before."""
SHARD_SKEW_US: Final = 86_400_000_000
"""How far a record's time may lie beyond the begin of the next shard: clocks are set by hand."""
_INDEX_BITS: Final = 36
"""Enough for a record every millisecond of two years. With the shard's age a cursor stays below
2^53, so that every JSON implementation can hold it (RFC 8785, section 3.2.2.3)."""
_NUMBER_BITS: Final = 8
_FIRST_YEAR: Final = 1970
_IDENTIFIERS: Final = "SELECT record_id FROM audit_record ORDER BY record_id"
_END: Final = (1 << _INDEX_BITS) - 1


def shards_within(home: LogHome, from_us: int | None, until_us: int | None) -> list[Place]:
    """Return the shards that may hold records of a time, the oldest first.

    Where none does, that is the newest. Raises LogUnavailable where there is no log, or one of the
    shards cannot be read that could: what is asked of all must not pass one over in silence.
    """
    shards = find_shards(home)
    if not shards:
        raise LogUnavailable("there is no audit log")
    if from_us is None and until_us is None:
        return shards
    found: list[Place] = []
    begun = False  # by its own clock, the shard after this one, before `from_us`
    for place in reversed(shards):
        try:
            began_us, newest_us = _times(place)
        except CannotTell:
            raise
        except LogUnavailable:
            if not begun:
                raise
            break  # nothing says that it holds any of that time
        # The later shard may have begun by a slow clock: what its begin tells, this one confirms.
        if begun and from_us is not None and newest_us + SHARD_SKEW_US <= from_us:
            break
        if until_us is None or began_us < until_us + SHARD_SKEW_US:
            found.append(place)
        begun = from_us is not None and began_us + SHARD_SKEW_US <= from_us
    return found[::-1] or shards[-1:]


def _times(place: Place) -> tuple[int, int]:
    """Return when a shard began and when its newest record was made, which need not be its last.

    Identifiers are UUIDv7 and indexed, so that the greatest and the least are found at once; they
    are made within the time that a body may take (`opening.BODY_MS_MAX`) of the record's own time.
    """
    with snapshot(place) as db:
        first = db.execute("SELECT t FROM audit_record WHERE leaf_index = 0").fetchone()
        least = db.execute(f"{_IDENTIFIERS} LIMIT 1").fetchone()
        greatest = db.execute(f"{_IDENTIFIERS} DESC LIMIT 1").fetchone()
    if first is None:
        return 0, 0
    return min(first[0], _made_us(least[0])), _made_us(greatest[0])


def _made_us(identifier: bytes) -> int:
    return int.from_bytes(identifier[:6], "big") * 1_000


def find_across(
    home: LogHome, filters: Filters, *, keys: LogKeys, cursor: int | None, limit: int
) -> Page:
    """Return a page of exchanges that pass the filters, of any shard, without personal sections.

    A cursor says the shard and the index to go on from, and holds when a shard is begun, or an old
    one is taken away, between two pages; an index alone is of the newest shard. The watermark is
    that of the newest shard the page looks into. Raises LogUnavailable where there is no log, or
    one of these shards cannot be read: a page must not pass one over in silence.
    """
    shards = find_shards(home)[::-1]
    if not shards:
        raise LogUnavailable("there is no audit log")
    age, before = divmod(_END if cursor is None else cursor, 1 << _INDEX_BITS)
    later = [shard for shard in shards if not age or _age(shard) <= age] or shards[-1:]
    if age not in (0, _age(later[0])):
        before = _END if _age(later[0]) < age else 0
    items: list[View] = []
    limit, mark = min(limit, PAGE_ITEMS_MAX), None
    for place in later[:SHARDS_PER_PAGE_MAX]:
        within = None if before == _END else before
        page = find(
            place, filters, keys=keys, cursor=within, limit=limit - len(items), opened=False
        )
        items += page.items
        mark, before = mark or page.watermark, _END
        if page.cursor is not None:
            return Page(items=tuple(items), cursor=_cursor(place, page.cursor), watermark=mark)
        if len(items) == limit:
            break
    assert mark is not None  # noqa: S101 - there is a shard
    rest = later[later.index(place) + 1 :]
    onward = _cursor(rest[0], _END) if rest else None
    return Page(items=tuple(items), cursor=onward, watermark=mark)


def _cursor(place: Place, index: int) -> int:
    return _age(place) << _INDEX_BITS | index


def _age(place: Place) -> int:
    """Return a number greater than that of every older shard, and never 0."""
    year, _, number = shard_name(place).partition("-")
    return (int(year) - _FIRST_YEAR) << _NUMBER_BITS | int(number or 1)
