"""The search index: what is found by which word or tag, in a file beside the log's.

It holds nothing that is not in the log, and can be made anew from it at any time
(`gateway.audit.search.follow`). So it is never on the way of an exchange, and never takes the log's
lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.place import Place
from gateway.audit.search.terms import term_of
from gateway.audit.sqlite import (
    BUSY_TIMEOUT_S,
    Connection,
    check_sqlite_version,
    open_for_reading,
)
from gateway.audit.store import LogUnavailable

FORM: Final = 1
"""The form of the index; one of another form is made anew."""
CANDIDATES_PER_SEARCH_MAX: Final = 100_000
"""How many entries of the rarest word one search reads; the cursor goes on behind them."""
COUNTED_FOR_RARITY_MAX: Final = 20_000
INDEX_MAX: Final = 1 << 62
HOUR_US: Final = 3_600_000_000
CACHE_KIB: Final = 65_536

TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS search_mark (one INTEGER PRIMARY KEY, form INTEGER NOT NULL,"
    " next_index INTEGER NOT NULL, at_us INTEGER NOT NULL, leaf_hash BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS search_row (leaf_index INTEGER PRIMARY KEY, t INTEGER NOT NULL,"
    " records INTEGER NOT NULL, people INTEGER NOT NULL, dropped INTEGER NOT NULL,"
    " octets INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS search_exchange (exchange BLOB NOT NULL,"
    " leaf_index INTEGER NOT NULL, PRIMARY KEY (exchange, leaf_index))",
    "CREATE TABLE IF NOT EXISTS search_word (name TEXT NOT NULL, word TEXT NOT NULL,"
    " term INTEGER NOT NULL, PRIMARY KEY (name, word))",
    "CREATE TABLE IF NOT EXISTS search_posting (term INTEGER NOT NULL,"
    " leaf_index INTEGER NOT NULL, PRIMARY KEY (term, leaf_index))",
    "CREATE TABLE IF NOT EXISTS search_tag (tag BLOB NOT NULL, leaf_index INTEGER NOT NULL,"
    " what INTEGER NOT NULL, PRIMARY KEY (tag, leaf_index))",
    "CREATE TABLE IF NOT EXISTS search_hour (hour INTEGER PRIMARY KEY,"
    " first_index INTEGER NOT NULL, last_index INTEGER NOT NULL)",
)
INDEXES: Final = ("CREATE INDEX IF NOT EXISTS search_tag_row ON search_tag (leaf_index, what)",)
NAMES: Final = (
    "search_mark", "search_row", "search_exchange", "search_word", "search_posting", "search_tag",
    "search_hour",
)  # fmt: skip

# The primary keys are how rows are found, so that they are the tables.
_SQLITE_ONLY: Final = " STRICT, WITHOUT ROWID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """How far the index has come: records before `next_index` are found, the last made `at_us`."""

    next_index: int
    at_us: int


class Mark(NamedTuple):
    """Where an index ends: records before `next_index` are in it, the last with this leaf hash."""

    next_index: int
    leaf_hash: bytes


class Word(NamedTuple):
    """A condition on what a record says in clear; a `negated` one must not be found."""

    name: str
    value: str
    negated: bool = False


class Tagged(NamedTuple):
    """A condition on whom a record names: any of the tags, one for each year that has a key."""

    tags: tuple[bytes, ...]


Condition = Word | Tagged


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Which records are looked at: time in microseconds, and index; the upper ends exclusive."""

    from_us: int | None = None
    until_us: int | None = None
    before: int = INDEX_MAX


class Hits(NamedTuple):
    """Indices of beginnings that pass, newest first, and where to go on; None at the end."""

    indices: tuple[int, ...]
    cursor: int | None


def index_path(log: Place) -> Path:
    """Return the file of the index that belongs to a log's file."""
    return log.with_name(f"index-{log.stem.removeprefix('audit-')}.db")


def open_index(log: Place) -> Connection:
    """Open the index of a log for writing, and make its tables if they are not there.

    A crash may lose its last steps and cannot break it: they are done again.
    """
    check_sqlite_version(sqlite.sqlite_version_info)
    db = sqlite.connect(
        str(index_path(log)),
        isolation_level=None,
        timeout=BUSY_TIMEOUT_S,
        check_same_thread=False,
    )
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA secure_delete = ON")
    db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    for table in TABLES:
        db.execute(table + _SQLITE_ONLY)
    for index in INDEXES:
        db.execute(index)
    return db


@contextmanager
def index_snapshot(log: Place) -> Iterator[Connection]:
    """Open one unchanging moment of the index for reading; LogUnavailable where it breaks."""
    if not index_path(log).exists():
        raise LogUnavailable("the log has no search index yet: concordat audit reindex")
    try:
        db = open_for_reading(index_path(log))
        try:
            db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            db.execute("BEGIN")
            yield db
        finally:
            db.close()
    except sqlite.Error as broken:
        raise LogUnavailable(f"the search index cannot be read: {broken}") from broken


def watermark(db: Connection) -> Watermark:
    """Return how far the index has come."""
    row = db.execute("SELECT next_index, at_us FROM search_mark WHERE form = ?", (FORM,)).fetchone()
    return Watermark(next_index=row[0], at_us=row[1]) if row else Watermark(next_index=0, at_us=0)


def mark_of(index: Connection, log: Connection) -> Mark | None:
    """Return where an index of this very log ends; None where it is empty or of another history.

    `log` reads a moment that is not before that of `index`.
    """
    row = index.execute(
        "SELECT next_index, leaf_hash FROM search_mark WHERE form = ?", (FORM,)
    ).fetchone()
    if row is None:
        return None
    last = log.execute(
        "SELECT leaf_hash FROM audit_record WHERE leaf_index = ?", (row[0] - 1,)
    ).fetchone()
    return Mark(*row) if last is not None and last[0] == row[1] else None


