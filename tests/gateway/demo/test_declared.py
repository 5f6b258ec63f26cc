"""The state that a call declares is what the gateway's log holds when the call comes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.audit.entry import Kind, Record
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.log import AuditLog
from gateway.audit.reading.reader import find_log
from gateway.audit.search.query import Filters, find
from gateway.audit.store import CounterChange, CounterExceeded, Grant
from gateway.clock import new_uuid7, system_time_us
from gateway.data_plane import open_audit_log
from gateway.demo.declared import declare
from gateway.demo.packs import Pack
from gateway.demo.scenario import ScenarioCall
from gateway.exchange.day_counts import COUNTED, day_key
from gateway.exchange.held import form_key, holder_of, microseconds, words_of
from gateway.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the settings of a gateway in an empty home."""
    url = "http://127.0.0.1:8080"
    return load_settings(tmp_path, organisation="ods:R9Z", public_base_url=url)


@pytest.fixture
def urgent(pack: Pack) -> ScenarioCall:
    """Return the pack's first urgent call."""
    return next(call for call in pack.sheet.calls if call.token.break_glass)


@pytest.fixture
def decided(pack: Pack) -> ScenarioCall:
    """Return the pack's first call that quotes a decision."""
    return next(call for call in pack.sheet.calls if "decision_ref" in call.token.context)


def grant_of(call: ScenarioCall, settings: Settings) -> Grant | None:
    """Return what the log holds for the call's user."""

    async def look(log: AuditLog) -> Grant | None:
        token = call.token
        assert token.break_glass is not None
        user = (str(token.issuer), str(token.subject))
        holder = holder_of(log, str(token.agreement), token.organisation, user)
        return await log.find_grant(holder, words_of(log, token.break_glass.justification))

    async def run() -> Grant | None:
        log = open_audit_log(settings, instance="test")
        await log.start()
        try:
            return await look(log)
        finally:
            await log.stop()

    return asyncio.run(run())


def test_a_grant_is_as_declared_whatever_was_before(
    pack: Pack, urgent: ScenarioCall, settings: Settings
) -> None:
    """Start and number of people are those of the call that is played next."""
    said = urgent.token.break_glass
    assert said is not None
    long_ago = urgent.at - timedelta(days=9)
    earlier = replace(said, started_at=long_ago, subjects_so_far=5)
    declare(replace(urgent, token=replace(urgent.token, break_glass=earlier)), pack, settings)
    before = grant_of(urgent, settings)
    declare(urgent, pack, settings)
    after = grant_of(urgent, settings)

    assert before is not None
    assert after is not None
    assert (before.started_us, len(before.subjects)) == (microseconds(long_ago), 5)
    assert (after.started_us, len(after.subjects)) == (
        microseconds(said.started_at or urgent.at),
        said.subjects_so_far,
    )


def test_a_call_that_declares_no_start_starts_its_grant(
    pack: Pack, urgent: ScenarioCall, settings: Settings
) -> None:
    """What was said in an earlier call founds it all the same: calls are independent."""
    said = urgent.token.break_glass
    assert said is not None
    fresh = replace(said, started_at=None)
    declare(replace(urgent, token=replace(urgent.token, break_glass=fresh)), pack, settings)
    found = grant_of(urgent, settings)

    assert found is not None
    assert found.started_us == microseconds(urgent.at)


def test_a_decision_is_used_or_not_as_declared(
    pack: Pack, decided: ScenarioCall, settings: Settings
) -> None:
    """The same form may be new again for the next call, or used twice over."""

    async def is_used() -> bool:
        log = open_audit_log(settings, instance="test")
        await log.start()
        try:
            reference = decided.token.context["decision_ref"]
            return await log.is_claimed(form_key(str(decided.token.agreement), reference))
        finally:
            await log.stop()

    found = []
    for used in (False, True, True, False):
        declare(replace(decided, decision_already_used=used), pack, settings)
        found.append(asyncio.run(is_used()))

    assert found == [False, True, True, False]
    changes = find(
        find_log(settings.audit_directory),
        Filters(kind=Kind.CHANGE),
        keys=LogKeys(settings.keys_directory),
    )
    assert len(changes.items) == len(found)


def test_nothing_was_counted_of_the_day(
    pack: Pack, decided: ScenarioCall, settings: Settings
) -> None:
    """What earlier calls of the pack used up of a daily volume is there again."""
    rule = pack.rule_of(decided)
    assert rule is not None
    keys = [
        day_key(
            counted,
            decided.at,
            agreement=rule.agreement,
            rule=rule.id,
            organisation=decided.token.organisation,
        )
        for counted in COUNTED
    ]

    async def use_up() -> None:
        log = open_audit_log(settings, instance="test")
        await log.start()
        try:
            record = Record(
                record_id=new_uuid7(), kind=Kind.CHANGE, exchange=None, at_us=system_time_us(),
                sections={"core": {"verb": "test"}},
            )  # fmt: skip
            await log.append(record, counters=[CounterChange(key, 1, 1) for key in keys])
        finally:
            await log.stop()

    asyncio.run(use_up())
    with pytest.raises(CounterExceeded):
        asyncio.run(use_up())
    declare(decided, pack, settings)
    asyncio.run(use_up())


def test_a_call_that_names_no_agreement_declares_for_each_that_serves_it(
    pack: Pack, decided: ScenarioCall, settings: Settings
) -> None:
    """Which of them it falls under is the gateway's to say."""
    rule = pack.rule_of(decided)
    assert rule is not None
    two = replace(pack, rules=(replace(rule, agreement="DSA-2026-0098"), *pack.rules))
    declare(replace(decided, token=replace(decided.token, agreement=None)), two, settings)

    changes = find(
        find_log(settings.audit_directory),
        Filters(kind=Kind.CHANGE),
        keys=LogKeys(settings.keys_directory),
    )
    assert len(changes.items) == 2


def test_other_calls_declare_nothing(pack: Pack, settings: Settings) -> None:
    """The log is not even opened for them."""
    public = next(call for call in pack.sheet.calls if call.token.public)
    declare(public, pack, settings)

    assert not settings.audit_directory.exists()
