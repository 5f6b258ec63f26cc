"""What records add to the search index: one step's rows, gathered and then written at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, TypeVar

import orjson

from gateway.audit.entry import INTEGER_MAX, Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.people import year_of
from gateway.audit.seal import DAY_US
from gateway.audit.search.index import HOUR_US, Range, bounds, members
from gateway.audit.search.opening import COLUMNS, Found, Opener, Wrapped, found
from gateway.audit.search.terms import (
    OWN,
    UNCOUNTED,
    Named,
    figures_of,
    named_in,
    naming,
    number_of,
    own_words_of,
    shared_words_of,
    term_of,
)
from gateway.audit.sqlite import Connection

WORDS_REMEMBERED_MAX: Final = 50_000
EXCHANGES_REMEMBERED_MAX: Final = 50_000
CORES_REMEMBERED_MAX: Final = 4_096
CORE_REMEMBERED_BYTES_MAX: Final = 4_096

_ROWS: Final = (
    f"SELECT {', '.join(f'r.{name}' for name in COLUMNS.split(', '))}, k.kek_id, k.wrapped"  # noqa: S608 - constants
    " FROM audit_record AS r LEFT JOIN audit_key AS k ON k.leaf_index = r.leaf_index"
    " WHERE r.leaf_index >= ? AND r.leaf_index < ? ORDER BY r.leaf_index"
)
ROWS_PER_STATEMENT: Final = 64
_UNLESS_THERE: Final = "WHERE true ON CONFLICT DO NOTHING"
_CONTINUES: Final = frozenset({Kind.PROGRESS, Kind.OUTCOME, Kind.INDETERMINATE, Kind.LATE_OUTCOME})
_OUTCOME: Final = Kind.OUTCOME
_LATE_OUTCOME: Final = Kind.LATE_OUTCOME
_ERASURE: Final = Kind.ERASURE
_OFTEN_ALIKE: Final = frozenset({"actor", "net"})
"""Sections that name the same in many records of a step."""
_WORD: Final = "search_word (name, word, term)"
_ROW: Final = "search_row (leaf_index, t, records, people, dropped, octets)"
_MEMBER: Final = "search_exchange (exchange, leaf_index)"
_POST: Final = "search_posting (term, leaf_index)"
_TAG: Final = "search_tag (tag, what, leaf_index)"
# One statement for all records of a word or a tag costs a third to a half of one for each of them.
_POST_ALL: Final = f"INSERT INTO {_POST} SELECT ?, value FROM json_each(?) {_UNLESS_THERE}"  # noqa: S608 - constants
_TAG_ALL: Final = f"INSERT INTO {_TAG} SELECT ?, ?, value FROM json_each(?) {_UNLESS_THERE}"  # noqa: S608 - constants
_FIGURES: Final = (
    "UPDATE search_row SET records = ?, people = ?, dropped = ?, octets = ? WHERE leaf_index = ?"
)
_HOUR: Final = (
    "INSERT INTO search_hour VALUES (?, ?, ?) ON CONFLICT (hour) DO UPDATE SET"
    " first_index = CASE WHEN excluded.first_index < search_hour.first_index"
    " THEN excluded.first_index ELSE search_hour.first_index END,"
    " last_index = CASE WHEN excluded.last_index > search_hour.last_index"
    " THEN excluded.last_index ELSE search_hour.last_index END"
)
_FORGET: Final = "DELETE FROM search_tag WHERE leaf_index = ?"
_FORGET_DAY: Final = (
    "DELETE FROM search_tag WHERE leaf_index IN (SELECT leaf_index FROM search_row"
    " WHERE leaf_index >= ? AND leaf_index < ? AND t >= ? AND t < ?)"
)

_DAMAGED: Final = (TypeError, ValueError, ArithmeticError, LookupError)
"""What is raised by values that no record of ours has where they are: an edited one may."""

Read = tuple[Found, dict[str, object], list[tuple[str, bytes]]]
"""A record, what it says in clear, and the bytes of its other sections that may name somebody."""
Item = TypeVar("Item", int, tuple[bytes, int])
Tags = tuple[tuple[bytes, int], ...]
"""Tags, each with what it stands for."""


class Remembered:
    """What steps need not find out again. It holds of one index, and of what it holds for sure."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.words: set[int] = set()
        self.terms: dict[tuple[Kind | None, bool, bytes], tuple[int, ...]] = {}
        self.firsts: dict[bytes, int] = {}

    def forget(self) -> None:
        """Know nothing any more: the index is emptied, or did not keep what was added last."""
        self.words.clear()
        self.terms.clear()
        self.firsts.clear()

    def trim(self) -> None:
        """Make room where much is remembered; memory stays flat however long the log is."""
        if len(self.words) > WORDS_REMEMBERED_MAX:
            self.words.clear()
        if len(self.terms) > CORES_REMEMBERED_MAX:
            self.terms.clear()
        if len(self.firsts) > EXCHANGES_REMEMBERED_MAX:
            self.firsts.clear()


