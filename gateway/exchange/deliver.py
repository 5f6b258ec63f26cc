"""Calling the service and making its answer fit to release: steps 6 of the exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final, NamedTuple

from connectors.base import Call, CallFailed, Connector, Failure, Reply
from gateway.clock import uuid_text
from gateway.errors import ProblemCode
from gateway.exchange.answers import RETRY_LATER
from gateway.exchange.asked import request_subjects, request_values, without_fields
from gateway.exchange.conclude import SAFE_METHODS, identifiers_needed
from gateway.exchange.duties.applied import not_applicable
from gateway.exchange.duties.apply import (
    Applied,
    Shape,
    Withheld,
    apply_duties,
    has_body_duties,
    may_stream,
    streamed_duties,
)
from gateway.exchange.duties.duty_processes import CROWDED, DutyProcesses, is_off_loop
from gateway.exchange.duties.duty_turns import Claim
from gateway.exchange.duties.streamed import Unfit
from gateway.exchange.facts import Ending, Exchange, Flow
from gateway.exchange.handling import HANDLINGS, SHAPES, AnswerHead, Handling, read_head
from gateway.exchange.messages import Headers
from gateway.exchange.service_errors import service_error
from gateway.exchange.stream import LongAnswer, fed, read_start, with_flow
from gateway.exchange.unended import RESET_CONTENT, to_its_end, unproved
from gateway.exchange.watch import Cut, Upload, Watch
from gateway.problems import PROBLEMS, code_of
from policies.decision import PUBLIC, ReasonCode

ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
"""The longest answer that is held in memory whole; a longer one is withheld."""
CALL_DEADLINE_S: Final = 30.0
"""Seconds for the answer's head, and for an answer that is whole before it is released."""
IDLE_S: Final = 30.0
"""Seconds for which a service may let a body stand still that is not held whole."""
EXCHANGE_S_MAX: Final = 3000.0
"""Seconds that a call may take whose body is not held whole."""

CODED_UNREAD: Final = frozenset({b"content-encoding"})
"""Fields that go upstream only with a body that is not read here."""

_TAGGED: Final = frozenset({b"if-match", b"if-none-match"})

_FAILURES: Final = {
    Failure.UNREACHABLE: ("service-unreachable", "The service could not be reached."),
    Failure.TIMED_OUT: ("service-timeout", "The service did not answer in time."),
    Failure.REFUSED: ("service-unreachable", "The service does not accept the gateway's call."),
    Failure.MALFORMED: (
        "service-malformed",
        "The service's answer broke the rules of HTTP or is cut short.",
    ),
    Failure.OVERLOADED: ("service-overloaded", "Too many calls to the service are under way."),
}


async def deliver(
    exchange: Exchange,
    connector: Connector,
    processes: DutyProcesses,
    watch: Watch | None = None,
) -> Ending:
    """Call the service and return what may be released; never raises.

    Whatever happens here, the intent is on record, so that an outcome has to follow it. A caller
    who leaves takes the call along. `watch` is there where the request's body goes upstream unread.
    """
    presence = exchange.request.presence
    if presence.left():
        return replace(_CLIENT_GONE, sent=False)
    if guesses_tag(exchange):
        return _TAG_UNKNOWN
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in one
    presence.when_left(task.cancel)
    try:
        ending = await _call(exchange, connector, processes, watch)
    except asyncio.CancelledError:
        if not presence.left():
            raise
        task.uncancel()
        ending = _CLIENT_GONE
    finally:
        presence.when_left(None)
    if watch is None or isinstance(ending, LongAnswer):
        return ending
    return with_flow(ending, watch)


async def _call(
    exchange: Exchange, connector: Connector, processes: DutyProcesses, watch: Watch | None
) -> Ending:
    try:
        reply = await connector.call(upstream_call(exchange, watch))
        try:
            read = await _read(exchange, reply)
        except BaseException:
            await reply.release()
            raise
        if isinstance(read, LongAnswer):
            ending: Ending = read
        else:
            # The body is here whole: while it waits for its duties, the service is for others.
            await reply.release()
            ending = await _judge(exchange, read, processes) if isinstance(read, _Whole) else read
            if watch is not None:
                watch.check()
        if reply.delimited_by_close:
            ending = unproved(ending, reply, HANDLINGS.of(exchange.decision.duties))
    except CallFailed as failed:
        if watch is not None and watch.cut is not None:
            return _broken_off(watch.cut)
        return _call_failed(failed)
    except Cut as cut:
        return _broken_off(cut)
    except Exception:  # noqa: BLE001 - a fault of our own must still leave its outcome record
        return Ending(
            status=500,
            reason=ReasonCode.CONNECTOR_UNAVAILABLE,
            problem=ProblemCode.INTERNAL_ERROR,
            detail="The gateway failed while it handled the answer; nothing was released.",
            origin="gateway",
        )
    return ending


