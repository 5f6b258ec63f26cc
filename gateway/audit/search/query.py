"""Find and show exchanges: what the index finds, its records merged into plain values."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.audit.entry import INTEGER_MAX, Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.people import PersonTags, normalise, parse_person, subject_tag, year_of
from gateway.audit.place import Place
from gateway.audit.reading.reader import snapshot
from gateway.audit.search.follow import catch_up
from gateway.audit.search.index import (
    Condition,
    Range,
    Tagged,
    Watermark,
    Word,
    index_path,
    index_snapshot,
    mark_of,
    members,
    search_index,
    watermark,
)
from gateway.audit.search.opening import COLUMNS, Found, Opener, beginning_of, found
from gateway.audit.search.terms import EXCHANGE, TAGGED, What
from gateway.audit.sqlite import Connection
from gateway.audit.store import LogUnavailable
from gateway.clock import system_time_us, uuid_text

PAGE_ITEMS_MAX: Final = 500
# How many records after one of an exchange its next may lie: a long one records its progress.
ROWS_TO_OUTCOME_MAX: Final = 100_000

View = dict[str, object]

_ENDINGS: Final = (Kind.OUTCOME, Kind.INDETERMINATE, Kind.LATE_OUTCOME)
# What may lie between the first record of an exchange and its last.
_STEPS: Final = (Kind.PROGRESS, Kind.INDETERMINATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What an exchange must be to be found; what is None is not asked.

    Times are system time in microseconds, `from_us` inclusive and `until_us` exclusive. `kind`
    asks for records of another kind than exchanges, for example `admin.change`. `token` is
    a token's identifier (`jti`), `instrument` with or without ``@version``,
    `operation` ``METHOD route``, `ended` the kind of an exchange's last record, and
    `instrument_ended` whether it relied on a legal instrument whose version had ended.
    """

    from_us: int | None = None
    until_us: int | None = None
    organisation: str | None = None
    consumer: str | None = None
    provider: str | None = None
    client: str | None = None
    actor: str | None = None
    source: str | None = None
    token: str | None = None
    case: str | None = None
    person: PersonTags | None = None
    agreement: str | None = None
    version: str | None = None
    digest: str | None = None
    rule: str | None = None
    instrument: str | None = None
    instrument_ended: bool | None = None
    purpose: str | None = None
    decision: str | None = None
    reason: str | None = None
    status: int | None = None
    problem: str | None = None
    service: str | None = None
    dataset: str | None = None
    operation: str | None = None
    route: str | None = None
    action: str | None = None
    exemption: str | None = None
    subject_view: str | None = None
    opt_out: str | None = None
    trace: str | None = None
    ended: str | None = None
    alert: bool | None = None
    break_glass: bool | None = None
    leak: bool | None = None
    end_unproved: bool | None = None
    document: str | None = None
    verb: str | None = None
    note: str | None = None
    about: str | None = None
    kind: Kind | None = None


WORDS: Final = (
    "organisation", "consumer", "provider", "agreement", "version", "digest", "rule", "instrument",
    "instrument_ended", "purpose", "decision", "reason", "status", "problem", "service", "dataset",
    "operation", "route", "action", "exemption", "subject_view", "opt_out", "trace", "ended",
    "alert", "break_glass", "leak", "end_unproved", "document", "verb", "note", "about",
)  # fmt: skip
"""Filters on what records say in clear."""
_NAMES: Final = {
    "client": What.CLIENT,
    "actor": What.ACTOR,
    "source": What.SOURCE,
    "token": What.TOKEN,
    "case": What.CASE,
}
PERSONAL: Final = (*_NAMES, "person")
"""Filters on what lies in sealed sections: they are asked as tags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of what was found, newest first; `cursor` goes on behind it, None at the end.

    A page may be short, even empty, and still have a cursor: one search reads a bounded number of
    entries. It knows of records up to the `watermark`.
    """

    items: tuple[View, ...]
    cursor: int | None
    watermark: Watermark


