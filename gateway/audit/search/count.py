"""Counts of exchanges: series by word and time, and how far a set of exchanges reached.

Both go over all shards of a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.place import LogHome, Place
from gateway.audit.reading.reader import shard_name, snapshot
from gateway.audit.search.across import shards_within
from gateway.audit.search.follow import catch_up
from gateway.audit.search.index import (
    COUNTED_FOR_RARITY_MAX,
    INDEX_MAX,
    Condition,
    Watermark,
    Word,
    asked,
    bounds,
    index_snapshot,
    rarity,
    watermark,
)
from gateway.audit.search.opening import COLUMNS, Opener, found
from gateway.audit.search.query import Filters, conditions_of, range_of
from gateway.audit.search.terms import What
from gateway.audit.sqlite import Connection
from gateway.audit.store import LogUnavailable

GROUPS_MAX: Final = 10_000
"""Rows of one answer."""
GROUPS_MERGED_MAX: Final = 100_000
"""Rows of each shard that are brought together; of more, a row might lack some of its numbers."""
DIMENSIONS_MAX: Final = 3
LOOKUPS_MAX: Final = 100_000
"""Above so many, no record is asked for each word in turn: the words' records are sorted once."""

CLIENT: Final = "client"
PERIODS: Final = {"hour": 3_600_000_000, "day": 86_400_000_000, "week": 604_800_000_000}
"""Lengths of time in microseconds that are counted by; a week begins on a Thursday, as 1970 did."""
COUNTED: Final = (
    "agreement", "version", "digest", "rule", "purpose", "service", "dataset", "consumer",
    "provider", "organisation", "decision", "reason", "status", "action", "instrument",
    "data_class", "exemption", "opt_out", "subject_view", "register", "operation", "problem",
    "kind",
)  # fmt: skip
"""Words that are counted by; an exchange with several of one name counts under each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many exchanges there were under some words, and what they disclosed in all.

    `people` counts somebody once for every exchange. None stands for a number too small to publish,
    and for times that are not published: those of the first and the last (microseconds).
    """

    group: tuple[str, ...]
    exchanges: int | None
    records: int | None
    people: int | None
    dropped: int | None
    first_us: int | None = None
    last_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """A series, the greatest first, as far as the newest shard's index has come."""

    rows: tuple[Count, ...]
    watermark: Watermark


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far some exchanges reached: the numbers that a report of a breach asks for (Art 33(3)).

    `people` are different people by their tags, each year's apart; `people_counted` is the sum of
    what every answer had, which is greater where somebody was in several, or where an answer had
    more people than its record names. Times are microseconds, None without an exchange.
    """

    exchanges: int
    records: int
    people: int
    people_counted: int
    octets: int
    first_us: int | None
    last_us: int | None
    data_classes: tuple[str, ...]
    agreements: tuple[str, ...]
    watermark: Watermark


def count(home: LogHome, filters: Filters, by: Sequence[str], *, keys: LogKeys) -> Counts:
    """Count the exchanges that pass the filters, divided by words and at most one period.

    Raises ValueError for what is not counted by, or for too many rows to bring together;
    LogUnavailable where a shard cannot be read, or an old one's index has still to be made.
    """
    if len(by) > DIMENSIONS_MAX or set(by) - {*COUNTED, *PERIODS, CLIENT} or len(set(by)) < len(by):
        raise ValueError(f"count by at most {DIMENSIONS_MAX} of: {', '.join(known_dimensions())}")
    shards = _indexed(home, filters, keys)
    limit = GROUPS_MAX if len(shards) == 1 else GROUPS_MERGED_MAX
    found: dict[tuple[str, ...], list[_Figures]] = {}
    for place in shards:
        counted = _count(place, filters, by, keys, limit)
        if len(shards) > 1 and len(counted) == limit:
            raise ValueError(f"{limit} rows or more: count by fewer words, or of a shorter time")
        for group, figures in counted:
            found.setdefault(group, []).append(figures)
    rows = [_row(group, figures) for group, figures in found.items()]
    rows.sort(key=lambda row: (-(row.exchanges or 0), row.group))
    return Counts(rows=tuple(rows[:GROUPS_MAX]), watermark=_mark(shards[-1]))


def _indexed(home: LogHome, filters: Filters, keys: LogKeys) -> list[Place]:
    """Return the shards to count in, once their indices have come up with them.

    The watermark tells how far the newest one's has. Numbers that lack a part of an older shard
    would pass for the whole.
    """
    shards = shards_within(home, filters.from_us, filters.until_us)
    for place in shards:
        catch_up(place, keys)
    for place in shards[:-1]:
        with snapshot(place) as log:
            (end,) = log.execute("SELECT next_index FROM audit_head").fetchone()
        if _mark(place).next_index < end:
            name = shard_name(place)
            raise LogUnavailable(f"the search index of the shard {name} is still being made")
    return shards


def _mark(place: Place) -> Watermark:
    with index_snapshot(place) as db:
        return watermark(db)


_Figures = tuple[int, int, int, int, int | None, int | None]


def _count(
    place: Place, filters: Filters, by: Sequence[str], keys: LogKeys, limit: int
) -> list[tuple[tuple[str, ...], _Figures]]:
    """Count in one shard; answer each group with its figures, in the order of `Count`."""
    with index_snapshot(place) as db:
        query = _Query(db, conditions_of(filters, keys), filters)
        for name in by:
            query.divide(name)
        rows = query.rows(
            "count(*), coalesce(sum(r.records), 0), coalesce(sum(r.people), 0),"
            " coalesce(sum(r.dropped), 0), min(r.t), max(r.t)",
            limit,
        ).fetchall()
        names = _client_names(db, place, keys, rows, by) if CLIENT in by else {}
    groups = [tuple(names.get(str(value), str(value)) for value in row[: len(by)]) for row in rows]
    return [(group, row[len(by) :]) for group, row in zip(groups, rows, strict=True)]


def _row(group: tuple[str, ...], figures: Sequence[_Figures]) -> Count:
    """Bring together what several shards, or years, have of one group."""
    exchanges, records, people, dropped, firsts, lasts = zip(*figures, strict=True)
    return Count(
        group=group,
        exchanges=sum(exchanges),
        records=sum(records),
        people=sum(people),
        dropped=sum(dropped),
        first_us=min(_known(firsts), default=None),
        last_us=max(_known(lasts), default=None),
    )


def _known(times: Iterable[int | None]) -> list[int]:
    return [at_us for at_us in times if at_us is not None]


def known_dimensions() -> tuple[str, ...]:
    """Return everything that is counted by."""
    return (*COUNTED, CLIENT, *PERIODS)


def reach(home: LogHome, filters: Filters, *, keys: LogKeys) -> Reach:
    """Tell how far the exchanges that pass the filters reached; LogUnavailable as `count`."""
    shards = _indexed(home, filters, keys)
    conditions, totals = conditions_of(filters, keys), []
    listed: dict[str, set[str]] = {"data_class": set(), "agreement": set()}
    # A table of its own, for there may be more people than fit into memory; SQLite removes it.
    with closing(sqlite.connect("")) as seen:
        seen.execute("CREATE TABLE person (tag BLOB PRIMARY KEY) WITHOUT ROWID")
        for place in shards:
            with index_snapshot(place) as db:
                totals += _Query(db, conditions, filters).rows(
                    "count(*), coalesce(sum(r.records), 0), coalesce(sum(r.people), 0),"
                    " coalesce(sum(r.octets), 0), min(r.t), max(r.t)"
                )
                seen.executemany(
                    "INSERT INTO person VALUES (?) ON CONFLICT DO NOTHING",
                    _people(_Query(db, conditions, filters)),
                )
                for name, words in listed.items():
                    query = _Query(db, conditions, filters)
                    query.divide(name)
                    words.update(str(row[0]) for row in query.rows("count(*)"))
        (different,) = seen.execute("SELECT count(*) FROM person").fetchone()
    exchanges, records, people, octets, firsts, lasts = zip(*totals, strict=True)
    return Reach(
        exchanges=sum(exchanges),
        records=sum(records),
        people=different,
        people_counted=sum(people),
        octets=sum(octets),
        first_us=min(_known(firsts), default=None),
        last_us=max(_known(lasts), default=None),
        data_classes=tuple(sorted(listed["data_class"])),
        agreements=tuple(sorted(listed["agreement"])),
        watermark=_mark(shards[-1]),
    )


def _people(query: _Query) -> Iterator[tuple[bytes]]:
    query.tagged(What.PERSON)
    yield from query.rows("DISTINCT person.tag")


class _Query:
    """A statement that joins what is asked to what it is divided by, in the order written."""

    def __init__(self, db: Connection, conditions: Sequence[Condition], filters: Filters) -> None:
        within = range_of(filters)
        low, high = bounds(db, within)
        until = INDEX_MAX if within.until_us is None else within.until_us
        self._db = db
        self._range = (low, high, within.from_us or 0, until)
        positive = [one for one in conditions if not (isinstance(one, Word) and one.negated)]
        counted = {one: rarity(db, one, low, high) for one in positive}
        # The rarest first, negated words last.
        self._conditions = sorted(conditions, key=lambda one: counted.get(one, INDEX_MAX))
        self._rarest = min(counted.values())
        self._few = self._rarest < COUNTED_FOR_RARITY_MAX
        self._sorted: list[str] = []
        self._sorted_values: list[object] = []
        self._tables: list[str] = []
        self._where: list[str] = []
        self._values: list[object] = []
        self._groups: list[str] = []

    def divide(self, name: str) -> None:
        if name == CLIENT:
            self.tagged(What.CLIENT)
            self._groups.append("client.tag")
        elif name in PERIODS:
            length = PERIODS[name]
            self._groups.append(f"(r.t / {length}) * {length}")
        elif self._tables or self._few:
            self._divide_further(name)
        else:
            self._walk(name)

    def _divide_further(self, name: str) -> None:
        """Divide records that something else leads to, by the way that asks less."""
        (words,) = self._db.execute(
            "SELECT count(*) FROM search_word WHERE name = ?", (name,)
        ).fetchone()
        if self._rarest * words <= LOOKUPS_MAX:
            self._walk(name)
            return
        divided = f"d{len(self._groups)}"
        # As a table of its own it gets an index by record, which takes one pass.
        self._sorted.append(
            f"{divided} AS MATERIALIZED (SELECT p.leaf_index, w.word FROM search_word AS w"  # noqa: S608 - constants
            " CROSS JOIN search_posting AS p WHERE w.name = ? AND p.term = w.term"
            " AND p.leaf_index >= ? AND p.leaf_index < ?)"
        )
        self._sorted_values += [name, *self._range[:2]]
        self._tables.append(divided)
        self._where.append(f"{divided}.leaf_index = r.leaf_index")
        self._groups.append(f"{divided}.word")

    def _walk(self, name: str) -> None:
        """Divide by looking for each word's record."""
        number = len(self._groups)
        word, posting = f"w{number}", f"p{number}"
        self._tables += [f"search_word AS {word}", f"search_posting AS {posting}"]
        self._where.append(
            f"{word}.name = ? AND {posting}.term = {word}.term"
            f" AND {posting}.leaf_index = r.leaf_index"
        )
        self._values.append(name)
        self._groups.append(f"{word}.word")

    def tagged(self, what: What) -> None:
        alias = what.name.lower()
        self._tables.append(f"search_tag AS {alias}")
        self._where.append(f"{alias}.leaf_index = r.leaf_index AND {alias}.what = {what.value}")

    def rows(self, figures: str, limit: int = GROUPS_MAX) -> Any:
        """Return a cursor over the rows of figures, the greatest group first."""
        tables: list[str] = []
        where: list[str] = []
        values: list[object] = []
        for number, condition in enumerate(self._conditions):
            table, holds, given = asked(condition, f"c{number}")
            met = f"{holds} AND c{number}.leaf_index = r.leaf_index"
            if isinstance(condition, Word) and condition.negated:
                where.append(f"NOT EXISTS (SELECT 1 FROM {table} AS c{number} WHERE {met})")  # noqa: S608 - constants
            else:
                tables.append(f"{table} AS c{number}")
                where.append(met)
            values += given
        where.append("r.leaf_index >= ? AND r.leaf_index < ? AND r.t >= ? AND r.t < ?")
        where += self._where
        grouped = ", ".join(self._groups)
        shown = f"{grouped}, {figures}" if grouped else figures
        limited = f" GROUP BY {grouped} ORDER BY count(*) DESC, {grouped} LIMIT ?"
        sorted_once = f"WITH {', '.join(self._sorted)} " if self._sorted else ""
        statement = (
            f"{sorted_once}SELECT {shown} FROM {' CROSS JOIN '.join(self._in_order(tables))}"  # noqa: S608 - constants
            f" WHERE {' AND '.join(where)}{limited if grouped else ''}"
        )
        last = (limit,) if grouped else ()
        return self._db.execute(
            statement, (*self._sorted_values, *values, *self._range, *self._values, *last)
        )

    def _in_order(self, tables: list[str]) -> list[str]:
        """Begin with the rarest condition, or where none is rare with the first word's records."""
        walks = not self._few and self._tables and self._tables[0].startswith("search_word ")
        first = 2 if walks else 0
        return [
            *self._tables[:first], tables[0], "search_row AS r", *tables[1:], *self._tables[first:],
        ]  # fmt: skip


def _client_names(
    db: Connection, place: Place, keys: LogKeys, rows: Sequence[Sequence[Any]], by: Sequence[str]
) -> dict[str, str]:
    """Return the names of clients by their tags as text; one that was erased keeps its tag."""
    at = list(by).index(CLIENT)
    names: dict[str, str] = {}
    with snapshot(place) as log:
        opener = Opener(log, keys)
        for tag in {row[at] for row in rows}:
            (index,) = db.execute(
                "SELECT max(leaf_index) FROM search_tag WHERE tag = ?", (tag,)
            ).fetchone()
            row = log.execute(
                f"SELECT {COLUMNS} FROM audit_record WHERE leaf_index = ?",  # noqa: S608 - constants
                (index,),
            ).fetchone()
            actor = opener.open(found(row)).get("actor") if row else None
            name = (
                actor.get("client") or actor.get("client_id") if isinstance(actor, dict) else None
            )
            assert isinstance(tag, bytes)  # noqa: S101 - the column holds nothing else
            names[str(tag)] = str(name) if name else f"erased {tag.hex()[:8]}"
    return names
