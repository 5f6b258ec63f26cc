"""Decisions made once more: the same as recorded, and every change of text or record told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.audit.entry import Kind, unwrap_keys
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.privacy.decided import decided
from gateway.audit.privacy.keyed import Opener, keyed_rows, rewrapped
from gateway.audit.reading.reader import find_log, snapshot
from gateway.clock import new_uuid7, system_time_us
from gateway.data_plane import open_audit_log
from gateway.database import open_engine
from gateway.registry.store import Registry
from gateway.replay import Replayed, Replayer, Result
from gateway.settings import Settings
from tests.gateway.audit.records import record, tampered
from tests.played import played_home


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the settings of a home where every packaged scenario was played."""
    return played_home(tmp_path)


def replayed(settings: Settings, agreement: str | None = None) -> list[Replayed]:
    """Replay every decision of a home."""
    engine = open_engine(settings.database_url)
    try:
        with snapshot(find_log(settings.audit_directory)) as db:
            opener = Opener(db, LogKeys(settings.keys_directory))
            records = decided(db, opener, from_us=0, until_us=system_time_us())
            return list(Replayer(Registry(engine)).replay(records, agreement=agreement))
    finally:
        engine.dispose()


def in_registry(settings: Settings, statement: str, **values: object) -> None:
    """Change the registry behind its back."""
    engine = open_engine(settings.database_url)
    with engine.begin() as connection:
        connection.execute(text(statement), values)
    engine.dispose()


def agreement_text(settings: Settings, key: str) -> str:
    """Return the stored text of an agreement."""
    engine = open_engine(settings.database_url)
    (state,) = Registry(engine).history("agreement", key)  # type: ignore[arg-type]  # its value
    engine.dispose()
    return json.dumps(state.document)


def test_every_decision_of_the_scenarios_comes_out_as_it_was(settings: Settings) -> None:
    """All that decisions depend on is on record: requests, held state, agreements and law."""
    results = Counter(one.result for one in replayed(settings))
    assert set(results) <= {Result.SAME, Result.IN_PART}
    assert results[Result.SAME] >= 40


def test_a_changed_text_of_an_agreement_is_told_with_both_decisions(settings: Settings) -> None:
    """Its digest is no longer the one that was in force; where it decides otherwise, so it says."""
    key = "DSA-2026-0003"
    document: dict[str, Any] = json.loads(agreement_text(settings, key))
    document["access"]["rules"][0]["hours"] |= {"from": "11:00", "to": "11:01"}
    in_registry(
        settings,
        "UPDATE configuration_document SET content = :content WHERE key = :key",
        content=json.dumps(document), key=key,
    )  # fmt: skip
    told = [one for one in replayed(settings) if one.result is Result.DIFFERENT]
    assert {one.recorded["agreement"] for one in told} == {key}
    assert all("agreement_digest" in one.differs_in for one in told)
    permits = [one for one in told if one.recorded["decision"] == "permit"]
    assert permits
    for one in permits:
        assert one.replayed is not None
        assert one.replayed["reason"] == "TIME_WINDOW_CLOSED"


def test_a_configuration_that_no_longer_reads_is_told(settings: Settings) -> None:
    """What was in force did compile, so that its text has been changed since."""
    in_registry(
        settings, "UPDATE configuration_document SET content = '{}' WHERE kind = 'agreement'"
    )
    told = replayed(settings)
    assert {one.result for one in told} == {Result.DIFFERENT}
    assert all("agreement" in one.why for one in told)


def test_changed_records_are_told_by_index(settings: Settings) -> None:
    """A clear section that says otherwise, or a sealed one that is another's, is no evidence.

    They are told of whichever agreement the replay is: what they name is not to be trusted (F20).
    """
    path = find_log(settings.audit_directory)
    (first, second, *_) = replayed(settings, "DSA-2026-0003")
    tampered(
        path,
        "UPDATE audit_record SET sections = CAST(replace(sections, 'DSA-2026-0003',"
        " 'DSA-2026-0004') AS BLOB) WHERE leaf_index = ?",
        first.decided.leaf_index,
    )
    tampered(
        path,
        "UPDATE audit_key SET wrapped = (SELECT wrapped FROM audit_key AS k WHERE k.leaf_index = ?)"
        " WHERE leaf_index = ?",
        first.decided.leaf_index,
        second.decided.leaf_index,
    )
    told = {
        one.decided.leaf_index: one.why
        for one in replayed(settings, "DSA-2026-0003")
        if one.result is Result.DIFFERENT
    }
    assert set(told) == {first.decided.leaf_index, second.decided.leaf_index}
    assert "not the one that was recorded" in told[first.decided.leaf_index]
    assert "do not open" in told[second.decided.leaf_index]


def test_what_was_erased_cannot_be_decided_once_more(settings: Settings) -> None:
    """It is counted by itself: neither the same nor different. Addresses decide nothing (I9)."""
    path = find_log(settings.audit_directory)
    (first, second, *_) = replayed(settings, "DSA-2026-0003")
    tampered(path, "DELETE FROM audit_key WHERE leaf_index = ?", first.decided.leaf_index)
    with snapshot(path) as db:
        opener = Opener(db, LogKeys(settings.keys_directory))
        row = next(one for one in keyed_rows(db) if one.leaf_index == second.decided.leaf_index)
        kek = opener.day_key(row.day)
        assert kek is not None
        kept = rewrapped(kek, opener.origin, row, set(row.names) - {"net"})
        assert "net" not in unwrap_keys(kek, opener.origin, row.record_id, kept)
    tampered(path, "UPDATE audit_key SET wrapped = ? WHERE leaf_index = ?", kept, row.leaf_index)
    results = {one.decided.leaf_index: one.result for one in replayed(settings)}
    assert results[first.decided.leaf_index] is Result.ERASED
    assert results[second.decided.leaf_index] is Result.SAME
    assert Result.DIFFERENT not in results.values()


def test_a_record_of_a_time_when_less_was_kept_is_told_apart(settings: Settings) -> None:
    """It is whole, so nothing is wrong with it; what it lacks is said, and the others go on."""
    earlier: list[dict[str, Any]] = [
        {"core": {"decision": "permit"}},
        {"core": {"decision": "permit", "revision": "x"}},
        {
            "core": {"decision": "permit", "revision": 1, "route": "/spl/v1/people"},
            "actor": {"client": "council-app"},
        },
        {"core": {"decision": "permit", "revision": 1, "route": "/spl/v1/people", "decided_at": 1}},
    ]

    async def append() -> None:
        log = open_audit_log(settings, instance="test")
        await log.start()
        for sections in earlier:
            await log.append(record(Kind.INTENT, new_uuid7(), **sections))
        await log.stop()

    asyncio.run(append())
    told = replayed(settings)
    lacking = [one.why for one in told if one.result is Result.NOT_KEPT]
    assert lacking == ["the revision", "the revision", "the issuer", "the method"]
    assert Result.DIFFERENT not in {one.result for one in told}
