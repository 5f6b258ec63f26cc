"""What records add to the search index: one step's rows, gathered and then written at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Final

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
    figures_of,
    named_in,
    naming,
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
_CONTINUES: Final = frozenset({Kind.PROGRESS, Kind.OUTCOME, Kind.INDETERMINATE, Kind.LATE_OUTCOME})
_POST: Final = "INSERT INTO search_posting VALUES (?, ?) ON CONFLICT DO NOTHING"
# One statement for all records of a word costs two thirds of one for each of them.
_POST_ALL: Final = (
    "INSERT INTO search_posting SELECT ?, value FROM json_each(?) WHERE true ON CONFLICT DO NOTHING"
)
_TAG: Final = "INSERT INTO search_tag VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_WORD: Final = "INSERT INTO search_word VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_MEMBER: Final = "INSERT INTO search_exchange VALUES (?, ?) ON CONFLICT DO NOTHING"
_ROW: Final = "INSERT INTO search_row VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
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

Read = tuple[Found, dict[str, object], dict[str, object]]
"""A record, what it says in clear, and those of its sealed sections that may name somebody."""


class Remembered:
    """What steps need not find out again. It holds of one index, and of what it holds for sure."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.words: set[int] = set()
        self.terms: dict[tuple[Kind, bool, bytes], tuple[int, ...]] = {}
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
        for *columns, day, wrapped in self._log.execute(_ROWS, (first, end)):
            record = found(tuple(columns))
            keys = Wrapped(day, wrapped) if wrapped is not None else None
            yield record, *self._opener.read(record, keys, naming(record.kind))

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
        self._postings: defaultdict[int, list[int]] = defaultdict(list)
        self._tags: list[tuple[bytes, int, int]] = []
        self._words: list[tuple[str, str, int]] = []
        self._members: list[tuple[bytes, int]] = []
        self._rows: dict[int, tuple[int, ...]] = {}
        self._figures: list[tuple[int, ...]] = []
        self._forgotten: list[range] = []
        self._ended_days: list[int] = []
        self._hours: dict[int, tuple[int, int]] = {}

    def add(self, record: Found, core: dict[str, object], sections: dict[str, object]) -> None:
        """Add one record, which follows those that were added before it."""
        first = self._first(record)
        begins = first == record.index
        if record.exchange is not None:
            self._members.append((record.exchange, record.index))
        if begins:
            self._rows[first] = (record.at_us, 0, 0, 0, 0)
            hour = record.at_us // HOUR_US
            self._hours[hour] = (self._hours.get(hour, (first, first))[0], first)
        # One bad member must not hide the rest: what can be read of a damaged record is added.
        for part in (self._add_words, self._add_figures, self._add_erased):
            try:
                part(record, core, first)
            except _DAMAGED:
                self._opened.damaged.add(record.index)
        if sections:
            self._tags += self._tags_of(record, sections, first)

    def write(self) -> None:
        """Write what was added, in the order of each table, so that neighbours share a page."""
        many = self._db.executemany
        many(_WORD, self._words)
        many(_ROW, [(first, *values) for first, values in self._rows.items()])
        many(_MEMBER, self._members)
        postings = sorted(self._postings.items())
        many(_POST, [(term, found[0]) for term, found in postings if len(found) == 1])
        many(_POST_ALL, [(term, _json(found)) for term, found in postings if len(found) > 1])
        many(_TAG, sorted(self._tags))
        many(_FIGURES, self._figures)
        many(_HOUR, [(hour, *span) for hour, span in self._hours.items()])
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
                for record, _, sections in self._opened.rows(member, member + 1):
                    tags = list(self._tags_of(record, sections, indices[0]))
                    self._db.executemany(_TAG, tags)

    def _first(self, record: Found) -> int:
        """Return the index of the record that the exchange of `record` begins with."""
        exchange = record.exchange
        if exchange is None:
            return record.index
        first = self._remembered.firsts.get(exchange)
        if first is None:
            known = members(self._db, exchange) if record.kind in _CONTINUES else []
            first = self._remembered.firsts[exchange] = known[0] if known else record.index
        return first

    def _add_words(self, record: Found, core: Mapping[str, object], first: int) -> None:
        for term in self._shared_terms(record.kind, core, begins=first == record.index):
            self._postings[term].append(first)
        for name, word in own_words_of(core):
            self._postings[self._term(name, word)].append(first)

    def _shared_terms(
        self, kind: Kind, core: Mapping[str, object], *, begins: bool
    ) -> tuple[int, ...]:
        """Return the numbers of the words that a record has in common with many others.

        What kind the later records of an exchange are is left out: they are found with its first.
        """
        shared = {name: value for name, value in core.items() if name not in OWN}
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
        term = term_of(name, word)
        if name not in UNCOUNTED and term not in self._remembered.words:
            self._remembered.words.add(term)
            self._words.append((name, word, term))
        return term

    def _add_figures(self, record: Found, core: Mapping[str, object], first: int) -> None:
        if record.kind not in (Kind.OUTCOME, Kind.LATE_OUTCOME):
            return
        figures = figures_of(core)
        row = self._rows.get(first)
        if row is None:
            self._figures.append((*figures, first))
        else:
            self._rows[first] = (row[0], *figures)

    def _add_erased(self, record: Found, core: Mapping[str, object], _first: int) -> None:
        if record.kind is not Kind.ERASURE:
            return
        day = core.get("day")
        if isinstance(day, int):
            if not 0 <= day <= INTEGER_MAX // DAY_US:
                raise ValueError("no record is of such a day")
            self._ended_days.append(day)
        for run in _erased(core):
            if not 0 <= run.start < run.stop <= record.index:
                raise ValueError("an erasure names records that were not there")
            self._forgotten.append(run)

    def _tags_of(
        self, record: Found, sections: dict[str, object], first: int
    ) -> Iterator[tuple[bytes, int, int]]:
        year = year_of(record.at_us)
        try:
            named = list(named_in(sections))
        except _DAMAGED:
            self._opened.damaged.add(record.index)
            return
        for what, id_type, value in named:
            tag = self._tag(year, id_type, value)
            if tag is not None:
                yield tag, first, what.value


def _json(indices: list[int]) -> str:
    return orjson.dumps(indices).decode()


def _erased(core: Mapping[str, object]) -> Iterator[range]:
    """Yield the records of this shard that a `log.erasure` names: as runs, by sections."""
    groups = core.get("erased") if "shard" not in core else None
    for group in groups if isinstance(groups, list) else ():
        for first, last in group["indices"]:
            yield range(first, last + 1)