def find(
    path: Place,
    filters: Filters,
    *,
    keys: LogKeys,
    cursor: int | None = None,
    limit: int = 50,
    opened: bool = True,
) -> Page:
    """Return a page of exchanges that pass the filters; `opened` with their sealed sections.

    Raises LogUnavailable where log or index cannot be read.
    """
    conditions = conditions_of(filters, keys)
    within = range_of(filters, cursor)
    catch_up(path, keys)
    with index_snapshot(path) as index:
        hits = search_index(index, conditions, within, min(limit, PAGE_ITEMS_MAX))
        mark = watermark(index)
        with snapshot(path) as db:
            if mark.next_index and mark_of(index, db) is None:
                raise LogUnavailable("the search index is of another log; it is being made anew")
            opener = Opener(db, keys if opened else None)
            items = [
                _view(_found_records(db, index, first, mark), opener) for first in hits.indices
            ]
    return Page(items=tuple(items), cursor=hits.cursor, watermark=mark)


def _found_records(db: Connection, index: Connection, first: int, mark: Watermark) -> list[Found]:
    exchange = _record(db, first).exchange
    indices = [first] if exchange is None else members(index, exchange)
    if first not in indices:
        raise LogUnavailable("the search index does not fit the log: concordat audit reindex")
    return _records(db, _Known(indices, mark.next_index), exchange)


def in_log_time(at_us: int) -> int:
    """Return the nearest time that a record can have: what lies beyond finds the same."""
    return min(max(at_us, 0), INTEGER_MAX)


def range_of(filters: Filters, cursor: int | None = None) -> Range:
    """Return which records the filters and the cursor look at."""
    within = Range(from_us=filters.from_us, until_us=filters.until_us)
    if cursor is None:
        return within
    return Range(from_us=filters.from_us, until_us=filters.until_us, before=cursor)


def conditions_of(filters: Filters, keys: LogKeys) -> list[Condition]:
    """Return what the index is asked; names are tagged with every year's key."""
    kind = EXCHANGE if filters.kind is None else filters.kind.value
    conditions: list[Condition] = []
    for name in WORDS:
        value = getattr(filters, name)
        if isinstance(value, bool):
            conditions.append(Word(name, "true", negated=not value))
        elif value is not None:
            conditions.append(Word(name, str(value)))
    for name, what in _NAMES.items():
        value = getattr(filters, name)
        if value is not None:
            conditions.append(Tagged(_tags(TAGGED[what], _as_recorded(what, value), keys)))
    if filters.person is not None:
        conditions.append(Tagged(filters.person.tags))
    return [*conditions, Word("kind", kind)]


def seek_person(unverified: str, keys: LogKeys) -> PersonTags:
    """Return the tags of somebody given as ``type:value``: the value itself goes no further.

    Raises PersonInvalid, whose sentence does not repeat the value.
    """
    person = parse_person(unverified)
    return PersonTags(person.id_type, _tags(person.id_type, person.normalised_id, keys))


def _tags(id_type: str, normalised: str, keys: LogKeys) -> tuple[bytes, ...]:
    """Return the tags of a name or a person, one for each year whose key there is."""
    # This year's is made at its first use, by whoever is first: follower or searcher.
    keys.subject_key(year_of(system_time_us()))
    years = [keys.find_subject_key(year) for year in keys.subject_years()]
    return tuple(subject_tag(key, id_type, normalised) for key in years if key)


def _as_recorded(what: What, value: str) -> str:
    if what is What.TOKEN:
        # As records keep it: a structured-field byte sequence (RFC 9530, section 2).
        return f"sha-256=:{b64encode(hashlib.sha256(value.encode()).digest()).decode()}:"
    return normalise("case", value) if what is What.CASE else value


def show(path: Place, identifier: bytes, *, keys: LogKeys | None = None) -> View | None:
    """Return one exchange with all of its records, or None if the log has none of it.

    A record that belongs to no exchange, such as a reading of the log, is shown by its own id.
    """
    # The index first, so that the log is of a moment that is not before it.
    with _index_of(path) as index, snapshot(path) as db:
        known = _indexed_members(index, db, identifier)
        if known.indices:
            records = _records(db, known, identifier)
            return _view(records, Opener(db, keys), whole=True)
        beginning = beginning_of(db, identifier)
        exchange: bytes | None = identifier
        if beginning is None:
            beginning, exchange = _find_record(db, identifier), None
        if beginning is None:
            return None
        records = _records(db, _Known([beginning], known.end), exchange)
        return _view(records, Opener(db, keys), whole=True)


def _index_of(path: Place) -> AbstractContextManager[Connection | None]:
    return index_snapshot(path) if index_path(path).exists() else nullcontext()


class _Known(NamedTuple):
    """What the index knows of one exchange: its records, of all those before `end`."""

    indices: list[int]
    end: int