def upstream_call(exchange: Exchange, watch: Watch | None = None) -> Call:
    """Return the call that goes upstream: allow-listed fields, and none of the caller's proofs.

    `guesses_tag` says which may not.
    """
    body: bytes | Upload | None = None
    request = exchange.request
    handling = HANDLINGS.of(exchange.decision.duties)
    names = handling.forwarded if request.method in SAFE_METHODS else handling.forwarded_changing
    if watch is not None:
        names |= CODED_UNREAD
    headers = [pair for pair in request.headers if pair[0] in names]
    headers += (
        *handling.added,
        (b"via", exchange.snapshot.via),
        (b"traceparent", exchange.traceparent),
        (b"x-request-id", uuid_text(exchange.id).encode()),
    )
    if request.has_body:
        body = exchange.body if watch is None else Upload(request.body.chunks(), watch)
    return Call(
        method=request.method,
        target=without_fields(request.target),
        headers=tuple(headers),
        body=body,
        body_bytes=request.body_bytes if watch is not None else None,
        deadline_s=CALL_DEADLINE_S,
        idle_s=IDLE_S,
        stream_s=EXCHANGE_S_MAX,
    )


def guesses_tag(exchange: Exchange) -> bool:
    """Tell whether a request that changes something turns on an entity tag nobody may know.

    It goes neither with its condition, which would tell (`CONDITIONS`), nor without it.
    """
    request = exchange.request
    if request.method in SAFE_METHODS or not has_body_duties(exchange.decision.duties):
        return False
    return any(name in _TAGGED and value != b"*" for name, value in request.headers)


class _Whole(NamedTuple):
    """An answer whose duties are applied off the loop, when its connection has been given back."""

    status: int
    head: AnswerHead
    body: bytes


async def _read(exchange: Exchange, reply: Reply) -> Ending | _Whole:
    status, handling = reply.status, HANDLINGS.of(exchange.decision.duties)
    if status >= 300 and status != 304:
        return service_error(status, reply.headers, reads=handling.reads)
    if status in _UNASKED and handling.reads:
        return _withheld(_UNASKED[status], status)
    head = read_head(reply.headers, handling)
    if status == RESET_CONTENT:
        return released(exchange, status, head, b"")
    if reply.delimited_by_close:
        reply = to_its_end(reply, head, handling)
    if handling.may_stream and _streams(handling, head):
        body, more = await read_start(reply, seconds=CALL_DEADLINE_S)
        if more is not None:
            return await _begin_stream(exchange, reply, head, body, more)
    else:
        body = await reply.read(ANSWER_BYTES_MAX)
    if not handling.reads or head.coded or not is_off_loop(head.media_type, len(body)):
        return released(exchange, status, head, body)
    return _Whole(status, head, body)


async def _judge(exchange: Exchange, whole: _Whole, processes: DutyProcesses) -> Ending:
    applied = await processes.apply(
        exchange.decision.duties,
        _shape(exchange),
        media_type=whole.head.media_type,
        body=whole.body,
        claim=claim_of(exchange),
        identifiers_max=identifiers_needed(exchange),
    )
    if applied is CROWDED:
        return _crowded_out(whole.status)
    return _applied(whole.status, whole.head, applied)


def claim_of(exchange: Exchange) -> Claim:
    """Return whose turn it is when this exchange's answer is read: not a whole organisation's."""
    client = exchange.client
    return Claim(
        caller=client or exchange.request.source,
        public=client is None,
        urgent=exchange.decision.break_glass is not None,
    )


def _streams(handling: Handling, head: AnswerHead) -> bool:
    """Whether duties can be applied to this answer in pieces."""
    if not handling.reads:
        return True
    return not head.coded and may_stream(handling.duties, media_type=head.media_type)


async def _begin_stream(
    exchange: Exchange, reply: Reply, head: AnswerHead, start: bytes, more: AsyncIterator[bytes]
) -> Ending:
    """Begin to release an answer in pieces: it is too long to be held whole."""
    duties = streamed_duties(exchange.decision.duties, _shape(exchange))
    try:
        fit = await fed(duties, start)
    except Unfit as unfit:
        return _withheld(unfit.withheld, reply.status)
    headers = head.headers + exchange_headers(exchange)
    return LongAnswer(
        status=reply.status, headers=headers, reply=reply, duties=duties, start=fit, more=more
    )


def released(exchange: Exchange, status: int, head: AnswerHead, body: bytes) -> Ending:
    """Apply the decision's duties to an answer and return what is left of it to release."""
    duties = exchange.decision.duties
    if not body:
        known = request_subjects(exchange)
        return Ending(
            status=status,
            headers=head.headers,
            service_status=status,
            subjects=known,
            subjects_counted=len(known),
        )
    if head.coded and has_body_duties(duties):
        return _withheld(_CODED, status)
    applied = apply_duties(duties, _shape(exchange), media_type=head.media_type, body=body)
    return _applied(status, head, applied)


