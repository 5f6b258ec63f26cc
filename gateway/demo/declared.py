"""Puts the state that a call declares into the gateway's log, before the call is played.

Calls of a pack are independent: each starts from the state that it declares, whatever was played
before: its user's urgent grant, its decision form, and the day's counts, which no call can declare
and which therefore begin at nothing. Nothing of a running gateway can be told so; this is the
demo's, on its own log's files, and each change leaves a record.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.audit.entry import Kind, Record
from gateway.audit.log import AuditLog
from gateway.audit.store import Change, Claim, CounterChange, GrantUse
from gateway.clock import new_uuid7, system_time_us
from gateway.data_plane import open_audit_log
from gateway.demo.packs import Pack, Rule
from gateway.demo.scenario import ScenarioCall
from gateway.exchange.conclude import FORM_CLAIM_US
from gateway.exchange.day_counts import COUNTED, day_key
from gateway.exchange.held import form_key, holder_of, microseconds, words_of
from gateway.settings import Settings
from policies.compile import DECISION_REFERENCE
from policies.decision import PUBLIC

_INSTANCE: Final = "demo"
_PEOPLE_MAX: Final = 1_000_000
"""How many people a call may declare to be covered: the agreement's own bound is tried by it."""
_GIVE_BACK_ALL: Final = -(2**62)
"""An addition after which any count is 0: one that gives back does so at most to 0."""


def declare(call: ScenarioCall, pack: Pack, settings: Settings) -> None:
    """Make the gateway hold what `call` says that it held before, and nothing else of its kind.

    Raises:
        gateway.audit.store.LogUnavailable: the log cannot be written.
    """
    rules = tuple(pack.rules_of(call))
    # A call that names no agreement falls under one of those that have a rule for it.
    named = [call.token.agreement] if call.token.agreement else [rule.agreement for rule in rules]
    reference = call.token.context.get(DECISION_REFERENCE, "").strip()
    urgent = call.token.break_glass is not None and call.token.issuer is not None
    for agreement in dict.fromkeys(named):
        counts = [_nothing_counted(call, rule) for rule in rules if rule.agreement == agreement]
        changes = [change for of_rule in counts for change in of_rule]
        if reference or urgent or changes:
            asyncio.run(_declare(call, agreement, reference, changes, settings))


def _nothing_counted(call: ScenarioCall, rule: Rule) -> list[Change]:
    """Return the changes after which nothing was counted of the call's day under a rule."""
    if not rule.counted_by_day:
        return []
    whose = PUBLIC if call.token.public else call.token.organisation
    keys = [
        day_key(counted, call.at, agreement=rule.agreement, rule=rule.id, organisation=whose)
        for counted in COUNTED
    ]
    return [CounterChange(key=key, add=_GIVE_BACK_ALL, maximum=0) for key in keys]


async def _declare(
    call: ScenarioCall, agreement: str, reference: str, counts: list[Change], settings: Settings
) -> None:
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
            counters=[*counts, *await _grant(call, agreement, log)],
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