def members(db: Connection, exchange: bytes) -> list[int]:
    """Return the indices of an exchange's records, in order."""
    rows = db.execute(
        "SELECT leaf_index FROM search_exchange WHERE exchange = ? ORDER BY leaf_index", (exchange,)
    )
    return [index for (index,) in rows]


def bounds(db: Connection, within: Range) -> tuple[int, int]:
    """Return between which indices the records of a range lie: first, and one after the last.

    Clocks may step and bodies may be slow, so that order of time is not quite order of index: of
    every hour the index knows the first and the last record.
    """
    if within.from_us is None and within.until_us is None:
        return 0, within.before
    first, last = db.execute(
        "SELECT min(first_index), max(last_index) FROM search_hour WHERE hour >= ? AND hour <= ?",
        (
            (within.from_us or 0) // HOUR_US,
            (INDEX_MAX if within.until_us is None else within.until_us) // HOUR_US,
        ),
    ).fetchone()
    if first is None:
        return 0, 0
    return first, min(within.before, last + 1)


def search_index(
    db: Connection, conditions: Sequence[Condition], within: Range, limit: int
) -> Hits:
    """Return beginnings for which every condition holds; at least one must not be negated."""
    low, high = bounds(db, within)
    if high <= low or any(isinstance(one, Tagged) and not one.tags for one in conditions):
        return Hits((), None)
    positive = [one for one in conditions if not (isinstance(one, Word) and one.negated)]
    first = min(positive, key=lambda one: rarity(db, one, low, high))
    others = [one for one in conditions if one is not first]
    floor = _floor(db, first, low, high)
    statement, values = intersection(first, others, within)
    rows = db.execute(statement, (*values, high, floor, *_times(within), limit + 1)).fetchall()
    # One record may carry the tags of two years, where it began in one and ended in the next.
    found = list(dict.fromkeys(index for (index,) in rows))
    if len(rows) > limit:
        kept = found[:limit]
        return Hits(tuple(kept), kept[-1])
    return Hits(tuple(found), floor if floor > low else None)


def intersection(
    first: Condition, others: Sequence[Condition], within: Range
) -> tuple[str, tuple[object, ...]]:
    """Return the statement that walks `first` backwards and asks for each of the others.

    After its own values it takes the range of indices, times if the range has them, and a limit.
    """
    table, holds, values = asked(first, "c0")
    joined, where = [f"{table} AS c0"], [holds]
    given: list[object] = [*values]
    for number, other in enumerate(others, start=1):
        alias = f"c{number}"
        table, holds, values = asked(other, alias)
        met = f"{holds} AND {alias}.leaf_index = c0.leaf_index"
        if isinstance(other, Word) and other.negated:
            where.append(f"NOT EXISTS (SELECT 1 FROM {table} AS {alias} WHERE {met})")  # noqa: S608 - constants
        else:
            joined.append(f"{table} AS {alias}")
            where.append(met)
        given += values
    where.append("c0.leaf_index < ? AND c0.leaf_index >= ?")
    if within.from_us is not None or within.until_us is not None:
        joined.append("search_row AS r")
        where.append("r.leaf_index = c0.leaf_index AND r.t >= ? AND r.t < ?")
    # A cross join is done in the order in which it is written.
    statement = (
        f"SELECT c0.leaf_index FROM {' CROSS JOIN '.join(joined)}"  # noqa: S608 - constants
        f" WHERE {' AND '.join(where)} ORDER BY c0.leaf_index DESC LIMIT ?"
    )
    return statement, tuple(given)


def _times(within: Range) -> tuple[int, ...]:
    if within.from_us is None and within.until_us is None:
        return ()
    return (within.from_us or 0, INDEX_MAX if within.until_us is None else within.until_us)


def asked(condition: Condition, alias: str) -> tuple[str, str, tuple[object, ...]]:
    """Return a condition's table, how it is asked under an alias, and its values in order."""
    if isinstance(condition, Word):
        value = term_of(condition.name, condition.value)
        return "search_posting", f"{alias}.term = ?", (value,)
    if len(condition.tags) == 1:
        return "search_tag", f"{alias}.tag = ?", condition.tags
    marks = ", ".join("?" * len(condition.tags))
    return "search_tag", f"{alias}.tag IN ({marks})", condition.tags


def rarity(db: Connection, condition: Condition, low: int, high: int) -> int:
    """Count a condition's entries, as far as it matters which is the rarest."""
    table, holds, values = asked(condition, "c0")
    counted = db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {table} AS c0"  # noqa: S608 - constants
        f" WHERE {holds} AND c0.leaf_index < ? AND c0.leaf_index >= ? LIMIT ?) AS some",
        (*values, high, low, COUNTED_FOR_RARITY_MAX),
    ).fetchone()
    return int(counted[0])


def _floor(db: Connection, first: Condition, low: int, high: int) -> int:
    """Return the index above which a search of bounded length stays."""
    table, holds, values = asked(first, "c0")
    row = db.execute(
        f"SELECT c0.leaf_index FROM {table} AS c0"  # noqa: S608 - constants
        f" WHERE {holds} AND c0.leaf_index < ? AND c0.leaf_index >= ?"
        " ORDER BY c0.leaf_index DESC LIMIT 1 OFFSET ?",
        (*values, high, low, CANDIDATES_PER_SEARCH_MAX - 1),
    ).fetchone()
    return int(row[0]) if row else low
