"""Find and show exchanges: the log read backwards, its records merged into plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from gateway.audit.entry import (
    KIND_CODES,
    EntryInvalid,
    Kind,
    open_section,
    section_context,
    unpack_sections,
    unwrap_keys,
)
from gateway.audit.keys import LogKeys
from gateway.audit.reader import snapshot
from gateway.audit.sqlite import Connection
from gateway.clock import uuid_text

PAGE_ITEMS_MAX: Final = 500
ROWS_PER_SEARCH_MAX: Final = 200_000
# How far the clocks of two writers may be apart.
SKEW_MS: Final = 60_000
# An exchange's first record is made this soon after its identifier: its body may come slowly.
BODY_MS_MAX: Final = 3_600_000
SKEW_US: Final = SKEW_MS * 1_000
# How many records after one of an exchange its next may lie: a long one records its progress.
ROWS_TO_OUTCOME_MAX: Final = 100_000

View = dict[str, object]

# What a list of exchanges begins with; refused strangers are many, and listed only if asked for.
_BEGINNINGS: Final = (Kind.INTENT, Kind.DENY)
# What the record may be that an identifier leads to.
_FIRST: Final = (*_BEGINNINGS, Kind.TRAFFIC_REFUSED)
_ENDINGS: Final = (Kind.OUTCOME, Kind.INDETERMINATE, Kind.LATE_OUTCOME)
# What may lie between the first record of an exchange and its last.
_STEPS: Final = (Kind.PROGRESS, Kind.INDETERMINATE)
_KINDS_BY_CODE: Final = {code: kind for kind, code in KIND_CODES.items()}
_COLUMNS: Final = "leaf_index, record_id, exchange, kind, t, leaf_hash, sections"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What an exchange must be to be found; what is None is not asked.

    Times are system time in microseconds, `from_us` inclusive and `until_us` exclusive. `kind`
    asks for records of another kind than exchanges, for example `admin.change`.
    """

    from_us: int | None = None
    until_us: int | None = None
    organisation: str | None = None
    client: str | None = None
    agreement: str | None = None
    purpose: str | None = None
    decision: str | None = None
    reason: str | None = None
    status: int | None = None
    service: str | None = None
    route: str | None = None
    alert: bool | None = None
    kind: Kind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of what was found, newest first; `cursor` goes on behind it, None at the end.

    A page may be short, even empty, and still have a cursor: one search reads a bounded number of
    records.
    """

    items: tuple[View, ...]
    cursor: int | None


@dataclass(frozen=True, slots=True)
class _Found:
    """One record as read."""

    index: int
    record_id: bytes
    exchange: bytes | None
    kind: Kind
    at_us: int
    leaf_hash: bytes
    sections: bytes

    def core(self) -> dict[str, object]:
        for section in unpack_sections(self.sections):
            if section.name == "core":
                core: dict[str, object] = orjson.loads(section.body)
                return core
        return {}


def find(
    path: Path,
    filters: Filters,
    *,
    cursor: int | None = None,
    limit: int = 50,
    keys: LogKeys | None = None,
) -> Page:
    """Return a page of exchanges that pass the filters; `client` needs `keys` to open actors."""
    limit = min(limit, PAGE_ITEMS_MAX)
    wanted = (filters.kind,) if filters.kind is not None else _BEGINNINGS
    ended: dict[bytes, list[_Found]] = {}
    items: list[View] = []
    last, read = cursor, 0
    with snapshot(path) as db:
        opener = _Opener(db, keys)
        for record in _backwards(db, cursor):
            last, read = record.index, read + 1
            if filters.from_us is not None and record.at_us < filters.from_us - SKEW_US:
                return Page(items=tuple(items), cursor=None)
            if record.kind in wanted and _in_time(record, filters):
                endings = ended.pop(record.exchange or b"", None)
                if endings is None and record.kind is Kind.INTENT:
                    endings = _endings_after(db, record)
                view = _view(record, endings or [], opener)
                if _passes(view, filters):
                    items.append(view)
                if len(items) >= limit:
                    break
            elif record.kind in (*_ENDINGS, Kind.PROGRESS) and record.exchange is not None:
                ended.setdefault(record.exchange, []).insert(0, record)
    more = len(items) >= limit or read >= ROWS_PER_SEARCH_MAX
    return Page(items=tuple(items), cursor=last if more else None)


def show(path: Path, identifier: bytes, *, keys: LogKeys | None = None) -> View | None:
    """Return one exchange with all of its records, or None if the log has none of it.

    A record that belongs to no exchange, such as a reading of the log, is shown by its own id.
    """
    with snapshot(path) as db:
        beginning = _find_beginning(db, identifier) or _find_record(db, identifier)
        if beginning is None:
            return None
        endings = _endings_after(db, beginning) if beginning.kind is Kind.INTENT else []
        return _view(beginning, endings, _Opener(db, keys), whole=True)


def _backwards(db: Connection, cursor: int | None) -> Iterator[_Found]:
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM audit_record WHERE leaf_index < ?"  # noqa: S608 - constants
        " ORDER BY leaf_index DESC LIMIT ?",
        (cursor if cursor is not None else 1 << 62, ROWS_PER_SEARCH_MAX),
    )
    return map(_found, rows)


def _find_beginning(db: Connection, exchange: bytes) -> _Found | None:
    """Find an exchange's first record without an index of exchanges on the hot path.

    Record and exchange identifiers are UUIDv7: the time in the exchange's bounds the range of
    record identifiers, which are indexed, and the record is among the first of that range.
    """
    made_ms = int.from_bytes(exchange[:6], "big")
    low = max(0, made_ms - SKEW_MS).to_bytes(6, "big")
    near = made_ms.to_bytes(6, "big")
    high = min(made_ms + BODY_MS_MAX, (1 << 48) - 1).to_bytes(6, "big")
    for first, end in ((near, high), (low, near)):
        row = db.execute(
            f"SELECT {_COLUMNS} FROM audit_record"  # noqa: S608 - constants
            " WHERE record_id >= ? AND record_id < ? AND exchange = ? AND kind IN (?, ?, ?)"
            " ORDER BY record_id LIMIT 1",
            (first, end, exchange, *[KIND_CODES[kind] for kind in _FIRST]),
        ).fetchone()
        if row is not None:
            return _found(row)
    return None


def _find_record(db: Connection, record_id: bytes) -> _Found | None:
    row = db.execute(
        f"SELECT {_COLUMNS} FROM audit_record"  # noqa: S608 - constants
        " WHERE record_id = ? AND exchange IS NULL",
        (record_id,),
    ).fetchone()
    return _found(row) if row is not None else None


def _endings_after(db: Connection, intent: _Found) -> list[_Found]:
    """Find how an exchange went on and ended: progress, its terminal record, a late outcome."""
    is_open = "SELECT 1 FROM audit_open WHERE exchange = ?"
    if db.execute(is_open, (intent.exchange,)).fetchone() is not None:
        return []
    endings: list[_Found] = []
    last = intent
    while last is intent or last.kind in _STEPS:
        row = db.execute(
            f"SELECT {_COLUMNS} FROM audit_record"  # noqa: S608 - constants
            " WHERE leaf_index > ? AND leaf_index <= ? AND exchange = ?"
            " ORDER BY leaf_index LIMIT 1",
            (last.index, last.index + ROWS_TO_OUTCOME_MAX, intent.exchange),
        ).fetchone()
        if row is None:
            break
        last = _found(row)
        endings.append(last)
    return endings


def _found(row: tuple[int, bytes, bytes | None, int, int, bytes, bytes]) -> _Found:
    index, record_id, exchange, kind, at_us, leaf_hash, sections = row
    return _Found(index, record_id, exchange, _KINDS_BY_CODE[kind], at_us, leaf_hash, sections)


def _in_time(record: _Found, filters: Filters) -> bool:
    return (filters.from_us is None or record.at_us >= filters.from_us) and (
        filters.until_us is None or record.at_us < filters.until_us
    )


class _Opener:
    """Opens sealed sections for a reader who has the keys."""

    def __init__(self, db: Connection, keys: LogKeys | None) -> None:
        self._db = db
        self._origin: str = db.execute("SELECT origin FROM audit_head").fetchone()[0]
        self._keys = keys

    def open(self, record: _Found) -> dict[str, object]:
        """Return the sections other than `core` by name; None stands for an erased one."""
        if self._keys is None:
            return {}
        keys = self._section_keys(record)
        opened: dict[str, object] = {}
        for name, salt, body in unpack_sections(record.sections):
            if salt is not None:
                if name != "core":
                    opened[name] = orjson.loads(body)
            elif name in keys:
                context = section_context(self._origin, record.record_id, name)
                opened[name] = orjson.loads(open_section(keys[name], context, body)[1])
            else:
                opened[name] = None
        return opened

    def _section_keys(self, record: _Found) -> Mapping[str, bytes]:
        row = self._db.execute(
            "SELECT kek_id, wrapped FROM audit_key WHERE leaf_index = ?", (record.index,)
        ).fetchone()
        day_key = self._keys.find_day_key(row[0]) if row and self._keys else None
        if day_key is None:
            return {}
        try:
            return unwrap_keys(day_key, self._origin, record.record_id, row[1])
        except EntryInvalid:  # told by verification; a search goes on without
            return {}


def _view(
    beginning: _Found, endings: list[_Found], opener: _Opener, *, whole: bool = False
) -> View:
    """Merge an exchange's records, the later over the earlier; an alert anywhere is an alert."""
    records = [beginning, *endings]
    merged: View = {}
    alert = False
    reason: object = None
    sections: dict[str, object] = {}
    for record in records:
        core = record.core()
        alert = alert or core.get("alert") is True
        reason = core.get("reason") or reason
        merged |= core
        for name, section in opener.open(record).items():
            known = sections.get(name)
            both = isinstance(known, dict) and isinstance(section, dict)
            sections[name] = {**known, **section} if both else section  # type: ignore[dict-item]  # both are dicts
    view: View = {
        "exchange_id": uuid_text(beginning.exchange) if beginning.exchange else None,
        "kind": beginning.kind.value,
        "started": beginning.at_us,
        "finished": endings[-1].at_us if endings and endings[-1].kind in _ENDINGS else None,
        **merged,
        "reason": reason,
        "alert": alert,
        "state": endings[-1].kind.value if endings else beginning.kind.value,
        "entries": [_entry_view(record) for record in records],
    }
    if sections:
        view["sections"] = sections
    if whole:
        view["cores"] = [record.core() for record in records]
    return view


def _entry_view(record: _Found) -> View:
    return {
        "index": record.index,
        "kind": record.kind.value,
        "record_id": uuid_text(record.record_id),
        "at": record.at_us,
        "leaf_hash": record.leaf_hash.hex(),
    }


def _passes(view: View, filters: Filters) -> bool:
    sections = view.get("sections")
    actor = sections.get("actor") if isinstance(sections, dict) else None
    client = actor.get("client") or actor.get("client_id") if isinstance(actor, dict) else None
    asked = (
        (filters.agreement, view.get("agreement")),
        (filters.purpose, view.get("purpose")),
        (filters.decision, view.get("decision")),
        (filters.reason, view.get("reason")),
        (filters.status, view.get("status")),
        (filters.service, view.get("service")),
        (filters.route, view.get("route")),
        (filters.alert, view.get("alert")),
        (filters.client, view.get("client", client)),
    )
    if any(wanted is not None and wanted != actual for wanted, actual in asked):
        return False
    parties = (view.get("consumer"), view.get("provider"))
    return filters.organisation is None or filters.organisation in parties