class Opened:
    """Records of the log with those of their sections opened that the index is made from."""

    def __init__(self, log: Connection, keys: LogKeys) -> None:
        """Read the log that `log` is connected to."""
        self._log = log
        self._opener = Opener(log, keys)
        self.damaged = self._opener.damaged

    def rows(self, first: int, end: int) -> Iterator[Read]:
        """Yield the records from index `first` to before `end`."""
        read = self._opener.read
        for *columns, day, wrapped in self._log.execute(_ROWS, (first, end)):
            record = found(columns)
            keys = Wrapped(day, wrapped) if wrapped is not None else None
            core, bodies = read(record, keys, naming(record.kind))
            yield record, core, bodies

    def named_in(self, record: Found, name: str, body: bytes) -> list[Named] | None:
        """Return whom and what a section of a record names; None where it is damaged."""
        section = self._opener.parsed(record, body)
        try:
            return None if section is None else list(named_in({name: section}))
        except _DAMAGED:
            self.damaged.add(record.index)
            return None

    def exchange_of(self, index: int) -> bytes | None:
        """Return the exchange that a record belongs to."""
        row = self._log.execute(
            "SELECT exchange FROM audit_record WHERE leaf_index = ?", (index,)
        ).fetchone()
        return row[0] if row else None


class Batch:
    """What one step adds to the index."""

    def __init__(
        self,
        db: Connection,
        opened: Opened,
        remembered: Remembered,
        tag: Callable[[int, str, str], bytes | None],
    ) -> None:
        """Add to the index `db`; `tag` returns that of a year, a type and a value."""
        self._opened = opened
        self._db = db
        self._remembered = remembered
        self._tag = tag
        self._shared: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        self._postings: list[tuple[int, int]] = []
        self._named: dict[tuple[int, str, bytes], Tags] = {}
        self._years: dict[int, int] = {}
        self._tagged: defaultdict[Tags, list[int]] = defaultdict(list)
        self._words: list[tuple[str, str, int]] = []
        self._members: list[tuple[bytes, int]] = []
        self._rows: dict[int, tuple[int, ...]] = {}
        self._figures: list[tuple[int, ...]] = []
        self._forgotten: list[range] = []
        self._ended_days: list[int] = []
        self._hours: dict[int, tuple[int, int]] = {}

    def add(
        self, record: Found, core: dict[str, object], bodies: Sequence[tuple[str, bytes]]
    ) -> None:
        """Add one record, which follows those that were added before it; `core` is used up."""
        index, exchange, kind = record.index, record.exchange, record.kind
        first = index
        if exchange is not None:
            first = self._first(exchange, kind, index)
            self._members.append((exchange, index))
        if first == index:
            self._rows[index] = (record.at_us, 0, 0, 0, 0)
            hour = record.at_us // HOUR_US
            self._hours[hour] = (self._hours.get(hour, (index, index))[0], index)
        own = {name: core.pop(name) for name in OWN if name in core}
        # One bad member must not hide the rest: what can be read of a damaged record is added.
        try:
            self._add_words(kind, core, own, first, begins=first == index)
        except _DAMAGED:
            self._opened.damaged.add(index)
        try:
            if kind is _OUTCOME or kind is _LATE_OUTCOME:
                self._add_figures(own, first)
            elif kind is _ERASURE:
                self._add_erased(core, index)
        except _DAMAGED:
            self._opened.damaged.add(index)
        for tags in self._readable_tags_of(record, bodies) if bodies else ():
            self._tagged[tags].append(first)

    def write(self) -> None:
        """Write what was added, in the order of each table, so that neighbours share a page."""
        db = self._db
        _insert(db, _WORD, self._words)
        _insert(db, _ROW, [(first, *values) for first, values in self._rows.items()])
        _insert(db, _MEMBER, self._members)
        words = _spread(self._shared)
        self._postings += [(word, firsts[0]) for word, firsts in words if len(firsts) == 1]
        _insert(db, _POST, sorted(self._postings))
        alike = [(word, _json(firsts)) for word, firsts in words if len(firsts) > 1]
        db.executemany(_POST_ALL, alike)
        tags = _spread(self._tagged)
        _insert(db, _TAG, [(*tag, firsts[0]) for tag, firsts in tags if len(firsts) == 1])
        tagged = [(*tag, _json(firsts)) for tag, firsts in tags if len(firsts) > 1]
        db.executemany(_TAG_ALL, tagged)
        db.executemany(_FIGURES, self._figures)
        db.executemany(_HOUR, [(hour, *span) for hour, span in self._hours.items()])
        self._forget()

    def _forget(self) -> None:
        """Tag exchanges anew of which something was erased, by what can still be opened.

        Of a day whose key goes nothing can be opened any more: what began in it loses its tags.
        """
        for day in self._ended_days:
            times = Range(from_us=day * DAY_US, until_us=(day + 1) * DAY_US)
            values = (*bounds(self._db, times), times.from_us, times.until_us)
            self._db.execute(_FORGET_DAY, values)
        for index in chain.from_iterable(self._forgotten):
            exchange = self._opened.exchange_of(index)
            indices = members(self._db, exchange) if exchange is not None else [index]
            self._db.execute(_FORGET, (indices[0],))
            for member in indices:
                for record, _, bodies in self._opened.rows(member, member + 1):
                    found = chain.from_iterable(self._readable_tags_of(record, bodies))
                    _insert(self._db, _TAG, [(*tag, indices[0]) for tag in found])

    def _first(self, exchange: bytes, kind: Kind | None, index: int) -> int:
        """Return the index of the record that an exchange begins with."""
        first = self._remembered.firsts.get(exchange)
        if first is None:
            begins = kind is not None and kind not in _CONTINUES
            known = [] if begins else members(self._db, exchange)
            first = self._remembered.firsts[exchange] = known[0] if known else index
        return first

    def _add_words(
        self,
        kind: Kind | None,
        shared: Mapping[str, object],
        own: Mapping[str, object],
        first: int,
        *,
        begins: bool,
    ) -> None:
        self._shared[self._shared_terms(kind, shared, begins=begins)].append(first)
        for name, word in own_words_of(shared, own):
            self._postings.append((self._term(name, word), first))

    def _shared_terms(
        self, kind: Kind | None, shared: Mapping[str, object], *, begins: bool
    ) -> tuple[int, ...]:
        """Return the numbers of the words that a record has in common with many others.

        What kind the later records of an exchange are is left out: they are found with its first.
        """
        said = (kind, begins, orjson.dumps(shared))
        terms = self._remembered.terms.get(said)
        if terms is None:
            words = shared_words_of(kind, shared)
            kept = [(name, word) for name, word in words if begins or name != "kind"]
            terms = tuple(dict.fromkeys(self._term(name, word) for name, word in kept))
            if len(said[2]) <= CORE_REMEMBERED_BYTES_MAX:
                self._remembered.terms[said] = terms
        return terms

    def _term(self, name: str, word: str) -> int:
        if name in UNCOUNTED:
            return number_of(name, word)
        term = term_of(name, word)
        if term not in self._remembered.words:
            self._remembered.words.add(term)
            self._words.append((name, word, term))
        return term

    def _add_figures(self, own: Mapping[str, object], first: int) -> None:
        figures = figures_of(own)
        row = self._rows.get(first)
        if row is None:
            self._figures.append((*figures, first))
        else:
            self._rows[first] = (row[0], *figures)

    def _add_erased(self, core: Mapping[str, object], index: int) -> None:
        day = core.get("day")
        if isinstance(day, int):
            if not 0 <= day <= INTEGER_MAX // DAY_US:
                raise ValueError("no record is of such a day")
            self._ended_days.append(day)
        for run in _erased(core):
            if not 0 <= run.start < run.stop <= index:
                raise ValueError("an erasure names records that were not there")
            self._forgotten.append(run)

    def _readable_tags_of(
        self, record: Found, bodies: Sequence[tuple[str, bytes]]
    ) -> Sequence[Tags]:
        """Return the tags of a record; none, and the record is damaged, where they cannot be made.

        Its time, say, is in no year that there is.
        """
        try:
            return self._tags_of(record, bodies)
        except _DAMAGED:
            self._opened.damaged.add(record.index)
            return ()

    def _tags_of(self, record: Found, bodies: Sequence[tuple[str, bytes]]) -> list[Tags]:
        """Return the tags of a record, by sections."""
        day = record.at_us // DAY_US
        year = self._years.get(day)
        if year is None:
            year = self._years[day] = year_of(record.at_us)
        tags: list[Tags] = []
        for name, body in bodies:
            found = self._named.get((year, name, body))
            tags.append(self._tags_in(record, year, name, body) if found is None else found)
        return tags

    def _tags_in(self, record: Found, year: int, name: str, body: bytes) -> Tags:
        """Return the tags of all that a section names.

        Who calls, and from where, is the same in many records of a step. That is remembered no
        longer than the step: it is in clear.
        """
        named = self._opened.named_in(record, name, body)
        if named is None:
            return ()
        made = [(self._tag(year, one.id_type, one.value), one.what.value) for one in named]
        tags = tuple([(tag, what) for tag, what in made if tag is not None])
        if name in _OFTEN_ALIKE and len(body) <= CORE_REMEMBERED_BYTES_MAX:
            self._named[year, name, body] = tags
        return tags


