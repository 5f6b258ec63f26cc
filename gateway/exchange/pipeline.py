"""One exchange, top to bottom, in one function: no plug-in can skip the check or the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Final

from connectors.base import CallFailed, Connector
from gateway.audit.entry import EntryInvalid, Kind
from gateway.audit.log import AuditLog
from gateway.audit.store import (
    ClaimTaken,
    CounterExceeded,
    GrantExhausted,
    LogBusy,
    LogUnavailable,
    Position,
)
from gateway.clock import DecisionClock, monotonic_s, monotonic_us
from gateway.exchange import records
from gateway.exchange.answers import RETRY_LATER, ErrorAnswer, answer, refusal
from gateway.exchange.conclude import ONCE_CLAIM, claims_of, conclude, reserved_by
from gateway.exchange.deliver import deliver, exchange_headers
from gateway.exchange.duties.duty_processes import DutyProcesses
from gateway.exchange.facts import Ending, Exchange
from gateway.exchange.held import FORM_CLAIM
from gateway.exchange.inquiry import Opened, inquire, open_exchange, stopped
from gateway.exchange.limits import RateLimiter
from gateway.exchange.messages import Request, Response
from gateway.exchange.pace import RefusalPace
from gateway.exchange.receipts import wants_receipt, with_receipt
from gateway.exchange.refused import RefusedTraffic
from gateway.exchange.snapshot import STOP_LIST_AGE_S_MAX, Snapshot, StopList
from gateway.exchange.stream import LongAnswer, LongAnswers, long_response, with_flow
from gateway.exchange.watch import Watch
from gateway.identity.authenticate import Authenticator
from gateway.identity.caller import Unauthenticated
from gateway.problems import PROBLEMS, code_of
from gateway.telemetry import Telemetry
from policies.decision import PUBLIC, ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything that an exchange touches outside itself; opened once per worker."""

    authenticator: Authenticator
    log: AuditLog
    clock: DecisionClock
    connectors: Mapping[str, Connector]
    stop_list: Callable[[], StopList]
    rates: RateLimiter
    refused: RefusedTraffic
    telemetry: Telemetry
    instance: str
    duty_processes: DutyProcesses = field(default_factory=DutyProcesses)
    long_answers: LongAnswers = field(default_factory=LongAnswers)


async def exchange(request: Request, now: Snapshot, ports: Ports) -> Response:
    """Carry out one exchange: authenticate, match, decide, record, call, apply, record, answer.

    The order is the design's (section 4) and is not configurable. What is true if the process
    dies between two steps is told in `docs/life-of-an-exchange.md`.

    Raises:
        ClientGone: the caller left before its request was whole; nothing was called or recorded.
    """
    opened = open_exchange(request, ports.clock)
    stops = ports.stop_list()
    if monotonic_s() - stops.read_at_s > STOP_LIST_AGE_S_MAX:
        return _at_once(_STALE, opened, request, now)

    # Authenticate, match and decide (steps 2 to 4): nothing is called, nothing is written.
    try:
        asked = await inquire(opened, request, now, stops, ports.authenticator, log=ports.log)
    except LogUnavailable:
        return _at_once(_NOT_RECORDED, opened, request, now)
    if isinstance(asked, Unauthenticated):
        return await turn_away(asked, opened, request, now, ports)
    subject = asked.exchange
    error = asked.error or _stopped(subject, ports) or _over_rate(subject, ports.rates)
    if error is not None:
        return await _refuse(subject, error, ports)

    # Intent (step 5): durable before any byte goes upstream (invariants I1 and I10).
    recorded = await _record_intent(subject, ports)
    if isinstance(recorded, ErrorAnswer):
        return await _refuse(subject, recorded, ports)
    error = _stopped(subject, ports)
    if error is not None:
        return _respond(subject, await _finish(subject, _unsent(error), recorded, ports), ports)

    # The call, and the duties on its answer (step 6).
    assert subject.service is not None  # noqa: S101 - a permitted exchange has a service
    connector = ports.connectors[subject.service.facts.connector]
    watch = _watch(subject, recorded, ports) if subject.unread else None
    ending = await deliver(subject, connector, ports.duty_processes, watch)
    if isinstance(ending, LongAnswer):
        return await release_long(subject, ending, recorded, ports, watch)
    return _respond(subject, await _finish(subject, ending, recorded, ports), ports)


