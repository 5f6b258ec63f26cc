"""What is due: reviews, acknowledgements and the 72-hour clock, each in its own time."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from gateway.audit.entry import Kind
from gateway.audit.log import AuditLog
from gateway.audit.search import due
from gateway.audit.search.access import Reader, Via
from gateway.audit.search.due import (
    FeedbackRule,
    State,
    breaches,
    disposals,
    everything,
    feedback,
    reviews,
)
from gateway.audit.search.notes import (
    REPORT_WITHIN_US,
    Acknowledgement,
    AcknowledgementOutcome,
    Disposal,
    Incident,
    IncidentStep,
    Review,
    ReviewOutcome,
    note_record,
)
from gateway.audit.search.query import Filters
from gateway.clock import new_uuid7, system_time_us, uuid_text
from tests.gateway.audit.records import intent, keys_in, outcome, provisioned, using
from tests.gateway.audit.sharded import retired, using_newest

WHO = Reader(principal="a.guardian", via=Via.CONSOLE)
DAY_US = 86_400_000_000
DECIDED = 1_600_000_000_000_000


def never() -> None:
    """Nothing is left out here."""
    raise AssertionError


async def urgent(log: AuditLog, *, within_us: int = DAY_US) -> bytes:
    """Record a use of urgent access, decided in another year than it is recorded."""
    exchange = new_uuid7()
    said = {"decided_at": DECIDED, "review_due": DECIDED + within_us, "break_glass": True}
    await log.append(intent(exchange, **said))
    await log.append(outcome(exchange))
    return exchange


def test_reviews_are_in_time_late_open_or_overdue(tmp_path: Path) -> None:
    """What the agreement allows runs from when the exchange began, whatever decision time was."""
    home, keys, made = provisioned(tmp_path).parent, keys_in(tmp_path), []

    async def use(log: AuditLog) -> None:
        await log.append(intent())
        for within_us, looked in ((DAY_US, True), (0, True), (DAY_US, False), (0, False)):
            made.append(await urgent(log, within_us=within_us))
            for found in (ReviewOutcome.FOLLOW_UP, ReviewOutcome.JUSTIFIED) if looked else ():
                await log.append(
                    note_record(WHO, Review(exchange=made[-1], outcome=found, text=""))
                )

    using(tmp_path, use)
    found = reviews(home, keys=keys, now_us=system_time_us() + 1, shortened=never)
    assert [one.exchange_id for one in reversed(found)] == [uuid_text(one) for one in made]
    states = [one.state for one in reversed(found)]
    assert states == [State.DONE, State.DONE_LATE, State.OPEN, State.OVERDUE]
    assert {one.outcome for one in found} == {"follow_up", None}
    tomorrow = reviews(home, keys=keys, now_us=system_time_us() + 2 * DAY_US, shortened=never)
    assert [one.state for one in tomorrow[:2]] == [State.OVERDUE, State.OVERDUE]


def test_feedback_is_acknowledged_by_its_owner(tmp_path: Path) -> None:
    """What the rule of feedback took in counts; what was refused by its service does not."""
    home, keys = provisioned(tmp_path).parent, keys_in(tmp_path)
    taken, failed = new_uuid7(), new_uuid7()
    rules = {"DSA-2026-0003": FeedbackRule(rule="R2", within_us=DAY_US)}

    async def use(log: AuditLog) -> None:
        for exchange, status in ((taken, 201), (failed, 502)):
            await log.append(intent(exchange, rule="R2"))
            await log.append(outcome(exchange, status=status))
        await log.append(intent(rule="R1"))
        (waiting,) = feedback(home, rules, keys=keys, now_us=system_time_us(), shortened=never)
        assert (waiting.exchange_id, waiting.state) == (uuid_text(taken), State.OPEN)
        accepted = AcknowledgementOutcome.ACCEPTED
        note = Acknowledgement(exchange=taken, outcome=accepted, text="")
        await log.append(note_record(WHO, note))

    using(tmp_path, use)
    (done,) = feedback(
        home, rules, keys=keys, now_us=system_time_us() + 9 * DAY_US, shortened=never
    )
    assert (done.state, done.outcome) == (State.DONE, "accepted")


@pytest.mark.parametrize(
    ("reported", "hours", "state"),
    [(None, 71, State.OPEN), (None, 73, State.OVERDUE), (71, 99, State.DONE),
     (73, 99, State.DONE_LATE)],
)  # fmt: skip
def test_the_clock_of_72_hours_runs_from_awareness(
    tmp_path: Path, reported: int | None, hours: int, state: State
) -> None:
    """Steps may be noted in any order, and later than they happened (UK GDPR Art 33)."""
    home, keys, exchange = provisioned(tmp_path).parent, keys_in(tmp_path), new_uuid7()
    aware_us, hour_us = DECIDED, 3_600_000_000

    async def use(log: AuditLog) -> None:
        steps = [(IncidentStep.CONTAINED, 2), (IncidentStep.AWARE, 0)]
        steps += [(IncidentStep.REPORTED, reported)] if reported is not None else []
        for step, hour in steps:
            at_us = aware_us + hour * hour_us
            note = Incident(
                reference="INC-1", step=step, at_us=at_us, exchanges=(exchange,), text=""
            )
            await log.append(note_record(WHO, note))

    using(tmp_path, use)
    (found,) = breaches(home, keys=keys, now_us=aware_us + hours * hour_us, shortened=never)
    assert (found.aware_us, found.report_due_us) == (aware_us, aware_us + REPORT_WITHIN_US)
    assert (found.state, found.exchanges) == (state, (uuid_text(exchange),))
    assert [step for step, _ in found.steps][:2] == ["aware", "contained"]


def test_the_newest_certificate_of_each_agreement(tmp_path: Path) -> None:
    """A later one replaces an earlier."""
    home, keys = provisioned(tmp_path).parent, keys_in(tmp_path)

    async def use(log: AuditLog) -> None:
        for certificate in ("C-1", "C-2"):
            note = Disposal(agreement="DSA-1", certificate=certificate, at_us=1, text="")
            await log.append(note_record(WHO, note))

    using(tmp_path, use)
    found = disposals(home, keys=keys, shortened=never)
    assert {key: one["certificate"] for key, one in found.items()} == {"DSA-1": "C-2"}


def test_everything_is_bounded_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages follow each other up to the bound, and hold no sealed section."""
    home, keys = provisioned(tmp_path).parent, keys_in(tmp_path)

    async def use(log: AuditLog) -> None:
        for _ in range(5):
            await log.append(intent())

    using(tmp_path, use)
    monkeypatch.setattr(due, "PAGE_ITEMS_MAX", 2)
    views = list(everything(home, Filters(kind=Kind.INTENT), keys=keys, shortened=never))
    assert len({UUID(str(view["exchange_id"])) for view in views}) == 5
    assert not any("sections" in view for view in views)
    monkeypatch.setattr(due, "ITEMS_MAX", 3)
    told: list[str] = []
    bounded = everything(home, Filters(), keys=keys, shortened=lambda: told.append("more"))
    assert (len(list(bounded)), told) == (3, ["more"])


def test_what_was_due_in_one_shard_is_done_in_the_next(tmp_path: Path) -> None:
    """A review counts wherever it was noted; uses of all shards are listed, the newest first."""
    home, keys, made = provisioned(tmp_path).parent, keys_in(tmp_path), []

    async def use(log: AuditLog) -> None:
        made.append(await urgent(log, within_us=DAY_US))

    async def review(log: AuditLog) -> None:
        await use(log)
        noted = Review(exchange=made[0], outcome=ReviewOutcome.JUSTIFIED, text="")
        await log.append(note_record(WHO, noted))

    using(tmp_path, use)
    retired(tmp_path)
    using_newest(tmp_path, review)
    found = reviews(home, keys=keys, now_us=system_time_us(), shortened=never)
    assert [(one.exchange_id, one.state) for one in found] == [
        (uuid_text(made[1]), State.OPEN),
        (uuid_text(made[0]), State.DONE),
    ]
