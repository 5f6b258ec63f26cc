"""The pace of refusals: bounded for whoever floods, unnoticed by everybody else (decision 5)."""

from __future__ import annotations

import asyncio
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.pace import (
    AT_ONCE,
    CALLERS_MAX,
    HOLD_S_MAX,
    PER_S,
    STRANGERS_AT_ONCE,
    STRANGERS_PER_S,
    Pace,
    RefusalPace,
)

SOURCES = 65_536
MEMORY_BYTES_MAX = 4 * 1024 * 1024


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


def test_a_client_has_its_share_of_the_log_and_no_more() -> None:
    """What has been recorded makes room for the next; other clients have shares of their own."""
    pace = RefusalPace(recording_max=2)

    assert [pace.begin_recording("one") for _ in range(3)] == [True, True, False]
    assert pace.begin_recording("other")
    pace.end_recording("one")
    assert pace.begin_recording("one")
