"""The pace of refusals: bounded for whoever floods, unnoticed by everybody else (decision 5)."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import pace as pace_module
from gateway.exchange.pace import (
    AT_ONCE,
    CALLERS_MAX,
    HELD_MAX,
    HOLD_S_MAX,
    PER_S,
    STRANGERS_AT_ONCE,
    STRANGERS_HELD_MAX,
    STRANGERS_PER_S,
    UNDER_WAY_MAX,
    Pace,
    RefusalPace,
)
from tests.world import Caller

SOURCES = 65_536
MEMORY_BYTES_MAX = 4 * 1024 * 1024
at_one_instant = pytest.mark.usefixtures("standing_clock")
"""Marks a test whose refusals all come at once, however slow the machine."""


@pytest.fixture
def standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass between refusals; answers are held back for as long as ever."""
    monkeypatch.setattr(pace_module, "monotonic_s", lambda: 100.0)


def test_refusals_are_answered_at_once_up_to_a_number() -> None:
    """Whoever tries something out by hand never waits; a loop soon does."""
    pace = Pace(at_once=AT_ONCE, per_s=PER_S)
    waits = [pace.take("somebody", 100.0) for _ in range(AT_ONCE + 2)]

    assert waits[:AT_ONCE] == [0.0] * AT_ONCE
    assert [round(wait_s * PER_S) for wait_s in waits[AT_ONCE:]] == [1, 2]
    assert pace.take("somebody else", 100.0) == 0.0


def test_a_flood_leaves_no_debt_that_outlasts_it() -> None:
    """However many come, the wait is bounded, and soon after the flood there is none."""
    pace = Pace(at_once=AT_ONCE, per_s=PER_S)
    waits = [pace.take("somebody", 100.0) for _ in range(10_000)]

    assert max(waits) == HOLD_S_MAX
    assert pace.take("somebody", 100.0 + HOLD_S_MAX + 1) == 0.0


@given(st.lists(st.floats(0, 3), min_size=1, max_size=400))
def test_answers_go_out_no_faster_than_the_pace(gaps: list[float]) -> None:
    """Whenever refusals come: of those that were counted, no second has more than its share."""
    pace = Pace(at_once=5, per_s=2.0)
    now_s, out = 0.0, []
    for gap_s in gaps:
        now_s += gap_s
        wait_s = pace.take("somebody", now_s)
        if wait_s < HOLD_S_MAX:
            out.append(now_s + wait_s)

    for first, began_s in enumerate(out):
        within = sum(one <= began_s + 1.0 + 1e-6 for one in out[first:])
        assert within <= 5 + 2 + 1


def test_many_sources_take_little_memory_and_share_a_pace() -> None:
    """65,536 addresses in a second: what is kept of them is bounded, and so is the pace."""
    address = "2001:db8:{:x}:{:x}::1"
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        pace = Pace(at_once=AT_ONCE, per_s=PER_S)
        for number in range(SOURCES):
            pace.take(address.format(number >> 8, number & 255), 100.0)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    strangers = Pace(at_once=STRANGERS_AT_ONCE, per_s=STRANGERS_PER_S)
    waits = [strangers.take("", 100.0) for _ in range(SOURCES)]

    assert len(pace._due_s) == CALLERS_MAX
    assert grown < MEMORY_BYTES_MAX
    assert waits.count(0.0) == STRANGERS_AT_ONCE
    assert waits[-1] == HOLD_S_MAX


@at_one_instant
def test_only_so_many_answers_are_held_at_once() -> None:
    """Beyond it the answer is not held, and its caller is told to connect anew."""

    async def play() -> None:
        pace = RefusalPace(held_max=2)
        for _ in range(AT_ONCE):
            assert await pace.hold_client("one")
        answers = [asyncio.create_task(pace.hold_client("one")) for _ in range(4)]
        await asyncio.sleep(0)
        assert pace.held == 2
        assert await asyncio.gather(*answers) == [True, True, False, False]
        assert pace.held == 0

    asyncio.run(play())