async def release_long(
    subject: Exchange, long: LongAnswer, intent: Position, ports: Ports, watch: Watch | None = None
) -> Response:
    """Release a long answer while it comes, or give it up where its caller has too many."""
    assert subject.service is not None  # noqa: S101 - a permitted exchange has a service
    service = subject.service.facts.connector
    public = subject.query.caller.organisation == PUBLIC
    caller = subject.client or subject.request.source
    if not ports.long_answers.begin(service, caller, public=public):
        with suppress(CallFailed):  # it is given up, whatever becomes of the connection
            await long.reply.release()
        ending = replace(TOO_MANY_LONG, service_status=long.status)
        ending = ending if watch is None else with_flow(ending, watch)
        return _respond(subject, await _finish(subject, ending, intent, ports), ports)

    async def finish(ending: Ending) -> Ending:
        ports.long_answers.end(service, caller, public=public)
        return await _finish(subject, ending, intent, ports)

    watch = watch or _watch(subject, intent, ports)
    return long_response(long, watch, subject.request.presence, finish)


TOO_MANY_LONG: Final = Ending(
    status=429,
    headers=((b"retry-after", b"60"),),
    reason=ReasonCode.RATE_LIMITED,
    problem=code_of(ReasonCode.RATE_LIMITED),
    detail="Too many long answers of this service are under way to this caller. Read them first.",
    origin="client",
)


async def _finish(subject: Exchange, ending: Ending, intent: Position, ports: Ports) -> Ending:
    # Outcome (step 7): durable before the consumer has the whole answer (invariant I2).
    if ending.failure is not None:
        ports.telemetry.service_failed(ending.failure)
    ending = await conclude(subject, ending, intent, ports.log, instance=ports.instance)
    _count(subject, ending.reason, ending.status, ports)
    return ending


def _watch(subject: Exchange, intent: Position, ports: Ports) -> Watch:
    return Watch(subject, intent, log=ports.log, instance=ports.instance, stop_list=ports.stop_list)


async def turn_away(
    refused: Unauthenticated, opened: Opened, request: Request, now: Snapshot, ports: Ports
) -> Response:
    """Answer a caller whose credentials do not hold; trace and pace are bounded (decision 5)."""
    ports.refused.note(refused, source=request.source, exchange_id=opened.id)
    ports.telemetry.unauthenticated(refused.reason)
    challenge = ((b"www-authenticate", refused.challenge.encode()),) if refused.challenge else ()
    error = ErrorAnswer(
        code=refused.problem,
        status=refused.status,
        detail=refused.detail,
        reason=refused.reason,
        headers=challenge,
    )
    return _paced(_at_once(error, opened, request, now), ports.refused.pace, None, request)


def _at_once(error: ErrorAnswer, opened: Opened, request: Request, now: Snapshot) -> Response:
    """Answer a request about which nothing was decided."""
    error_format = now.error_format(request.target.segments)
    return answer(error, opened.id, error_format=error_format)


def _stopped(subject: Exchange, ports: Ports) -> ErrorAnswer | None:
    """Tell what was stopped while this exchange waited; whatever it waits for takes seconds."""
    stops = ports.stop_list()
    if monotonic_s() - stops.read_at_s > STOP_LIST_AGE_S_MAX:
        return _STALE
    reason = stopped(subject, stops)
    if reason is None:
        return None
    error = refusal(subject.decision.denied(reason))
    if PROBLEMS[error.code].status != HTTPStatus.UNAUTHORIZED:
        return error
    return replace(error, headers=((b"www-authenticate", b'Bearer error="invalid_token"'),))