def _indexed_members(index: Connection | None, log: Connection, exchange: bytes) -> _Known:
    """Return what the index knows of an exchange; what is newer the log itself tells.

    An index of another history knows nothing: it will be made anew.
    """
    mark = None if index is None else mark_of(index, log)
    if index is None or mark is None:
        return _Known([], 0)
    return _Known(members(index, exchange), mark.next_index)


def _record(db: Connection, index: int) -> Found:
    row = db.execute(
        f"SELECT {COLUMNS} FROM audit_record WHERE leaf_index = ?",  # noqa: S608 - constants
        (index,),
    ).fetchone()
    if row is None:
        raise LogUnavailable(f"record {index} is missing from the log")
    return found(row)


def _own_record(db: Connection, index: int, exchange: bytes | None) -> Found:
    record = _record(db, index)
    if record.exchange != exchange:
        raise LogUnavailable("the search index does not fit the log: concordat audit reindex")
    return record


def _records(db: Connection, known: _Known, exchange: bytes | None) -> list[Found]:
    """Return the records of an exchange, or the one of none; of an open one the first alone.

    Raises LogUnavailable where one that is known is of another.
    """
    beginning = _own_record(db, known.indices[0], exchange)
    if beginning.kind is not Kind.INTENT:
        return [beginning]
    is_open = "SELECT 1 FROM audit_open WHERE exchange = ?"
    if db.execute(is_open, (beginning.exchange,)).fetchone() is not None:
        return [beginning]
    records = [_own_record(db, index, exchange) for index in known.indices]
    return records + _records_after(db, records[-1], known.end)


def _find_record(db: Connection, record_id: bytes) -> int | None:
    row = db.execute(
        "SELECT leaf_index FROM audit_record WHERE record_id = ? AND exchange IS NULL", (record_id,)
    ).fetchone()
    return int(row[0]) if row is not None else None


def _records_after(db: Connection, last: Found, end: int) -> list[Found]:
    """Find how an exchange went on and ended: progress, its terminal record, a late outcome.

    Its records before `end` are known.
    """
    records: list[Found] = []
    while last.kind is Kind.INTENT or last.kind in _STEPS:
        start = max(last.index + 1, end)
        row = db.execute(
            f"SELECT {COLUMNS} FROM audit_record"  # noqa: S608 - constants
            " WHERE leaf_index >= ? AND leaf_index < ? AND exchange = ?"
            " ORDER BY leaf_index LIMIT 1",
            (start, start + ROWS_TO_OUTCOME_MAX, last.exchange),
        ).fetchone()
        if row is None:
            break
        last = found(row)
        records.append(last)
    return records


def _view(records: list[Found], opener: Opener, *, whole: bool = False) -> View:
    """Merge an exchange's records, the later over the earlier; an alert anywhere is an alert."""
    beginning, *endings = records
    merged: View = {}
    alert = False
    reason: object = None
    sections: dict[str, object] = {}
    opened = [opener.open(record) for record in records]
    for record, said in zip(records, opened, strict=True):
        core = opener.core(record)
        alert = alert or core.get("alert") is True
        reason = core.get("reason") or reason
        merged |= core
        for name, section in said.items():
            known = sections.get(name)
            both = isinstance(known, dict) and isinstance(section, dict)
            sections[name] = {**known, **section} if both else section  # type: ignore[dict-item]  # both are dicts
    view: View = {
        "exchange_id": uuid_text(beginning.exchange) if beginning.exchange else None,
        "kind": beginning.kind_text,
        "started": beginning.at_us,
        "finished": endings[-1].at_us if endings and endings[-1].kind in _ENDINGS else None,
        **merged,
        "reason": reason,
        "alert": alert,
        "state": (endings or [beginning])[-1].kind_text,
        "entries": [_entry_view(record) for record in records],
    }
    if sections:
        view["sections"] = sections
    damaged = [record.index for record in records if record.index in opener.damaged]
    if damaged:
        view["damaged"] = damaged
    if whole:
        view["cores"] = [opener.core(record) for record in records]
        view["opened"] = opened
    return view


def _entry_view(record: Found) -> View:
    return {
        "index": record.index,
        "kind": record.kind_text,
        "record_id": uuid_text(record.record_id),
        "at": record.at_us,
        "leaf_hash": record.leaf_hash.hex(),
    }