@at_one_instant
def test_one_address_holds_up_no_other() -> None:
    """A stranger at another address is answered at once while one address floods."""

    async def play() -> None:
        pace = RefusalPace()
        flood = [asyncio.create_task(pace.hold_stranger("192.0.2.1")) for _ in range(AT_ONCE + 20)]
        await asyncio.sleep(0)
        other = asyncio.create_task(pace.hold_stranger("192.0.2.2"))
        await asyncio.sleep(0)
        assert other.done()
        assert pace.held == 20
        assert all(await asyncio.gather(*flood))

    asyncio.run(play())


@at_one_instant
def test_a_flood_of_one_address_is_its_own_affair() -> None:
    """More than all strangers may have at once, from one address: another one waits for nothing."""

    async def play() -> None:
        pace = RefusalPace()
        flood = [
            asyncio.create_task(pace.hold_stranger("192.0.2.1"))
            for _ in range(STRANGERS_AT_ONCE + 900)
        ]
        await asyncio.sleep(0)
        other = asyncio.create_task(pace.hold_stranger("192.0.2.2"))
        await asyncio.sleep(0)
        assert other.done()
        assert await other
        assert pace.held == UNDER_WAY_MAX
        await cancelled(flood)

    asyncio.run(play())


@at_one_instant
def test_a_client_beyond_its_share_leaves_the_others_theirs() -> None:
    """One that floods is not even recorded; another one's refusal is recorded and held."""

    async def play() -> None:
        pace = RefusalPace()
        flood = [asyncio.create_task(pace.hold_client("one")) for _ in range(HELD_MAX + 100)]
        await asyncio.sleep(0)
        assert pace.held == UNDER_WAY_MAX
        assert not pace.begin_recording("one")
        for _ in range(AT_ONCE):
            assert await pace.hold_client("other")
        assert pace.begin_recording("other")
        assert await pace.hold_client("other")
        await cancelled(flood)

    asyncio.run(play())


@at_one_instant
def test_what_cannot_be_held_is_not_recorded() -> None:
    """Where no more answers can wait, only refusals that are due at once go on record."""

    async def play() -> None:
        pace = RefusalPace(held_max=1)
        for client in ("one", "other"):
            for _ in range(AT_ONCE):
                assert await pace.hold_client(client)
        waiting = asyncio.create_task(pace.hold_client("one"))
        await asyncio.sleep(0)
        assert not pace.begin_recording("other")
        assert pace.begin_recording("a third one")
        assert await waiting

    asyncio.run(play())


@at_one_instant
def test_strangers_leave_room_for_clients() -> None:
    """However many strangers wait, at however many addresses, a client's refusal can wait too."""

    async def play() -> None:
        pace = RefusalPace()
        flood = [
            asyncio.create_task(pace.hold_stranger(f"2001:db8::{number:x}"))
            for number in range(STRANGERS_AT_ONCE + HELD_MAX)
        ]
        await asyncio.sleep(0)
        assert pace.held == STRANGERS_HELD_MAX
        for _ in range(AT_ONCE + 1):
            assert await pace.hold_client("one")
        await cancelled(flood)

    asyncio.run(play())


@at_one_instant
def test_who_leaves_waits_no_longer_and_gains_nothing() -> None:
    """Nothing is kept for a caller who has gone, and its share is taken until its turn."""

    async def play() -> None:
        pace, caller = RefusalPace(recording_max=1), Caller()
        for _ in range(AT_ONCE):
            assert await pace.hold_client("one")
        waiting = asyncio.create_task(pace.hold_client("one", caller))
        while caller.callback is None:  # noqa: ASYNC110 - until it waits
            await asyncio.sleep(0)
        caller.leave()
        assert not await waiting
        assert pace.held == 0
        assert not pace.begin_recording("one")
        async with asyncio.timeout(60):
            while not pace.begin_recording("one"):  # noqa: ASYNC110 - a turn has no event
                await asyncio.sleep(0.01)

    asyncio.run(play())


async def cancelled(tasks: list[asyncio.Task[bool]]) -> None:
    """Let nobody wait any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_a_client_has_its_share_of_the_log_and_no_more() -> None:
    """What has been recorded makes room for the next; other clients have shares of their own."""
    pace = RefusalPace(recording_max=2)

    assert [pace.begin_recording("one") for _ in range(3)] == [True, True, False]
    assert pace.begin_recording("other")
    pace.end_recording("one")
    assert pace.begin_recording("one")
