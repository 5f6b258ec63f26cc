"""Every change by an administrator that the log has, read without changing anything.

The search index tells where they are, as far as it has come; the records behind it are looked at
one by one, all of them where there is no index.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final, NamedTuple

from gateway.audit.entry import KIND_CODES, Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.place import LogHome, Place
from gateway.audit.reading.reader import find_shards, snapshot
from gateway.audit.search.index import (
    INDEX_MAX,
    Range,
    Word,
    index_path,
    index_snapshot,
    mark_of,
    search_index,
)
from gateway.audit.search.opening import COLUMNS, Found, Opener, found
from gateway.audit.search.query import PAGE_ITEMS_MAX
from gateway.audit.sqlite import Connection

_AT: Final = f"SELECT {COLUMNS} FROM audit_record WHERE leaf_index = ?"  # noqa: S608 - constants
_BEHIND: Final = f"""SELECT {COLUMNS} FROM audit_record
WHERE leaf_index >= ? AND kind = {KIND_CODES[Kind.CHANGE]} ORDER BY leaf_index"""  # noqa: S608 - constants


class Change(NamedTuple):
    """One `admin.change`: what it says in clear, and sealed; None where that cannot be opened."""

    core: dict[str, object]
    payload: dict[str, object] | None


def changes(home: LogHome, keys: LogKeys | None) -> Iterator[Change]:
    """Yield every change in every shard, the oldest first; none where there is no log.

    Without `keys` nothing sealed is opened. Raises LogUnavailable where log or index cannot be
    read.
    """
    for place in find_shards(home):
        yield from _of_shard(place, keys)


def _of_shard(place: Place, keys: LogKeys | None) -> Iterator[Change]:
    with ExitStack() as stack:
        # In this order: what the index has come to is then in the moment of the log.
        index = None
        if index_path(place).exists():
            index = stack.enter_context(index_snapshot(place))
        db = stack.enter_context(snapshot(place))
        opener = Opener(db, keys)
        for record in _records(index, db):
            payload = opener.open(record).get("payload")
            yield Change(opener.core(record), payload if isinstance(payload, dict) else None)


def _records(index: Connection | None, db: Connection) -> Iterator[Found]:
    mark = mark_of(index, db) if index is not None else None
    if index is not None and mark is not None:
        for at in _indices(index):
            yield found(db.execute(_AT, (at,)).fetchone())
    for row in db.execute(_BEHIND, (mark.next_index if mark else 0,)):
        yield found(row)


def _indices(index: Connection) -> list[int]:
    """Return where the index says that changes are, in order."""
    indices, before = list[int](), INDEX_MAX
    while True:
        kind = [Word("kind", Kind.CHANGE.value)]
        hits = search_index(index, kind, Range(before=before), PAGE_ITEMS_MAX)
        indices += hits.indices
        if hits.cursor is None:
            return indices[::-1]
        before = hits.cursor
