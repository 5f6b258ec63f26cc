"""Puts the state that a call declares into the gateway's log, before the call is played.

Calls of a pack are independent: each starts from the state that it declares, whatever was played
before. Nothing of a running gateway can be told so; this is the demo's, on its own log's files,
and each change leaves a record.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.audit.entry import Kind, Record
from gateway.audit.log import AuditLog
from gateway.audit.store import Change, Claim, GrantUse
from gateway.clock import new_uuid7, system_time_us
from gateway.data_plane import open_audit_log
from gateway.demo.packs import Pack
from gateway.demo.scenario import ScenarioCall
from gateway.exchange.conclude import FORM_CLAIM_US
from gateway.exchange.held import form_key, holder_of, microseconds, words_of
from gateway.settings import Settings
from policies.compile import DECISION_REFERENCE

_INSTANCE: Final = "demo"
_PEOPLE_MAX: Final = 1_000_000
"""How many people a call may declare to be covered: the agreement's own bound is tried by it."""


def declare(call: ScenarioCall, pack: Pack, settings: Settings) -> None:
    """Make the gateway hold what `call` says that it held before; most calls say nothing.

    Raises:
        gateway.audit.store.LogUnavailable: the log cannot be written.
    """
    agreement = call.token.agreement or _only_agreement(call, pack)
    reference = call.token.context.get(DECISION_REFERENCE, "").strip()
    urgent = call.token.break_glass is not None and call.token.issuer is not None
    if agreement is not None and (reference or urgent):
        asyncio.run(_declare(call, agreement, reference, settings))


def _only_agreement(call: ScenarioCall, pack: Pack) -> str | None:
    rule = pack.rule_of(call)
    return rule.agreement if rule else None


async def _declare(call: ScenarioCall, agreement: str, reference: str, settings: Settings) -> None:
    log = open_audit_log(settings, instance=_INSTANCE)
    await log.start()
    try:
        key, claims = form_key(agreement, reference), list[Claim]()
        if call.decision_already_used:
            claims.append(Claim(key, system_time_us() + FORM_CLAIM_US))
        await log.append(
            _record(call, agreement),
            releases=[key],
            claims=claims,
            counters=await _grant(call, agreement, log),
        )
    finally:
        await log.stop()


async def _grant(call: ScenarioCall, agreement: str, log: AuditLog) -> list[Change]:
    """Return the change after which the user's grant is as the call says; none starts with it."""
    said, token = call.token.break_glass, call.token
    if said is None:
        return []
    user = (str(token.issuer), token.subject or str(token.client))
    holder = holder_of(log, agreement, token.organisation, user)
    words = words_of(log, said.justification)
    found = await log.find_grant(holder, words)
    people = [log.tagger.tag("declared", str(n)) for n in range(said.subjects_so_far)]
    return [
        GrantUse(
            holder=holder,
            words=words,
            seen_us=found.started_us if found else None,
            begins=True,
            started_us=microseconds(said.started_at or call.at),
            subjects=people,
            subjects_max=_PEOPLE_MAX,
        )
    ]


def _record(call: ScenarioCall, agreement: str) -> Record:
    core = {"verb": "declare state", "by": _INSTANCE, "call": call.id, "agreement": agreement}
    return Record(
        record_id=new_uuid7(),
        kind=Kind.CHANGE,
        exchange=None,
        at_us=system_time_us(),
        sections={"core": core},
    )
