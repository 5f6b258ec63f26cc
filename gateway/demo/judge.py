"""Compares what a call got, and what its record says, with what the pack expects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.demo.scenario import AuthoringRefusal, ScenarioCall


class Standing(StrEnum):
    """How a call of the pack stands, or an authoring attempt; only those may be "not yet"."""

    PASSED = "passed"
    FAILED = "failed"
    LIVE_ONLY = "live only"
    NOT_YET = "not yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was seen of one call; None where it cannot be told.

    `fields` is the one set of fields that every record has; records that differ among themselves
    show as the union with a mark, so that they never compare equal.
    """

    decision: str | None = None
    status: int | None = None
    reason: str | None = None
    rule: str | None = None
    hint: str | None = None
    records: int | None = None
    fields: frozenset[str] | None = None
    fields_withheld: frozenset[str] | None = None
    redacted_subjects: int | None = None
    eligible: int | None = None
    content_type: str | None = None
    action: str | None = None
    subjects: int | None = None
    instrument: str | None = None
    alert: bool | None = None
    notify: frozenset[str] | None = None
    review_due: datetime | None = None
    subject_view: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one call came out. `live_only` names what an offline test cannot judge."""

    call: ScenarioCall
    standing: Standing
    observed: Observed
    differences: tuple[str, ...] = ()
    live_only: tuple[str, ...] = ()
    exchange_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """How one authoring attempt came out: `codes` are the faults that the change brought.

    `missing` names what it changes and nobody here knows how to, where it is not yet made.
    """

    refusal: AuthoringRefusal
    standing: Standing
    codes: tuple[str, ...] = ()
    missing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All results of a pack: of its calls and of its authoring attempts.

    `breaches` are sentences about the pack's own agreements; they count for nothing here.
    """

    results: tuple[Result, ...]
    authoring: tuple[AttemptResult, ...] = ()
    breaches: tuple[str, ...] = ()

    @property
    def judged(self) -> tuple[Result | AttemptResult, ...]:
        """Every call and every attempt."""
        return (*self.results, *self.authoring)

    def count(self, standing: Standing) -> int:
        """Return how many calls and attempts stand so."""
        return sum(one.standing is standing for one in self.judged)

    @property
    def passed(self) -> bool:
        """Whether nothing differs, and not everything is "not yet".

        What only the running gateway can tell is no difference (design.md section 8).
        """
        known = self.count(Standing.PASSED) + self.count(Standing.LIVE_ONLY)
        return known > 0 and self.count(Standing.FAILED) == 0


def judge(
    call: ScenarioCall,
    observed: Observed,
    *,
    live_only: frozenset[str] = frozenset(),
    exchange_id: str | None = None,
) -> Result:
    """Return how `call` stands; what `live_only` names is not compared."""
    expected = list(_expectations(call, observed))
    differences = tuple(
        f"{name}: expected {_shown(wanted)}, got {_shown(got)}"
        for name, wanted, got in expected
        if name not in live_only and wanted != got
    )
    unjudged = tuple(name for name, _, _ in expected if name in live_only)
    standing = Standing.FAILED if differences else Standing.PASSED
    if len(unjudged) == len(expected):
        standing = Standing.LIVE_ONLY
    return Result(
        call=call,
        standing=standing,
        observed=observed,
        differences=differences,
        live_only=unjudged,
        exchange_id=exchange_id,
    )


def unplayed(call: ScenarioCall, why: str) -> Result:
    """Return the failure of a call that could not be made; `why` is one sentence without a stop."""
    return Result(
        call=call,
        standing=Standing.FAILED,
        observed=Observed(),
        differences=(f"it cannot be played: {why}",),
    )


def _expectations(call: ScenarioCall, seen: Observed) -> Iterator[tuple[str, object, object]]:
    """Yield name, expected and observed value of everything that the pack says of the call."""
    wanted, audit = call.expect, call.audit
    yield "decision", wanted.decision, seen.decision
    yield "status", wanted.status, seen.status
    yield "reason", wanted.reason, seen.reason
    for name in ("rule", "hint", "records", "fields", "redacted_subjects", "eligible"):
        if getattr(wanted, name) is not None:
            yield name, getattr(wanted, name), getattr(seen, name)
    if wanted.content_type is not None:
        yield "content_type", wanted.content_type, seen.content_type
    if wanted.fields_withheld:
        shown = (seen.fields_withheld or frozenset()) & wanted.fields_withheld
        yield "fields_withheld", wanted.fields_withheld, shown
    if audit.action is not None and seen.rule is not None:
        yield "action", audit.action, seen.action
    if audit.alert:
        yield "alert", True, seen.alert
    for name in ("subjects", "instrument", "review_due", "subject_view"):
        if getattr(audit, name) is not None:
            yield name, getattr(audit, name), getattr(seen, name)
    if audit.notify:
        yield "notify", audit.notify, seen.notify


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    return str(value)
