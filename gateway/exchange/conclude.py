"""The last step of an exchange: the outcome is durable, or nothing is released."""

from __future__ import annotations

import hashlib
from typing import Final
from zoneinfo import ZoneInfo

from gateway.audit.log import AuditLog
from gateway.audit.store import (
    Claim,
    CounterChange,
    CounterExceeded,
    LogBusy,
    LogUnavailable,
    Position,
)
from gateway.exchange import records
from gateway.exchange.facts import Ending, Exchange
from policies.decision import ReasonCode

FORM_CLAIM_YEARS: Final = 100
"""A decision form that was used stays used for longer than any log is kept."""

_DAY_ZONE: Final = ZoneInfo("Europe/London")
"""Daily limits turn at midnight in London, as agreements mean it."""
_YEAR_US: Final = 366 * 24 * 3600 * 1_000_000


def claims_of(exchange: Exchange) -> tuple[Claim, ...]:
    """Return the one-time keys that this exchange uses up: its DPoP proof, its decision form."""
    claims: tuple[Claim, ...] = ()
    proof = exchange.authenticated.proof if exchange.authenticated else None
    if proof is not None:
        # The proof expires in decision time, the claim in system time.
        left_us = int((proof.expires_at - exchange.at.timestamp()) * 1_000_000)
        expires_at_us = exchange.started_us + left_us
        claims = (Claim(key=b"dpop:" + proof.key, expires_at_us=expires_at_us),)
    form = exchange.decision.duties.single_use
    if form is not None and exchange.decision.permitted and exchange.decision.agreement:
        named = f"{exchange.decision.agreement.id}\n{form}".encode()
        key = b"form:" + hashlib.sha256(named).digest()
        expires_at_us = exchange.started_us + FORM_CLAIM_YEARS * _YEAR_US
        claims = (*claims, Claim(key=key, expires_at_us=expires_at_us))
    return claims


async def conclude(
    exchange: Exchange, ending: Ending, intent: Position, log: AuditLog, *, instance: str
) -> Ending:
    """Record how the exchange ended and return what may be released now.

    Where the answer would exceed the people a rule allows in a day, or the outcome cannot be
    recorded, the returned ending releases nothing.
    """
    unused = claims_of(exchange) if not ending.sent else ()
    released = tuple(claim.key for claim in unused if claim.key.startswith(b"form:"))
    record = records.outcome(exchange, ending, intent, instance=instance)
    try:
        try:
            await log.append(record, counters=_people_today(exchange, ending), releases=released)
        except CounterExceeded:
            ending = _too_many_people()
            record = records.outcome(exchange, ending, intent, instance=instance)
            await log.append(record)
    except (LogBusy, LogUnavailable):
        return Ending(
            status=503,
            reason=ReasonCode.AUDIT_UNAVAILABLE,
            problem="audit-unavailable",
            detail="The outcome could not be recorded, so the answer was not released.",
            origin="gateway",
        )
    return ending


def _people_today(exchange: Exchange, ending: Ending) -> tuple[CounterChange, ...]:
    maximum = exchange.decision.duties.subjects_per_day
    agreement = exchange.decision.agreement
    if maximum is None or agreement is None or not ending.subjects_counted:
        return ()
    caller = exchange.query.caller
    day = exchange.at.astimezone(_DAY_ZONE).date().isoformat()
    named = "\n".join(
        ("subjects", day, agreement.id, exchange.decision.rule or "", caller.organisation)
    )
    key = hashlib.sha256(named.encode()).digest()
    return (CounterChange(key=key, add=ending.subjects_counted, maximum=maximum),)


def _too_many_people() -> Ending:
    return Ending(
        status=429,
        reason=ReasonCode.VOLUME_EXCEEDED,
        problem="volume-exceeded",
        detail="The answer would exceed the number of people that the agreement allows in a day.",
        origin="gateway",
    )
