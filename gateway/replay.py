"""Decision replay: recorded decisions made once more, under the configuration of their time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, cast

from gateway.audit.privacy.decided import Decided
from gateway.exchange.front.target import read_target
from gateway.exchange.inputs import FORM_USED, ROWS_ASKED, TARGET, rows_asked, rows_kept
from gateway.exchange.inquiry import fields_apart
from gateway.exchange.messages import FrontRefusal
from gateway.refresh import Rulebook, SnapshotRefused, compile_rules
from gateway.registry.compiled import AgreementCompiler
from gateway.registry.store import Registry
from policies.compile import DECISION_REFERENCE
from policies.decide import decide
from policies.decision import (
    PUBLIC,
    BreakGlassRequest,
    Caller,
    Decision,
    Outcome,
    Query,
    ReasonCode,
    Verdict,
)
from policies.select import refuse, select

RULEBOOKS_KEPT_MAX: Final = 4
"""Configurations kept compiled: records come in order of time, and so do revisions."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COMPARED: Final = (
    "decision", "reason", "failed", "agreement", "agreement_version", "agreement_digest", "rule",
    "action", "route", "instrument",
)  # fmt: skip
_CONCLUSION: Final = ("decision", "reason")

Told = Mapping[str, Any]
"""A decision in the words of its record."""