def _unsent(error: ErrorAnswer) -> Ending:
    """Return the ending of an exchange that was stopped before its call."""
    return Ending(
        status=PROBLEMS[error.code].status,
        headers=error.headers,
        reason=error.reason or ReasonCode.OK,
        problem=error.code,
        detail=error.detail,
        origin=error.origin,
        sent=False,
    )


def _over_rate(subject: Exchange, rates: RateLimiter) -> ErrorAnswer | None:
    """Take one call from the rule's rate; strangers share no rate with each other."""
    per_minute = subject.decision.duties.per_minute
    if per_minute is None or subject.decision.agreement is None:
        return None
    caller = subject.query.caller
    who = subject.request.source if caller.organisation == PUBLIC else caller.client
    key = (subject.decision.agreement.id, subject.decision.rule, caller.organisation, who)
    wait_s = rates.take(key, per_minute, subject.at)
    if wait_s is None:
        return None
    denied = subject.decision.denied(ReasonCode.RATE_LIMITED)
    return replace(refusal(denied), headers=((b"retry-after", b"%d" % max(1, round(wait_s))),))


async def _record_intent(subject: Exchange, ports: Ports) -> Position | ErrorAnswer:
    claims = claims_of(subject)
    try:
        record = records.intent(subject, instance=ports.instance)
        reserved = reserved_by(subject, ports.log)
        return await ports.log.append(record, claims=claims, counters=reserved)
    except (CounterExceeded, GrantExhausted):
        return refusal(subject.decision.denied(ReasonCode.VOLUME_EXCEEDED))
    except ClaimTaken as taken:
        if taken.key.startswith(FORM_CLAIM):
            return refusal(subject.decision.denied(ReasonCode.CASE_REFERENCE_NOT_APPROVED))
        return _REPEATED if taken.key.startswith(ONCE_CLAIM) else _PROOF_REPLAYED
    except LogBusy:
        return replace(_NOT_RECORDED, detail="More exchanges wait for the audit log than it holds.")
    except (LogUnavailable, EntryInvalid):
        return _NOT_RECORDED


_NOT_RECORDED: Final = ErrorAnswer(
    code="audit-unavailable",
    detail="The exchange could not be recorded, so it did not take place.",
    reason=ReasonCode.AUDIT_UNAVAILABLE,
    headers=RETRY_LATER,
)
_STALE: Final = ErrorAnswer(
    code="stop-list-stale",
    detail="The gateway cannot tell what was suspended lately, so it lets nothing through.",
    headers=RETRY_LATER,
)
_TOO_MANY_REFUSED: Final = replace(
    _NOT_RECORDED, detail="Too many refusals of this client wait to be recorded or answered."
)
_REPEATED: Final = ErrorAnswer(
    code="duplicate-request",
    detail="A call with this Idempotency-Key was made in the last 24 hours, and is not repeated.",
)
_PROOF_REPLAYED: Final = ErrorAnswer(
    code="proof-invalid",
    detail="This DPoP proof was used before. Make a new one for each request (RFC 9449, 11.1).",
    reason=ReasonCode.PROOF_INVALID,
    headers=((b"www-authenticate", b'DPoP error="invalid_dpop_proof"'),),
)


async def _refuse(subject: Exchange, error: ErrorAnswer, ports: Ports) -> Response:
    """Refuse a caller, slowly where it collects refusals fast (decision 5)."""
    error = await _record_refusal(subject, error, ports)
    error_format = subject.snapshot.error_format(subject.request.target.segments)
    response = answer(error, subject.id, error_format=error_format)
    if error.recorded is not None:
        signer = ports.log.receipts
        response = with_receipt(
            response, subject, Kind.DENY, error.recorded, released=b"", signer=signer
        )
    reason = error.reason or subject.decision.reason
    _count(_as_refused(subject, error), reason, response.status, ports)
    if error.reason is ReasonCode.AUDIT_UNAVAILABLE:
        return replace(response, close=True) if error is _TOO_MANY_REFUSED else response
    return _paced(response, ports.refused.pace, subject.client, subject.request)


