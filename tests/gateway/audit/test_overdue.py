"""What came too late and was stored after all: given back, or settled by the difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit import log as log_module
from gateway.audit import overdue as overdue_module
from gateway.audit.entry import INTEGER_MAX, KIND_CODES, Kind
from gateway.audit.log import AuditLog
from gateway.audit.overdue import Overdue, Settlement, given_back, not_attempted
from gateway.audit.place import PostgresLog
from gateway.audit.store import Change, Claim, CounterChange, GrantUse, PeopleChange
from gateway.clock import new_uuid7, system_time_us
from tests.gateway.audit.cutting import told_too_late, wired
from tests.gateway.audit.records import intent, outcome, place_in, selected, using

LATER_US = system_time_us() + 3_600_000_000
LATE = KIND_CODES[Kind.LATE_OUTCOME]

USE = GrantUse(b"holder", b"words", None, True, 1, [b"person"], 5)


def test_an_intent_that_came_too_late_is_undone() -> None:
    """Claims are freed and counts go back; whom an urgent grant covers stays covered."""
    undone = given_back([Claim(b"once", 9)], [CounterChange(b"calls", 1, 5), USE])
    assert undone == Settlement([b"once"], [CounterChange(b"calls", -1, 5)])
    closing = not_attempted(new_uuid7(), 7)
    assert closing.kind is Kind.OUTCOME
    assert closing.sections["core"] == {
        "intent": 7, "status": 503, "reason": "AUDIT_UNAVAILABLE",
        "problem": "audit-unavailable", "origin": "gateway",
    }  # fmt: skip


def test_an_outcome_in_anothers_place_settles_the_difference() -> None:
    """Once in all: what the stored one gave back or freed is not given back or freed again."""
    exchange, overdue = new_uuid7(), Overdue()
    stored: list[Change] = [CounterChange(b"calls", -1, 5), CounterChange(b"people", 2, 9)]
    wanted: list[Change] = [
        CounterChange(b"calls", -1, 5), CounterChange(b"people", -1, 9), USE,
    ]  # fmt: skip
    overdue.note(exchange, Settlement([b"once"], stored))
    assert overdue
    left = overdue.remaining(exchange, Settlement([b"once", b"form"], wanted))
    assert left == Settlement([b"form"], [CounterChange(b"people", -3, 9), USE])
    assert not overdue
    assert overdue.remaining(exchange, Settlement([b"once"], wanted)).counters == wanted


def test_people_are_given_back_before_others_are_counted() -> None:
    """At a full day's number nobody is refused for somebody who is given back."""
    exchange, overdue = new_uuid7(), Overdue()
    stored = PeopleChange(b"day", [b"told"], 1, 9, LATER_US)
    wanted = PeopleChange(b"day", [b"other"], 1, 9, LATER_US)
    asked = PeopleChange(b"day", [b"asked"], -1, 9, LATER_US)
    assert given_back([], [stored]) == Settlement([], [stored._replace(add=-1)])
    overdue.note(exchange, Settlement([], [stored]))
    left = overdue.remaining(exchange, Settlement([], [wanted, asked]))
    free = asked._replace(maximum=INTEGER_MAX)
    back, counted = free._replace(people=[b"asked", b"told"]), free._replace(people=[b"other"])
    assert left == Settlement([], [back, counted._replace(add=1)])


def test_who_was_given_back_already_is_not_given_back_again() -> None:
    """Both the stored outcome and the one in its place give somebody back: that is once."""
    exchange, overdue = new_uuid7(), Overdue()
    asked = PeopleChange(b"day", [b"asked"], -1, 9, LATER_US)
    overdue.note(exchange, Settlement([], [asked]))
    assert overdue.remaining(exchange, Settlement([], [asked])) == Settlement([], [])


def test_an_outcome_that_is_left_is_refused_by_no_counter(tmp_path: Path) -> None:
    """What has happened is recorded and counted, whatever others have used up meanwhile."""
    exchange = new_uuid7()

    async def use(log: AuditLog) -> None:
        await log.append(intent(exchange), counters=[CounterChange(b"d", 9, 9)])
        person = PeopleChange(b"day", [b"told"], 1, 0, LATER_US)
        log.leave(outcome(exchange), counters=[CounterChange(b"d", 1, 9), person])
        await log.append(intent())  # behind it

    using(tmp_path, use)
    place = place_in(tmp_path)
    assert selected(place, "SELECT value FROM audit_counter ORDER BY value") == [(1,), (10,)]
    assert selected(place, "SELECT count(*) FROM audit_record WHERE kind = 2") == [(1,)]


def test_what_nothing_replaces_is_forgotten_in_the_end() -> None:
    """Callers who never come back cost a bounded room."""
    overdue = Overdue()
    exchanges = [new_uuid7() for _ in range(overdue_module.OVERDUE_MAX + 1)]
    for exchange in exchanges:
        overdue.note(exchange, Settlement([b"once"], ()))
    assert overdue.remaining(exchanges[0], Settlement([b"once"], ())).releases == [b"once"]
    assert overdue.remaining(exchanges[1], Settlement([b"once"], ())) == Settlement([], [])


def test_an_outcome_that_is_stored_too_late_is_settled_once(
    tmp_path: Path, place: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F6: the one that is left in its place says what was released, and gives back the rest (I2).

    A key that the first one freed may be somebody else's by now.
    """
    monkeypatch.setattr(log_module, "WATCH_INTERVAL_S", 0.02)

    async def use(log: AuditLog) -> None:
        async with wired(log) as wire:
            kept, claims = new_uuid7(), [Claim(b"once", LATER_US)]
            await log.append(intent(), counters=[CounterChange(b"d", 4, 9)])
            reserved = [CounterChange(b"d", 2, 9)]
            await log.append(intent(kept), claims=claims, counters=reserved)
            async with told_too_late(log, wire, monkeypatch):
                used = CounterChange(b"d", 1, 9)
                await log.append(outcome(kept), releases=[b"once"], counters=[used])
            await log.append(intent(), claims=claims)
            withheld = outcome(kept, problem="audit-unavailable")
            log.leave(withheld, releases=[b"once"], counters=[CounterChange(b"d", -2, 9)])
            await log.append(intent())  # behind it
            assert await log.is_claimed(b"once")

    using(tmp_path, use)
    assert selected(place, "SELECT value FROM audit_counter") == [(4,)]
    kinds = "SELECT kind FROM audit_record WHERE kind IN (2, ?) ORDER BY leaf_index"
    assert selected(place, kinds, LATE) == [(2,), (LATE,)]
