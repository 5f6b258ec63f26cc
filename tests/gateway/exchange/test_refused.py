"""What refused unauthenticated traffic leaves behind (decision 5)."""

from __future__ import annotations

import asyncio
import tracemalloc
from dataclasses import replace
from pathlib import Path

from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import find_log
from gateway.audit.search.query import Filters, find
from gateway.clock import new_uuid7
from gateway.exchange.pace import RefusalPace
from gateway.exchange.refused import (
    COUNTS_PER_RECORD_MAX,
    RECORDS_PER_MINUTE,
    RECORDS_PER_SOURCE_PER_MINUTE,
    SOURCES_COUNTED_MAX,
    RefusedTraffic,
)
from gateway.identity.caller import Unauthenticated
from gateway.telemetry import slot
from policies.decision import ReasonCode
from tests.world import World, document_of, freeze, open_world

BAD_TOKEN = Unauthenticated(
    reason=ReasonCode.TOKEN_INVALID,
    problem="token-invalid",
    status=401,
    detail="The token is not valid.",
    challenge="Bearer",
    unverified_issuer="https://idp.example",
)

FLOOD_SOURCES = 65_536
FLOOD_BYTES_MAX = 2 * 1024 * 1024


def refused_records(world: World) -> list[dict[str, object]]:
    """Return the log's records of refused traffic, newest first."""
    path = find_log(world.home / "audit")
    page = find(
        path, Filters(kind=Kind.TRAFFIC_REFUSED), keys=LogKeys(world.home / "keys"), limit=500
    )
    return [dict(item) for item in page.items]


def total(records: list[dict[str, object]], name: str) -> int:
    """Add up one number of several records."""
    return sum(int(str(record[name])) for record in records)


def test_each_refusal_is_a_record_up_to_the_source_s_rate(tmp_path: Path) -> None:
    """One source leaves thirty records a minute; the rest is one record with a count."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            refused = RefusedTraffic(world.log)
            for _ in range(RECORDS_PER_SOURCE_PER_MINUTE + 12):
                refused.note(BAD_TOKEN, source="192.0.2.7", exchange_id=new_uuid7())
            await refused.close()

            newest, *others = refused_records(world)
            assert len(others) == RECORDS_PER_SOURCE_PER_MINUTE
            assert {record["reason"] for record in others} == {"TOKEN_INVALID"}
            assert {record["issuer"] for record in others} == {"https://idp.example"}
            assert newest["count"] == 12

    asyncio.run(play())


def test_many_sources_share_a_rate(tmp_path: Path) -> None:
    """However many sources there are, the log grows by a bounded number of records."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            refused = RefusedTraffic(world.log)
            sources = RECORDS_PER_MINUTE + SOURCES_COUNTED_MAX + 50
            address = "2001:0db8:85a3:0000:0000:8a2e:0370:{:04x}"
            admitted = [refused.admit(address.format(n), "TOKEN_INVALID") for n in range(sources)]
            await refused.close()

            assert sum(admitted) == RECORDS_PER_MINUTE
            counts = refused_records(world)
            assert total(counts, "count") == sources - RECORDS_PER_MINUTE
            # Fifty sources too many share one name.
            assert total(counts, "sources") == SOURCES_COUNTED_MAX + 1
            assert len(counts) == 1 + SOURCES_COUNTED_MAX // COUNTS_PER_RECORD_MAX

    asyncio.run(play())


def test_a_flood_from_everywhere_takes_little_memory(tmp_path: Path) -> None:
    """65,536 addresses in one minute: what is kept, and what is written of them, is bounded."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            refused = RefusedTraffic(world.log)
            tracemalloc.start()
            before, _ = tracemalloc.get_traced_memory()
            for number in range(FLOOD_SOURCES):
                source = f"2001:db8:{number >> 8:x}:{number & 255:x}::1"
                refused.admit(source, "TOKEN_INVALID")
            grown = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            await refused.close()

            assert grown < FLOOD_BYTES_MAX
            counts = refused_records(world)
            assert total(counts, "count") == FLOOD_SOURCES - RECORDS_PER_MINUTE
            assert len(counts) == 1 + SOURCES_COUNTED_MAX // COUNTS_PER_RECORD_MAX

    asyncio.run(play())


def test_a_log_that_takes_nothing_loses_no_count(tmp_path: Path) -> None:
    """What could not be recorded is counted again and waits for the log."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            refused = RefusedTraffic(world.log)
            freeze(world)
            refused.note(BAD_TOKEN, source="192.0.2.7", exchange_id=new_uuid7())
            await refused.flush()

            assert refused.counted == 1

    asyncio.run(play())


def test_a_refusal_that_no_record_can_hold_is_counted(tmp_path: Path) -> None:
    """A name that is not Unicode text ends nothing but its own record."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            refused = RefusedTraffic(world.log)
            unspeakable = replace(BAD_TOKEN, unverified_issuer="\ud800")
            refused.note(unspeakable, source="192.0.2.7", exchange_id=new_uuid7())
            await refused.flush()
            assert refused.counted == 1
            await refused.close()

            (record,) = refused_records(world)
            assert record["count"] == 1

    asyncio.run(play())


def test_a_client_s_refusals_have_a_share_of_the_log(tmp_path: Path) -> None:
    """Beyond it a refusal is counted, and answered 503 like anything that cannot be recorded."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            refused = RefusedTraffic(world.log, RefusalPace(recording_max=3))
            world.ports = replace(world.ports, refused=refused)
            wrong = [
                world.match_request(details={"purpose": "DIRECT_CARE"}, jti=f"token-{number}")
                for number in range(5)
            ]
            answers = await asyncio.gather(*(world.send(request) for request in wrong))

            assert sorted(answer.status for answer in answers) == [403, 403, 403, 503, 503]
            assert refused.counted == 2
            late = next(answer for answer in answers if answer.status == 503)
            assert "Too many refusals" in document_of(late)["detail"]
            again = world.match_request(details={"purpose": "DIRECT_CARE"})
            assert (await world.send(again)).status == 403
            await refused.close()

    asyncio.run(play())


def test_a_refusal_is_counted_once(tmp_path: Path) -> None:
    """A denied call whose proof turns out to be a repeat is one refusal, for the proof."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            counters = world.ports.telemetry.counters
            denied = world.match_request(details={"purpose": "MARKETING"})
            await world.send(denied)
            before = counters.values()
            assert (await world.send(denied)).status == 401
            after = counters.values()

            reasons = [reason for reason in ReasonCode if reason is not ReasonCode.OK]
            places = {reason: slot("refusals", reason) for reason in reasons}
            grown = {reason: after[at] - before[at] for reason, at in places.items()}
            assert {reason: by for reason, by in grown.items() if by} == {"PROOF_INVALID": 1}

    asyncio.run(play())
