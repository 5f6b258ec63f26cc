"""Counts of exchanges: series by word and time, and how far a set of exchanges reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from gateway.audit.follow import catch_up
from gateway.audit.index import (
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
from gateway.audit.keys import LogKeys
from gateway.audit.opening import COLUMNS, Opener, found
from gateway.audit.place import Place
from gateway.audit.reader import snapshot
from gateway.audit.search import Filters, conditions_of, range_of
from gateway.audit.sqlite import Connection
from gateway.audit.terms import What

GROUPS_MAX: Final = 10_000
"""Rows of one answer."""
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
PUBLIC: Final = frozenset(
    {"agreement", "purpose", "service", "dataset", "consumer", "provider", "decision", "week"}
)
"""What public counts may be divided and filtered by: nothing that tells of one person's hour."""
SMALL_MAX: Final = 7
ROUNDED_TO: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many exchanges there were under some words, and what they disclosed in all.

    `people` counts somebody once for every exchange. None stands for a number too small to publish.
    """

    group: tuple[str, ...]
    exchanges: int | None
    records: int | None
    people: int | None
    dropped: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """A series, the greatest first, as far as the index has come."""

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


def count(place: Place, filters: Filters, by: Sequence[str], *, keys: LogKeys) -> Counts:
    """Count the exchanges that pass the filters, divided by words and at most one period.

    Raises ValueError for what is not counted by, LogUnavailable where the log cannot be read.
    """
    if len(by) > DIMENSIONS_MAX or set(by) - {*COUNTED, *PERIODS, CLIENT} or len(set(by)) < len(by):
        raise ValueError(f"count by at most {DIMENSIONS_MAX} of: {', '.join(known_dimensions())}")
    catch_up(place, keys)
    with index_snapshot(place) as db:
        query = _Query(db, conditions_of(filters, keys), filters)
        for name in by:
            query.divide(name)
        rows = query.rows(
            "count(*), coalesce(sum(r.records), 0), coalesce(sum(r.people), 0),"
            " coalesce(sum(r.dropped), 0)"
        )
        names = _client_names(db, place, keys, rows, by) if CLIENT in by else {}
        counted = [
            Count(
                group=tuple(names.get(str(value), str(value)) for value in row[: len(by)]),
                exchanges=row[-4],
                records=row[-3],
                people=row[-2],
                dropped=row[-1],
            )
            for row in rows
        ]
        return Counts(rows=tuple(counted), watermark=watermark(db))


def known_dimensions() -> tuple[str, ...]:
    """Return everything that is counted by."""
    return (*COUNTED, CLIENT, *PERIODS)


def publishable(counts: Counts, filters: Filters, by: Sequence[str]) -> Counts:
    """Return counts that may be published: none of 1 to 7, all others rounded to five.

    The rule of the small-number guard, so that no two series give a small one by subtraction.
    Raises ValueError for a division, a filter or a range of time that is not for the public: they
    would tell of one person, or of one hour, what the division may not.
    """
    times = {"from_us": filters.from_us, "until_us": filters.until_us}
    asked = {
        field.name for field in fields(filters) if getattr(filters, field.name) is not None
    } - set(times)
    if (set(by) | asked) - PUBLIC:
        raise ValueError(f"public counts are divided and filtered by: {', '.join(sorted(PUBLIC))}")
    if any(at_us is not None and at_us % PERIODS["week"] for at_us in times.values()):
        raise ValueError("public counts are of whole weeks: they begin on Thursdays, 00:00 UTC")
    rows = [
        Count(
            group=row.group,
            exchanges=_public(row.exchanges),
            records=_public(row.records),
            people=_public(row.people),
            dropped=_public(row.dropped),
        )
        for row in counts.rows
    ]
    return Counts(rows=tuple(rows), watermark=counts.watermark)


def reach(place: Place, filters: Filters, *, keys: LogKeys) -> Reach:
    """Tell how far the exchanges that pass the filters reached; LogUnavailable as `count`."""
    catch_up(place, keys)
    with index_snapshot(place) as db:
        conditions = conditions_of(filters, keys)
        ((exchanges, records, people, octets, first, last),) = _Query(db, conditions, filters).rows(
            "count(*), coalesce(sum(r.records), 0), coalesce(sum(r.people), 0),"
            " coalesce(sum(r.octets), 0), min(r.t), max(r.t)"
        )
        persons = _Query(db, conditions, filters)
        persons.tagged(What.PERSON)
        ((different,),) = persons.rows("count(DISTINCT person.tag)")
        listed = {}
        for name in ("data_class", "agreement"):
            query = _Query(db, conditions, filters)
            query.divide(name)
            listed[name] = tuple(sorted(str(row[0]) for row in query.rows("count(*)")))
        return Reach(
            exchanges=exchanges,
            records=records,
            people=different,
            people_counted=people,
            octets=octets,
            first_us=first,
            last_us=last,
            data_classes=listed["data_class"],
            agreements=listed["agreement"],
            watermark=watermark(db),
        )


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

    def rows(self, figures: str) -> list[tuple[Any, ...]]:
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
        last = (GROUPS_MAX,) if grouped else ()
        found_rows: list[tuple[Any, ...]] = self._db.execute(
            statement, (*self._sorted_values, *values, *self._range, *self._values, *last)
        ).fetchall()
        return found_rows

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


def _public(number: int | None) -> int | None:
    if number is None or 0 < number <= SMALL_MAX:
        return None
    return (number + ROUNDED_TO // 2) // ROUNDED_TO * ROUNDED_TO
