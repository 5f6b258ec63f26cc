"""What somebody still has to do about exchanges: reviews, acknowledgements, reports of breaches.

What is due may be in one shard of the log, and that it was done in a later one: all are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.place import LogHome, Place
from gateway.audit.search.across import shards_within
from gateway.audit.search.notes import REPORT_WITHIN_US, IncidentStep, NoteKind
from gateway.audit.search.query import PAGE_ITEMS_MAX, Filters, View, find

ITEMS_MAX: Final = 10_000
"""Exchanges or notes of a shard that one list looks at, its newest; of others it says so."""


class State(StrEnum):
    """Whether something was done, and in time."""

    DONE = "done"
    DONE_LATE = "done_late"
    OPEN = "open"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One exchange that somebody has to look at; times are system time in microseconds.

    What the agreement allows runs from the exchange's own beginning. `grant` is the urgent grant
    that was used, by the name under which it can be stopped.
    """

    exchange_id: str
    agreement: str | None
    grant: str | None
    reason: str | None
    began_us: int
    due_us: int
    done_us: int | None
    outcome: str | None
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """How far the handling of an incident has come, on the 72-hour clock of Art 33."""

    reference: str
    aware_us: int | None
    report_due_us: int | None
    reported_us: int | None
    steps: tuple[tuple[str, int], ...]
    exchanges: tuple[str, ...]
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRule:
    """By which rule of an agreement feedback comes in, and how soon its owner acknowledges it."""

    rule: str
    within_us: int


def everything(
    home: LogHome, filters: Filters, *, keys: LogKeys, shortened: Callable[[], None]
) -> Iterator[View]:
    """Yield all that is found in all shards, newest first, without sealed sections.

    Of a shard that is `ITEMS_MAX` at most; `shortened` is called where there may be more. Raises
    LogUnavailable where a shard cannot be read.
    """
    for place in reversed(shards_within(home, filters.from_us, filters.until_us)):
        yield from _of_shard(place, filters, keys, shortened)


def _of_shard(
    place: Place, filters: Filters, keys: LogKeys, shortened: Callable[[], None]
) -> Iterator[View]:
    cursor, left = None, ITEMS_MAX
    while left > 0:
        limit = min(left, PAGE_ITEMS_MAX)
        page = find(place, filters, keys=keys, cursor=cursor, limit=limit, opened=False)
        yield from page.items
        left -= len(page.items)
        cursor = page.cursor
        if cursor is None:
            return
    shortened()


def reviews(
    home: LogHome, *, keys: LogKeys, now_us: int, shortened: Callable[[], None]
) -> list[Due]:
    """Return every use of urgent access, newest first, and whether it was reviewed in time."""
    notes = notes_about(home, NoteKind.REVIEW, keys, shortened)
    found = []
    for view in everything(home, Filters(break_glass=True), keys=keys, shortened=shortened):
        decided, due = view.get("decided_at"), view.get("review_due")
        if isinstance(decided, int) and isinstance(due, int):
            found.append(_due(view, notes, within_us=due - decided, now_us=now_us))
    return found


def feedback(
    home: LogHome,
    rules: Mapping[str, FeedbackRule],
    *,
    keys: LogKeys,
    now_us: int,
    shortened: Callable[[], None],
) -> list[Due]:
    """Return every feedback that was taken, by agreement, and whether it was acknowledged."""
    notes = notes_about(home, NoteKind.ACKNOWLEDGEMENT, keys, shortened)
    found = []
    for agreement, asked in rules.items():
        filters = Filters(agreement=agreement, rule=asked.rule, decision="permit")
        for view in everything(home, filters, keys=keys, shortened=shortened):
            status = view.get("status")
            if isinstance(status, int) and 200 <= status < 300:
                found.append(_due(view, notes, within_us=asked.within_us, now_us=now_us))
    return found


def breaches(
    home: LogHome, *, keys: LogKeys, now_us: int, shortened: Callable[[], None]
) -> list[Breach]:
    """Return every incident that was noted, and its clock."""
    filters = Filters(kind=Kind.CHANGE, note=NoteKind.INCIDENT.value)
    by_reference: dict[str, list[View]] = {}
    for view in everything(home, filters, keys=keys, shortened=shortened):
        by_reference.setdefault(str(view.get("about")), []).append(view)
    return [_breach(reference, notes, now_us) for reference, notes in by_reference.items()]


def disposals(home: LogHome, *, keys: LogKeys, shortened: Callable[[], None]) -> dict[str, View]:
    """Return the newest note of a disposal for each agreement that has one."""
    filters = Filters(kind=Kind.CHANGE, note=NoteKind.DISPOSAL.value)
    found: dict[str, View] = {}
    for view in everything(home, filters, keys=keys, shortened=shortened):
        found.setdefault(str(view.get("agreement")), view)
    return found


def notes_about(
    home: LogHome, kind: NoteKind, keys: LogKeys, shortened: Callable[[], None]
) -> dict[str, View]:
    """Return the first note about each exchange: when it was looked at for the first time."""
    filters = Filters(kind=Kind.CHANGE, note=kind.value)
    return {
        str(view.get("about")): view
        for view in everything(home, filters, keys=keys, shortened=shortened)
    }


def _due(view: View, notes: Mapping[str, View], *, within_us: int, now_us: int) -> Due:
    began_us = _number(view.get("started"))
    note = notes.get(str(view.get("exchange_id")))
    done_us = _number(note.get("started")) if note else None
    late = (now_us if done_us is None else done_us) > began_us + within_us
    if done_us is None:
        state = State.OVERDUE if late else State.OPEN
    else:
        state = State.DONE_LATE if late else State.DONE
    return Due(
        exchange_id=str(view.get("exchange_id")),
        agreement=_text(view.get("agreement")),
        grant=_text(view.get("grant")),
        reason=_text(view.get("reason")),
        began_us=began_us,
        due_us=began_us + within_us,
        done_us=done_us,
        outcome=_text(note.get("outcome")) if note else None,
        state=state,
    )


def _breach(reference: str, notes: list[View], now_us: int) -> Breach:
    steps = sorted((_number(note.get("at")), str(note.get("step"))) for note in notes)
    first = {step: at for at, step in reversed(steps)}
    aware = first.get(IncidentStep.AWARE)
    ended = first.get(IncidentStep.REPORTED, first.get(IncidentStep.NOT_REPORTABLE))
    # Where nobody noted when it was noticed, the first step is as early as can be told.
    due = (steps[0][0] if aware is None else aware) + REPORT_WITHIN_US
    late = (now_us if ended is None else ended) > due
    if ended is None:
        state = State.OVERDUE if late else State.OPEN
    else:
        state = State.DONE_LATE if late else State.DONE
    exchanges: dict[str, None] = {}
    for note in notes:
        listed = note.get("exchanges")
        exchanges |= dict.fromkeys(map(str, listed if isinstance(listed, list) else ()))
    return Breach(
        reference=reference,
        aware_us=aware,
        report_due_us=due,
        reported_us=first.get(IncidentStep.REPORTED),
        steps=tuple((step, at) for at, step in steps),
        exchanges=tuple(exchanges),
        state=state,
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
