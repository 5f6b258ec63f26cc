"""What became durable after its caller had been told "too late", and how the log puts that right.

Only a store whose commits the event loop does not wait for can be so late: PostgreSQL, where a
commit that has been sent is never given up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from gateway.audit.entry import INTEGER_MAX, Kind, Record
from gateway.audit.store import Change, Claim, CounterChange, GrantUse, PeopleChange
from gateway.clock import new_uuid7, system_time_us

OVERDUE_MAX: Final = 1_024
"""How many outcomes are remembered that nothing has replaced yet."""

_NOT_ATTEMPTED: Final = {
    "status": 503,
    "reason": "AUDIT_UNAVAILABLE",
    "problem": "audit-unavailable",
    "origin": "gateway",
}


def not_attempted(exchange: bytes | None, intent_index: int) -> Record:
    """Return the outcome of an exchange whose intent came too late: nothing was sent."""
    return Record(
        record_id=new_uuid7(),
        kind=Kind.OUTCOME,
        exchange=exchange,
        at_us=system_time_us(),
        sections={"core": {"intent": intent_index, **_NOT_ATTEMPTED}},
    )


class Settlement(NamedTuple):
    """What a record does to claims and counts beside itself; see `Append`."""

    releases: Sequence[bytes]
    counters: Sequence[Change]


def given_back(claims: Iterable[Claim], counters: Iterable[Change]) -> Settlement:
    """Return what undoes an intent; whom an urgent grant has covered, it has covered for good."""
    return Settlement([claim.key for claim in claims], _undone(counters))


class Overdue:
    """Outcomes that were stored after all, until those come that were left in their place."""

    def __init__(self) -> None:
        """Know of none."""
        self._stored: dict[bytes | None, Settlement] = {}

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._stored)

    def note(self, exchange: bytes | None, stored: Settlement) -> None:
        """Keep what a stored outcome has settled."""
        self._stored[exchange] = stored
        if len(self._stored) > OVERDUE_MAX:  # what would have replaced the oldest never came
            del self._stored[next(iter(self._stored))]

    def remaining(self, exchange: bytes | None, wanted: Settlement) -> Settlement:
        """Return what is left to settle for the next record of an exchange.

        Each counter is changed once, by the difference: on the way it may neither pass its maximum
        nor stop at nought. So people are given back before others are counted. A claim that was
        released may be somebody else's by now.
        """
        stored = self._stored.pop(exchange, None)
        if stored is None:
            return wanted
        return Settlement(
            releases=[key for key in wanted.releases if key not in stored.releases],
            counters=_in_all([*wanted.counters, *_undone(stored.counters)]),
        )


def without_limits(changes: Iterable[Change]) -> list[Change]:
    """Return changes that are never refused: what has happened is to be counted, and recorded."""
    return [_without_limit(change) for change in changes]


def _without_limit(change: Change) -> Change:
    if isinstance(change, CounterChange | PeopleChange):
        return change._replace(maximum=INTEGER_MAX)
    return change._replace(subjects_max=INTEGER_MAX) if isinstance(change, GrantUse) else change


def _in_all(changes: Iterable[Change]) -> list[Change]:
    """Return what changes come to: for each counter and person one change, first what is given."""
    counters, others = dict[bytes, CounterChange](), list[Change]()
    people = defaultdict[PeopleChange, Counter[bytes]](Counter)
    for change in changes:
        if isinstance(change, CounterChange):
            known = counters.get(change.key)
            counters[change.key] = change._replace(add=known.add + change.add) if known else change
        elif isinstance(change, PeopleChange):
            alike = change._replace(people=(), add=0, maximum=INTEGER_MAX)
            people[alike].update(dict.fromkeys(change.people, change.add))
        else:
            others.append(change)
    found: list[Change] = [change for change in counters.values() if change.add]
    for alike, uses in people.items():
        for add in (-1, 1):
            some = [person for person, count in uses.items() if count * add > 0]
            found += [alike._replace(people=some, add=add)] if some else []
    return sorted([*others, *found], key=_takes)


def _takes(change: Change) -> bool:
    return not (isinstance(change, CounterChange | PeopleChange) and change.add < 0)


def _undone(counters: Iterable[Change]) -> list[Change]:
    return [
        change._replace(add=-change.add, maximum=INTEGER_MAX if change.add < 0 else change.maximum)
        for change in counters
        if isinstance(change, CounterChange | PeopleChange)
    ]