def _shape(exchange: Exchange) -> Shape:
    assert exchange.service is not None, "a permitted exchange has one"  # noqa: S101 - programmer's error
    facts, duties = exchange.service.facts, exchange.decision.duties
    shape = SHAPES.of(facts)
    if duties.subject_field is None and duties.restricted is None:
        return shape
    # Only where people are protected does it matter what the request chose its records by.
    chosen_by = request_values(exchange) if duties.restricted is not None else ()
    return replace(
        shape,
        known_subjects=request_subjects(exchange),
        filtered_on=frozenset([name for name, _ in chosen_by]),
    )


_UNASKED: Final = {
    206: not_applicable("The service answered with a part of its data, which cannot be checked."),
    304: not_applicable("The service answered that nothing has changed, which it was not asked."),
}
"""Answers to what no service is asked where duties apply."""
_CODED: Final = not_applicable(
    "The service compressed its answer, which therefore cannot be checked."
)


def _applied(status: int, head: AnswerHead, applied: Applied | Withheld) -> Ending:
    if isinstance(applied, Withheld):
        return _withheld(applied, status)
    return Ending(
        status=status,
        headers=head.headers,
        body=applied.body,
        service_status=status,
        records=applied.records,
        records_dropped=applied.records_dropped,
        subjects=applied.subjects,
        subjects_counted=applied.subjects_counted,
        named=applied.named,
        redacted_subjects=applied.redacted_subjects,
        fields_sent=applied.fields_sent,
        fields_withheld=applied.fields_withheld,
        leaked=applied.leaked,
    )


def exchange_headers(exchange: Exchange) -> Headers:
    """Return the response fields that the gateway itself adds to an answer with data."""
    headers = [(b"exchange-id", uuid_text(exchange.id).encode())]
    if exchange.query.caller.organisation != PUBLIC:
        headers.append((b"cache-control", b"no-store"))
    if exchange.decision.duties.onward_not_permitted:
        headers.append((b"onward-sharing", b"not-permitted"))
    return tuple(headers)


def _call_failed(failed: CallFailed) -> Ending:
    code, detail = _FAILURES[failed.failure]
    return Ending(
        status=PROBLEMS[code].status,
        headers=RETRY_LATER if failed.failure is Failure.OVERLOADED else (),
        reason=ReasonCode.CONNECTOR_UNAVAILABLE,
        problem=code,
        detail=detail,
        origin="service",
        sent=failed.sent,
        failure=failed.failure,
    )


_CLIENT_GONE: Final = Ending(
    status=PROBLEMS[ProblemCode.CLIENT_GONE].status,
    problem=ProblemCode.CLIENT_GONE,
    detail="The caller closed the connection; the call to the service was given up.",
    origin="client",
    flow=Flow(cut=ProblemCode.CLIENT_GONE),
)


_TAG_UNKNOWN: Final = Ending(
    status=PROBLEMS[ProblemCode.PRECONDITION_NOT_ALLOWED].status,
    problem=ProblemCode.PRECONDITION_NOT_ALLOWED,
    detail="The condition names an entity tag, which none of this gateway's answers has shown you.",
    origin="client",
    sent=False,
)


def _broken_off(cut: Cut) -> Ending:
    """Return the ending of an exchange that was stopped while its request was on its way."""
    if cut.cause == ProblemCode.CLIENT_GONE:
        return _CLIENT_GONE
    return Ending(
        status=PROBLEMS[cut.cause].status,
        headers=RETRY_LATER if cut.cause == ProblemCode.STOP_LIST_STALE else (),
        reason=cut.reason,
        problem=cut.cause,
        detail="The exchange was stopped while its body was on its way to the service.",
        origin="gateway",
    )


def _crowded_out(service_status: int) -> Ending:
    """Return the ending of a call whose answer had to give way to others in the gateway."""
    return Ending(
        status=PROBLEMS[ProblemCode.SERVICE_OVERLOADED].status,
        headers=RETRY_LATER,
        reason=CROWDED.reason,
        problem=ProblemCode.SERVICE_OVERLOADED,
        detail=CROWDED.detail,
        origin="gateway",
        service_status=service_status,
    )


def _withheld(withheld: Withheld, service_status: int) -> Ending:
    return Ending(
        status=502 if withheld.reason is not ReasonCode.VOLUME_EXCEEDED else 429,
        reason=withheld.reason,
        problem=code_of(withheld.reason),
        detail=withheld.detail,
        origin="service",
        service_status=service_status,
    )
