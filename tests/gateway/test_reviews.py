"""Urgent access that nobody reviewed in time is suspended, and the review ends that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from gateway.app import open_control_plane
from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import find_log
from gateway.audit.search.access import Reader, Via
from gateway.audit.search.notes import Review, ReviewOutcome, note_record
from gateway.audit.search.query import Filters, find
from gateway.audit.store import LogUnavailable
from gateway.clock import new_uuid7, system_time_us
from gateway.data_plane import Composition, open_audit_log
from gateway.database import open_engine
from gateway.registry.store import Registry, StopKind
from gateway.reviews import BY, ReviewWatch, suspending
from gateway.settings import Settings
from tests.gateway.audit.records import intent, outcome
from tests.gateway.exchange.test_held import AT_NIGHT, break_glass, contact
from tests.homes import apply_pack, make_settings
from tests.listening import until
from tests.world import World, open_world, reasons

AGREEMENT = "DSA-2026-0002"
DAYS_2_US = 2 * 86_400_000_000
WHO = Reader(principal="a.guardian", via=Via.CONSOLE)


@contextmanager
def registry_of(settings: Settings) -> Iterator[Registry]:
    """Open the registry of a home."""
    engine = open_engine(settings.database_url)
    try:
        yield Registry(engine)
    finally:
        engine.dispose()


def reviewed(exchange: bytes) -> Any:
    """Return the record of a review."""
    return note_record(WHO, Review(exchange=exchange, outcome=ReviewOutcome.JUSTIFIED, text=""))


def test_who_was_not_reviewed_breaks_no_glass_until_the_review(tmp_path: Path) -> None:
    """The user's urgent access alone, from a day after the use; no other stop is touched."""

    async def look(world: World, watch: ReviewWatch, registry: Registry, at_us: int) -> int:
        found = await watch.look(at_us)
        world.stops.clear()
        world.stops.update(registry.stops())
        return found

    async def play() -> None:
        settings = make_settings(tmp_path)
        apply_pack(settings, "http://127.0.0.1:9")
        async with open_world(tmp_path, [contact()] * 4) as world:
            with registry_of(settings) as registry:
                assert suspending(registry) == {AGREEMENT}
                world.clock.at = AT_NIGHT
                first = await break_glass(world)
                used = dict(first.headers)[b"exchange-id"].decode()
                grant = world.recorded(first)["grant"]
                log = world.ports.log
                keys = LogKeys(log.directory.parent / "keys")
                watch = ReviewWatch(log.directory, log, keys, registry)
                now_us = system_time_us()
                assert await look(world, watch, registry, now_us) == 0
                assert await look(world, watch, registry, now_us + DAYS_2_US) == 1
                assert await look(world, watch, registry, now_us + DAYS_2_US) == 1
                late, other = await break_glass(world), await break_glass(world, sub="u:other")
                assert reasons([late, other]) == ["BREAK_GLASS_NOT_AVAILABLE", "OK"]
                (stop,) = registry.stopped()
                assert (stop.kind, stop.key, stop.by) == (StopKind.GRANT, grant, BY)
                assert used in stop.reason

                registry.stop(StopKind.GRANT, "ab" * 16, reason="by hand", by="a.guardian")
                await log.append(reviewed(UUID(used).bytes))
                # The colleague's use is reviewed in time; two days later hers would be due too.
                colleague = dict(other.headers)[b"exchange-id"].decode()
                await log.append(reviewed(UUID(colleague).bytes))
                assert await look(world, watch, registry, now_us + DAYS_2_US) == 0
                assert registry.stops() == {(StopKind.GRANT, "ab" * 16)}
                assert reasons([await break_glass(world)]) == ["OK"]

    asyncio.run(play())


def test_each_stop_is_on_record_before_it_is_in_force(tmp_path: Path) -> None:
    """As an `admin.change` with the grant and who made it; what cannot be recorded is not done."""

    async def play() -> None:
        settings = make_settings(tmp_path)
        apply_pack(settings, "http://127.0.0.1:9")
        keys = LogKeys(settings.keys_directory)
        log = open_audit_log(settings, instance="tests")
        await log.start()
        exchange, at_us = new_uuid7(), system_time_us()
        said = {"decided_at": at_us, "review_due": at_us, "break_glass": True, "grant": "ab12"}
        await log.append(intent(exchange, **{**said, "agreement": AGREEMENT}))
        await log.append(outcome(exchange))
        elsewhere = {**said, "agreement": "DSA-2026-0003", "grant": "cd34"}
        await log.append(intent(new_uuid7(), **elsewhere))
        with registry_of(settings) as registry:
            watch = ReviewWatch(settings.audit_directory, log, keys, registry)
            assert await watch.look(system_time_us() + 1) == 1
            assert registry.stops() == {(StopKind.GRANT, "ab12")}
            await log.append(reviewed(exchange))
            assert await watch.look(system_time_us() + 1) == 0
            assert registry.stops() == frozenset()
            second = new_uuid7()
            await log.append(intent(second, **{**said, "agreement": AGREEMENT}))
            await log.append(outcome(second))
            await log.stop()
            with pytest.raises(LogUnavailable):
                await watch.look(system_time_us() + 1)
            assert registry.stops() == frozenset()
        place = find_log(settings.audit_directory)
        changes = find(place, Filters(kind=Kind.CHANGE), keys=keys).items
        made = [one for one in reversed(changes) if one.get("by") == BY]

        assert [one["verb"] for one in made] == ["stop", "resume"]
        assert {one["grant"] for one in made} == {"ab12"}
        assert made[0]["agreement"] == AGREEMENT

    asyncio.run(play())


def test_the_control_process_does_it_by_itself(tmp_path: Path) -> None:
    """From its start on, and says in `/readyz` that somebody is suspended; it stays ready."""

    async def play() -> None:
        settings = make_settings(tmp_path)
        apply_pack(settings, "http://127.0.0.1:9")
        log = open_audit_log(settings, instance="tests")
        await log.start()
        at_us, exchange = system_time_us(), new_uuid7()
        said = {"decided_at": at_us, "review_due": at_us, "break_glass": True, "grant": "ab12"}
        await log.append(intent(exchange, **{**said, "agreement": AGREEMENT}))
        await log.append(outcome(exchange))
        await log.stop()
        composition = Composition(settings=settings, allow_loopback_http=True)
        async with open_control_plane(composition) as control:
            await until(lambda: control.troubles.readiness().warnings)
            readiness = control.troubles.readiness()
        with registry_of(settings) as registry:
            assert registry.stops() == {(StopKind.GRANT, "ab12")}

        assert readiness.ready
        assert "suspended for 1 users" in readiness.warnings[0]

    asyncio.run(play())