def _paced(response: Response, pace: RefusalPace, client: str | None, request: Request) -> Response:
    """Let a refusal wait for its turn; it keeps nothing of the exchange but who waits."""
    if client is None:
        return replace(response, turn=partial(pace.hold_stranger, request.source, request.presence))
    return replace(response, turn=partial(pace.hold_client, client, request.presence))


async def _record_refusal(subject: Exchange, error: ErrorAnswer, ports: Ports) -> ErrorAnswer:
    """Return what is answered once it is on record, except where there can be no record."""
    if error.reason is ReasonCode.AUDIT_UNAVAILABLE:
        return error
    reason, source = error.reason or subject.decision.reason, subject.request.source
    public = subject.query.caller.organisation == PUBLIC
    replayed = error is _PROOF_REPLAYED
    if (public or replayed) and not ports.refused.admit(source, reason):
        return error
    client = subject.client or PUBLIC
    if not ports.refused.pace.begin_recording(client):
        ports.refused.count(source, reason)
        return _TOO_MANY_REFUSED
    subject = _as_refused(subject, error)
    status = error.status or PROBLEMS[error.code].status
    record = records.denial(subject, instance=ports.instance, problem=error.code, status=status)
    try:
        claims = () if replayed else claims_of(subject)
        position = await ports.log.append(record, claims=claims)
    except ClaimTaken:
        return await _record_refusal(subject, _PROOF_REPLAYED, ports)
    except (LogUnavailable, EntryInvalid):
        return _NOT_RECORDED
    finally:
        ports.refused.pace.end_recording(client)
    return replace(error, recorded=position) if wants_receipt(subject) else error


def _as_refused(subject: Exchange, error: ErrorAnswer) -> Exchange:
    """Make the exchange's decision say what is answered, where it was a yes until now."""
    if not subject.decision.permitted:
        return subject
    reason = error.reason or subject.decision.reason
    return replace(subject, decision=subject.decision.denied(reason))


def _respond(subject: Exchange, ending: Ending, ports: Ports) -> Response:
    response = _response_of(subject, ending)
    if ending.recorded is None or not wants_receipt(subject):
        return response
    released, signer = ending.body if ending.problem is None else b"", ports.log.receipts
    return with_receipt(
        response, subject, Kind.OUTCOME, ending.recorded, released=released, signer=signer
    )


def _response_of(subject: Exchange, ending: Ending) -> Response:
    if ending.problem is not None:
        error_format = subject.service.facts.error_format if subject.service else "problem"
        error = ErrorAnswer(
            code=ending.problem,
            status=ending.status,
            detail=ending.detail or "",
            reason=None if ending.reason is ReasonCode.OK else ending.reason,
            origin=ending.origin,
            headers=ending.headers,
        )
        return answer(error, subject.id, error_format=error_format)
    return Response(
        status=ending.status,
        headers=ending.headers + exchange_headers(subject),
        body=ending.body,
    )


def _count(subject: Exchange, reason: ReasonCode, status: int, ports: Ports) -> None:
    decision, trace = subject.decision, subject.trace
    duration_us = monotonic_us() - subject.began_us
    if trace is None or not trace.sampled:  # there is no span to tell more
        ports.telemetry.counters.exchange_ended(decision.verdict, reason, duration_us)
        return
    ports.telemetry.exchange_ended(
        decision=decision.verdict,
        reason=reason,
        status=status,
        started_us=subject.started_us,
        duration_us=duration_us,
        method=subject.request.method,
        route=decision.route,
        agreement=decision.agreement.id if decision.agreement else None,
        service=subject.service.facts.connector if subject.service else None,
        span_id=subject.span_id,
        trace=trace,
    )
