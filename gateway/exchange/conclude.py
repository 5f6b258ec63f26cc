"""The last step of an exchange: the outcome is durable, or nothing is released."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from typing import Final

from gateway.audit.entry import EntryInvalid
from gateway.audit.log import AuditLog
from gateway.audit.store import (
    Change,
    Claim,
    CounterExceeded,
    GrantExhausted,
    LogBusy,
    LogUnavailable,
    Position,
)
from gateway.exchange import records
from gateway.exchange.answers import RETRY_LATER
from gateway.exchange.asked import request_subjects
from gateway.exchange.day_counts import PEOPLE_TOLD_APART_MAX, reserved_today, settled_today
from gateway.exchange.facts import Ending, Exchange
from gateway.exchange.held import form_key, grant_use
from gateway.exchange.receipts import wants_receipt
from policies.decision import ReasonCode

FORM_CLAIM_US: Final = 100 * 366 * 24 * 3600 * 1_000_000
"""A decision form that was used stays used for longer than any log is kept: a hundred years."""

CLAIM_SLACK_S: Final = 60
"""How much longer than a proof its claim is kept: longer than any append can take."""
ONCE_CLAIM_US: Final = 24 * 3600 * 1_000_000
"""How long a caller's own key for a call stands for that call: a day."""
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that ask for nothing to be done, and so may be repeated (RFC 9110, section 9.2.1)."""

ONCE_CLAIM: Final = b"once:"
_PROOF_CLAIM: Final = b"dpop:"


def claims_of(exchange: Exchange) -> tuple[Claim, ...]:
    """Return the one-time keys that this exchange uses up.

    They are its DPoP proof, and if it is permitted its decision form and the caller's own key.
    """
    claims: tuple[Claim, ...] = ()
    proof = exchange.authenticated.proof if exchange.authenticated else None
    if proof is not None:
        # The proof expires in decision time, the claim in system time; and the claim is made some
        # moments after its time was taken.
        left_us = int((proof.expires_at - exchange.at.timestamp()) * 1_000_000)
        expires_at_us = exchange.started_us + left_us + CLAIM_SLACK_S * 1_000_000
        claims = (Claim(key=_PROOF_CLAIM + proof.key, expires_at_us=expires_at_us),)
    if not exchange.decision.permitted:
        return claims
    form = exchange.decision.duties.single_use
    if form is not None and exchange.decision.agreement:
        key = form_key(exchange.decision.agreement.id, form)
        expires_at_us = exchange.started_us + FORM_CLAIM_US
        claims = (*claims, Claim(key=key, expires_at_us=expires_at_us))
    if exchange.query.method not in SAFE_METHODS:
        claims += _once(exchange)
    return claims


def _once(exchange: Exchange) -> tuple[Claim, ...]:
    """Return the claim of a caller's `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).

    Keys are the client's own: two clients that choose the same one do not meet, nor do strangers
    from two addresses.
    """
    chosen = next((v for name, v in exchange.request.headers if name == b"idempotency-key"), None)
    if chosen is None:
        return ()
    claims = exchange.authenticated.claims if exchange.authenticated else None
    whose = (claims.issuer, claims.client_id) if claims else (exchange.request.source,)
    named = "\n".join((*whose, chosen.decode("latin-1")))
    key = ONCE_CLAIM + hashlib.sha256(named.encode()).digest()
    return (Claim(key=key, expires_at_us=exchange.started_us + ONCE_CLAIM_US),)


async def conclude(
    exchange: Exchange, ending: Ending, intent: Position, log: AuditLog, *, instance: str
) -> Ending:
    """Record how the exchange ended and return what may be released now.

    Where the answer would exceed the people a rule allows in a day, or the outcome cannot be
    recorded, the returned ending releases nothing. If the log was only busy, an outcome that says
    so is left for it to store, and gives back what was not used.
    """
    try:
        return await _settle(exchange, ending, intent, log, instance=instance)
    except LogBusy:
        withheld = _withheld(ending)
        settled = (*settled_today(exchange, withheld, log), *_grant_used(exchange, withheld, log))
        with suppress(EntryInvalid):  # it is closed as indeterminate in the end
            record = records.outcome(exchange, withheld, intent, instance=instance)
            log.leave(record, counters=settled, releases=_released_by(exchange, withheld))
        return _NOT_RECORDED
    except LogUnavailable:
        return _NOT_RECORDED


async def _settle(
    exchange: Exchange, ending: Ending, intent: Position, log: AuditLog, *, instance: str
) -> Ending:
    try:
        record = records.outcome(exchange, ending, intent, instance=instance)
        settled = (*settled_today(exchange, ending, log), *_grant_used(exchange, ending, log))
        released = _released_by(exchange, ending)
        position = await log.append(record, counters=settled, releases=released)
    except CounterExceeded:
        instead = _TOO_MANY
    except GrantExhausted:
        instead = _TOO_MANY_URGENT
    except EntryInvalid:
        # Whatever the answer holds that no record can, the exchange has its outcome all the same.
        instead = _UNRECORDABLE
    else:
        return replace(ending, recorded=position) if wants_receipt(exchange) else ending
    record = records.outcome(exchange, instead, intent, instance=instance)
    position = await log.append(record, counters=settled_today(exchange, instead, log))
    return replace(instead, recorded=position)


def _released_by(exchange: Exchange, ending: Ending) -> tuple[bytes, ...]:
    """Return the one-time keys that may be used again, because nothing was sent."""
    unused = claims_of(exchange) if not ending.sent else ()
    return tuple(claim.key for claim in unused if not claim.key.startswith(_PROOF_CLAIM))


def _withheld(ending: Ending) -> Ending:
    """Return how an exchange ended whose outcome the log did not take in time."""
    flow = ending.flow
    if flow is not None and flow.answer_bytes is not None:  # all but the end of it is out
        flow = replace(flow, cut=flow.cut or _NOT_RECORDED.problem, answer_digest=None)
        return replace(ending, reason=ReasonCode.AUDIT_UNAVAILABLE, flow=flow)
    status = ending.service_status
    return replace(_NOT_RECORDED, sent=ending.sent, service_status=status, flow=flow)


_NOT_RECORDED: Final = Ending(
    status=503,
    headers=RETRY_LATER,
    reason=ReasonCode.AUDIT_UNAVAILABLE,
    problem="audit-unavailable",
    detail="The outcome could not be recorded, so the answer was not released.",
    origin="gateway",
)
_UNRECORDABLE: Final = Ending(
    status=502,
    reason=ReasonCode.DUTY_NOT_APPLICABLE,
    problem="duty-not-applicable",
    detail="The answer holds what cannot be recorded, so it was not released.",
    origin="service",
)


_TOO_MANY: Final = Ending(
    status=429,
    reason=ReasonCode.VOLUME_EXCEEDED,
    problem="volume-exceeded",
    detail="The answer would exceed the number of people that the agreement allows in a day.",
    origin="gateway",
)
_TOO_MANY_URGENT: Final = replace(
    _TOO_MANY,
    detail="The answer would exceed the number of people that an urgent grant may cover.",
)


def reserved_by(exchange: Exchange, log: AuditLog) -> tuple[Change, ...]:
    """Return what is counted before the call: what is by the day, and who an urgent grant covers.

    If the process dies in between, they stay counted: what cannot be known counts as done.
    """
    if not exchange.decision.permitted:
        return ()
    changes = reserved_today(exchange, log)
    if exchange.grant is not None:
        changes += grant_use(exchange, request_subjects(exchange), log)
    return changes


def identifiers_needed(exchange: Exchange) -> int:
    """Return how many of an answer's people have to be known one by one.

    Those a grant can cover: with one more it is exceeded, whoever the others are. And those whom
    a day's count of different people tells apart.
    """
    urgent, duties = exchange.decision.break_glass, exchange.decision.duties
    covered = 0 if exchange.grant is None or urgent is None else urgent.max_subjects + 1
    return covered if duties.subjects_per_day is None else max(covered, PEOPLE_TOLD_APART_MAX)


def _grant_used(exchange: Exchange, ending: Ending, log: AuditLog) -> tuple[Change, ...]:
    """Count the people in an urgent answer, whoever was asked about."""
    if exchange.grant is None or not ending.subjects_counted:
        return ()
    unnamed = ending.subjects_counted - len(ending.subjects)
    return grant_use(exchange, ending.subjects, log, unnamed=unnamed)
