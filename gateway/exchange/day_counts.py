"""What a rule allows in a day: calls, and different people. Counted in the log's own state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from gateway.audit.log import AuditLog
from gateway.audit.store import Change, CounterChange, PeopleChange
from gateway.exchange.asked import request_subjects
from gateway.exchange.facts import Ending, Exchange
from gateway.exchange.held import subject_kind

COUNTED: Final = ("calls", "subjects")
"""What is counted by the day: calls (`requests_per_day`) and people (`subjects_per_day`)."""
PEOPLE_TOLD_APART_MAX: Final = 1_000
"""How many people of one exchange are told apart from those of others; each further one counts as
somebody new, so that an answer costs the log no more than so many rows."""
PEOPLE_KEPT_US: Final = 2 * 24 * 3600 * 1_000_000
"""How long the tag of somebody who was counted is kept: longer than any day of exchanges lasts."""

_DAY_ZONE: Final = ZoneInfo("Europe/London")
"""Daily limits turn at midnight in London, as agreements mean it."""


class _People(NamedTuple):
    """People to be counted: tags of those who are told apart, and how many others there are."""

    tags: frozenset[bytes]
    others: int


def day_key(counted: str, at: datetime, *, agreement: str, rule: str, organisation: str) -> bytes:
    """Name a counter of one day, agreement, rule and organisation; `counted` is one of `COUNTED`.

    `at` is decision time.
    """
    day = at.astimezone(_DAY_ZONE).date().isoformat()
    named = (counted, day, agreement, rule, organisation)
    return hashlib.sha256("\n".join(named).encode()).digest()


def reserved_today(exchange: Exchange, log: AuditLog) -> tuple[Change, ...]:
    """Return what is counted before the call: the call, and the people whom the request names.

    A call that names nobody counts for one person until its answer is known. If the process dies
    in between, all of it stays counted: what cannot be known counts as done.
    """
    duties = exchange.decision.duties
    changes: tuple[Change, ...] = ()
    if duties.requests_per_day is not None:
        key = _key("calls", exchange)
        changes = (CounterChange(key=key, add=1, maximum=duties.requests_per_day),)
    if duties.subjects_per_day is not None:
        changes += _counting(exchange, _NOBODY, _asked_about(exchange, log))
    return changes


def settled_today(exchange: Exchange, ending: Ending, log: AuditLog) -> tuple[Change, ...]:
    """Settle the day's counts: what the exchange used, less what was reserved for it.

    Whoever is in the answer stays counted or is counted now; the others are given back.
    """
    duties = exchange.decision.duties
    changes: tuple[Change, ...] = ()
    if duties.requests_per_day is not None and not ending.sent:
        key = _key("calls", exchange)
        changes = (CounterChange(key=key, add=-1, maximum=duties.requests_per_day),)
    if duties.subjects_per_day is not None:
        told = _NOBODY
        if ending.subjects_counted:
            tags = _tags(exchange, ending.subjects, log)
            told = _People(tags, ending.subjects_counted - len(tags))
        changes += _counting(exchange, _asked_about(exchange, log), told)
    return changes


_NOBODY: Final = _People(frozenset(), 0)


def _asked_about(exchange: Exchange, log: AuditLog) -> _People:
    people = request_subjects(exchange)
    tags = _tags(exchange, people, log)
    return _People(tags, len(people) - len(tags) if people else 1)


def _tags(exchange: Exchange, people: Iterable[str], log: AuditLog) -> frozenset[bytes]:
    """Return tags of people that are of this day and rule alone: they lead from none to another."""
    key = _key("subjects", exchange).hex()
    kind = subject_kind(exchange.service, exchange.decision.duties.subject_field)
    some = sorted(people)[:PEOPLE_TOLD_APART_MAX]
    return frozenset([log.tagger.tag("day", key, kind, person) for person in some])


def _counting(exchange: Exchange, before: _People, after: _People) -> tuple[Change, ...]:
    """Return what takes the count of people from `before` to `after`, first what it gives back."""
    maximum = exchange.decision.duties.subjects_per_day
    assert maximum is not None  # noqa: S101 - whoever calls has looked
    key, until_us = _key("subjects", exchange), exchange.started_us + PEOPLE_KEPT_US
    changes: list[Change] = [
        PeopleChange(key=key, people=sorted(people), add=add, maximum=maximum, until_us=until_us)
        for people, add in ((before.tags - after.tags, -1), (after.tags - before.tags, 1))
        if people
    ]
    others = after.others - before.others
    if others:
        change = CounterChange(key=key, add=others, maximum=maximum)
        changes.insert(0 if others < 0 else len(changes), change)
    return tuple(changes)


def _key(counted: str, exchange: Exchange) -> bytes:
    agreement = exchange.decision.agreement
    return day_key(
        counted,
        exchange.at,
        agreement=agreement.id if agreement else "",
        rule=exchange.decision.rule or "",
        organisation=exchange.query.caller.organisation,
    )