def _spread(alike: Mapping[tuple[Item, ...], list[int]]) -> list[tuple[Item, list[int]]]:
    """Return each item that some records have in common with all records that have it, in order."""
    spread: defaultdict[Item, list[int]] = defaultdict(list)
    for common, indices in alike.items():
        for item in common:
            spread[item] += indices
    return [(item, sorted(spread[item])) for item in sorted(spread)]


def _json(indices: list[int]) -> str:
    return orjson.dumps(indices).decode()


def _insert(db: Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert rows that may be there already, many by one statement, in their order."""
    if not rows:
        return
    one = f"({', '.join('?' * len(rows[0]))})"
    statement = f"INSERT INTO {table} VALUES {one}"  # noqa: S608 - constants
    together = len(rows) // ROWS_PER_STATEMENT * ROWS_PER_STATEMENT
    for start in range(0, together, ROWS_PER_STATEMENT):
        values = chain.from_iterable(rows[start : start + ROWS_PER_STATEMENT])
        more = f", {one}" * (ROWS_PER_STATEMENT - 1)
        db.execute(f"{statement}{more} ON CONFLICT DO NOTHING", tuple(values))
    db.executemany(f"{statement} ON CONFLICT DO NOTHING", rows[together:])


def _erased(core: Mapping[str, object]) -> Iterator[range]:
    """Yield the records of this shard that a `log.erasure` names: as runs, by sections."""
    groups = core.get("erased") if "shard" not in core else None
    for group in groups if isinstance(groups, list) else ():
        for first, last in group["indices"]:
            yield range(first, last + 1)