class Result(StrEnum):
    """How the replay of one decision came out."""

    SAME = "same"
    AFTERWARDS = "refused afterwards"
    """The agreement permits as before; a limit, a stop or a replay refused the call then."""
    IN_PART = "same, by the first rows"
    """The rows of a long body are not all kept; by those that are, it is the same."""
    ERASED = "inputs erased"
    NOT_KEPT = "inputs not kept"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One decision, as recorded and as made now; `why` says more where there is no second one."""

    decided: Decided
    result: Result
    recorded: Told
    replayed: Told | None = None
    why: str = ""

    @property
    def differs_in(self) -> tuple[str, ...]:
        """The members in which the two decisions differ."""
        if self.result is not Result.DIFFERENT or self.replayed is None:
            return ()
        now = self.replayed
        return tuple(name for name in _COMPARED if self.recorded.get(name) != now.get(name))


@dataclass(slots=True)
class Tally:
    """How many decisions were replayed, by result."""

    results: Counter[Result] = field(default_factory=Counter)

    @property
    def holds(self) -> bool:
        """Whether no decision came out otherwise."""
        return not self.results[Result.DIFFERENT]


class Replayer:
    """Makes recorded decisions once more; the registry has kept every configuration there was."""

    def __init__(self, registry: Registry) -> None:
        """Take configurations from `registry`."""
        self._registry = registry
        self._compiler = AgreementCompiler()
        self._rulebooks: dict[int, Rulebook | SnapshotRefused] = {}

    def replay(self, records: Iterable[Decided], *, agreement: str | None) -> Iterator[Replayed]:
        """Yield every decision of `records`, those under `agreement` alone where one is named.

        A record with a fault is always told: whose it was cannot be. Raises RegistryUnavailable.
        """
        for record in records:
            named = agreement is None or record.core.get("agreement") == agreement
            if named or record.fault is not None:
                yield self._replay(record)

    def _replay(self, record: Decided) -> Replayed:
        recorded = {name: record.core[name] for name in _COMPARED if name in record.core}
        if record.fault is not None:
            return _without(record, recorded, Result.DIFFERENT, record.fault)
        if None in record.sections.values():
            gone = sorted(name for name, section in record.sections.items() if section is None)
            if set(gone) - {"net"}:
                return _without(record, recorded, Result.ERASED, ", ".join(gone))
        revision = record.core.get("revision")
        if not isinstance(revision, int):
            return _without(record, recorded, Result.NOT_KEPT, "the revision")
        rules = self._rules(revision)
        if isinstance(rules, SnapshotRefused):
            return _without(record, recorded, Result.DIFFERENT, rules.faults[0])
        try:
            query = _query(record, rules)
        except KeyError as missing:  # the record is whole, and of a time when less was kept
            query = f"the {missing.args[0]}"
        if isinstance(query, str):
            return _without(record, recorded, Result.NOT_KEPT, query)
        now = _told(_decide(record, query, rules))
        result = _compare(recorded, now)
        if _is_in_part(record):
            if result is Result.DIFFERENT:
                return _without(record, recorded, Result.NOT_KEPT, "the end of a long body")
            result = Result.IN_PART
        return Replayed(decided=record, result=result, recorded=recorded, replayed=now)

    def _rules(self, revision: int) -> Rulebook | SnapshotRefused:
        if revision not in self._rulebooks:
            if len(self._rulebooks) >= RULEBOOKS_KEPT_MAX:
                self._rulebooks.pop(min(self._rulebooks))
            try:
                configuration = self._registry.load_at(revision)
                self._rulebooks[revision] = compile_rules(configuration, self._compiler)
            except SnapshotRefused as refused:
                self._rulebooks[revision] = refused
        return self._rulebooks[revision]


def _without(record: Decided, recorded: Told, result: Result, why: str) -> Replayed:
    return Replayed(decided=record, result=result, recorded=recorded, why=why)


def _is_in_part(record: Decided) -> bool:
    payload = record.sections.get("payload") or {}
    return ROWS_ASKED in payload and rows_kept(payload[ROWS_ASKED]) < payload["rows"]


def _compare(recorded: Told, now: Told) -> Result:
    differing = {name for name in _COMPARED if recorded.get(name) != now.get(name)}
    if not differing:
        return Result.SAME
    # A denial for what an agreement says names the checks that failed; one without came later.
    later = recorded.get("decision") == Verdict.DENY and "failed" not in recorded
    if later and differing.issubset(_CONCLUSION) and now["decision"] != Verdict.DENY:
        return Result.AFTERWARDS
    return Result.DIFFERENT


def _told(decision: Decision) -> Told:
    """Return a decision in the words of its record (`gateway.exchange.records`)."""
    agreement = decision.agreement
    told = {
        "decision": decision.verdict.value,
        "reason": decision.reason.value,
        "failed": [c.reason.value for c in decision.checks if c.outcome is not Outcome.PASSED],
        "agreement": agreement and agreement.id,
        "agreement_version": agreement and agreement.version,
        "agreement_digest": agreement and agreement.digest,
        "rule": decision.rule,
        "action": decision.action,
        "route": decision.route,
        "instrument": decision.instrument,
    }
    return {name: value for name, value in told.items() if value is not None and value != []}


def _decide(record: Decided, query: Query, rules: Rulebook) -> Decision:
    """Choose the agreement and decide, as an exchange does (`gateway.exchange.inquiry`)."""
    actor = record.sections.get("actor") or {}
    matched = rules.routes.match(query.path)
    chosen = select(
        rules.agreements,
        caller=query.caller,
        agreement=actor.get("agreement"),
        service=matched.service if matched else None,
        method=query.method,
        path=query.path,
        purpose=query.purpose,
    )
    if isinstance(chosen, ReasonCode):
        return refuse(chosen)
    return decide(chosen, _with_form(query, rules), rules.law)


def _with_form(query: Query, rules: Rulebook) -> Query:
    form = rules.forms.get(query.context.get(DECISION_REFERENCE, "").strip())
    return query if form is None else replace(query, decision_form=form)


def _query(record: Decided, rules: Rulebook) -> Query | str:
    """Return the query that was decided, or what of it the record does not keep."""
    core, payload = record.core, record.sections.get("payload") or {}
    subject = record.sections.get("subject") or {}
    raw = payload.get(TARGET) or subject.get(TARGET) or core.get("route")
    target = read_target(raw.encode("ascii")) if raw is not None else None
    if target is None or isinstance(target, FrontRefusal):
        return "the target"
    caller = _caller(record, rules)
    parameters, fields = fields_apart(target.parameters)
    query = Query(
        at=_instant(core["decided_at"]),
        caller=caller,
        method=core["method"],
        path=target.segments,
        parameters=parameters,
        fields=fields,
        rows=rows_asked(payload[ROWS_ASKED], payload["rows"]) if ROWS_ASKED in payload else None,
    )
    actor = record.sections.get("actor")
    if actor is None:
        return query
    return replace(
        query,
        purpose=actor.get("purpose"),
        context=payload.get("context", {}),
        on_behalf_of=actor.get("on_behalf_of"),
        break_glass=_urgent(payload.get("break_glass")),
        decision_form_used=payload.get(FORM_USED, False),
    )


def _caller(record: Decided, rules: Rulebook) -> Caller:
    actor = record.sections.get("actor")
    if actor is None:
        return Caller(organisation=PUBLIC)
    issuer = rules.issuers.get(actor["issuer"])
    return Caller(
        organisation=record.core["consumer"],
        client=actor["client"],
        subject=actor["subject"],
        roles=frozenset(actor.get("roles", ())),
        acr=actor.get("acr"),
        issuer_speaks_for=issuer.organisations if issuer else frozenset(),
        sender_constrained=actor["bound"],
    )


def _urgent(said: Mapping[str, Any] | None) -> BreakGlassRequest | None:
    if said is None:
        return None
    started_us = cast("int | None", said.get("started_at"))
    return BreakGlassRequest(
        reason=said["reason"],
        justification=said["justification"],
        started_at=None if started_us is None else _instant(started_us),
        subjects_so_far=said.get("subjects_so_far", 0),
        suspended=said.get("suspended", False),
    )


def _instant(at_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_us)
