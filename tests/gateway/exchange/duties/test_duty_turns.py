"""Turns of answers that wait to be read: nobody keeps another one waiting for long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from gateway.exchange.duties.duty_turns import Claim, TurnLimits, Turns

LIMITS = TurnLimits(at_once=1, waiting=100, waiting_public=100, waiting_each=100)
FIRST = Claim("first")

Asked = tuple[Claim, int]
"""Whose an answer is, and how many octets it has."""


class Play:
    """Turns of which the only place is taken, and who had which since."""

    def __init__(self, limits: TurnLimits = LIMITS) -> None:
        """Begin with nobody."""
        self.turns = Turns(limits)
        self.began: list[Asked] = []
        self.gave_way: list[Asked] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, *asked: Asked) -> None:
        """Let each wait, in this order."""
        for one in asked:
            self.tasks.append(asyncio.ensure_future(self._take(one)))
            await settled()

    async def _take(self, asked: Asked) -> None:
        if not await self.turns.take(*asked):
            self.gave_way.append(asked)
            return
        self.began.append(asked)

    async def end(self, claim: Claim) -> None:
        """Give the place back that `claim` has."""
        self.turns.give_back(claim)
        await settled()

    async def order(self) -> list[Asked]:
        """Let all have their turns one after the other, and return them from here on."""
        had = len(self.began)
        at = had - 1
        while at < len(self.began):
            await self.end(self.began[at][0])
            at += 1
        return self.began[had:]


async def settled() -> None:
    """Let everybody who can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def order_of(*asked: Asked) -> list[Asked]:
    """Return the order in which answers are read that came while another one was."""

    async def play() -> list[Asked]:
        waiting = Play()
        await waiting.ask((FIRST, 1), *asked)
        return await waiting.order()

    return asyncio.run(play())


def test_one_answer_passes_the_many_of_another_caller() -> None:
    """Of the same length: it is the next but one."""
    busy, other = Claim("busy"), Claim("other")

    order = order_of(*[(busy, 9)] * 5, (other, 9))

    assert order == [(busy, 9), (other, 9), *[(busy, 9)] * 4]


def test_a_short_answer_passes_long_ones() -> None:
    """Of its own caller and of others, who ask for what takes long."""
    bulk, night = Claim("bulk"), Claim("night")

    assert order_of((bulk, 1000), (bulk, 900), (bulk, 40)) == [
        (bulk, 40),
        (bulk, 900),
        (bulk, 1000),
    ]
    assert order_of((bulk, 1000), (night, 40))[0] == (night, 40)


def test_callers_share_by_octets() -> None:
    """Whoever asks for short answers has as many of them as come up to another's long one."""
    long, short = Claim("long"), Claim("short")

    order = order_of(*[(long, 100)] * 2, *[(short, 30)] * 7)

    assert [claim.caller[0] for claim, _ in order] == list("ssslsss" + "ls")


def test_a_long_answer_has_its_turn_however_many_short_ones_come() -> None:
    """Each of another caller who was not there before: none of them passes what has waited."""

    async def play() -> int:
        waiting = Play()
        await waiting.ask((FIRST, 1), (Claim("long"), 100))
        for number in range(100):
            await waiting.ask((Claim(f"short-{number}"), 10))
            await waiting.end(waiting.began[-1][0])
            if waiting.began[-1] == (Claim("long"), 100):
                return number
        return 100

    assert asyncio.run(play()) <= 10


def test_urgent_calls_come_first() -> None:
    """However long their answers are, whoever else waits, and also before their own client's."""
    night = Claim("night", urgent=True)

    order = order_of((Claim("other"), 1), (Claim("night"), 1), (night, 1000), (night, 500))

    assert order[:2] == [(night, 500), (night, 1000)]


def test_an_urgent_call_takes_nothing_from_those_who_come_later() -> None:
    """What passed the others does not count as what they have had."""
    night, late = Claim("night", urgent=True), Claim("late")

    async def play() -> list[Asked]:
        waiting = Play()
        await waiting.ask((FIRST, 1), (Claim("early"), 500), (night, 1000))
        await waiting.end(FIRST)
        await waiting.ask((late, 40))
        return await waiting.order()

    assert asyncio.run(play())[0] == (late, 40)


def test_no_caller_has_two_places_nor_have_strangers() -> None:
    """What is slow of theirs leaves a place to everybody else."""
    stranger = Claim("198.51.100.7", public=True)

    async def play(one: Claim, same: Claim, other: Claim) -> None:
        waiting = Play(replace(LIMITS, at_once=2))
        await waiting.ask((one, 1), (same, 1))
        assert waiting.began == [(one, 1)]
        await waiting.ask((other, 1))
        assert waiting.began == [(one, 1), (other, 1)]
        await waiting.end(one)
        assert waiting.began[2:] == [(same, 1)]

    asyncio.run(play(FIRST, FIRST, Claim("other")))
    asyncio.run(play(stranger, Claim("198.51.100.8", public=True), FIRST))


def test_a_caller_who_was_slow_lets_later_ones_begin_no_earlier() -> None:
    """Those who come later begin where the others are, not where it is."""
    slow, busy, late = Claim("slow"), Claim("busy"), Claim("late")

    async def play() -> list[Asked]:
        waiting = Play(replace(LIMITS, at_once=2))
        await waiting.ask((slow, 10), (slow, 10), *[(busy, 100)] * 12)
        for _ in range(10):
            await waiting.end(busy)
        await waiting.end(slow)
        await waiting.ask((late, 900))
        await waiting.end(busy)
        return waiting.began[-2:]

    assert asyncio.run(play()) == [(slow, 10), (busy, 100)]


def gave_way(limits: TurnLimits, asked: Sequence[Asked]) -> list[Asked]:
    """Return who had to give way of those who asked while the only place was taken."""

    async def play() -> list[Asked]:
        waiting = Play(limits)
        await waiting.ask((FIRST, 1), *asked)
        gone = waiting.gave_way
        await waiting.order()
        assert len(waiting.began) + len(gone) == len(asked) + 1
        return gone

    return asyncio.run(play())


def test_of_one_caller_so_many_wait() -> None:
    """The longest gives way, and what is urgent does not."""
    busy, urgent = Claim("busy"), Claim("busy", urgent=True)
    limits = replace(LIMITS, waiting_each=2)

    assert gave_way(limits, [(busy, 9), (busy, 9)]) == []
    assert gave_way(limits, [(busy, 9), (busy, 9), (Claim("other"), 9)]) == []
    assert gave_way(limits, [(busy, 8), (busy, 9), (busy, 10)]) == [(busy, 10)]
    assert gave_way(limits, [(busy, 8), (busy, 9), (busy, 7)]) == [(busy, 9)]
    assert gave_way(limits, [(busy, 8), (busy, 9), (urgent, 99)]) == [(busy, 9)]
    assert gave_way(limits, [(urgent, 8), (urgent, 9), (busy, 1)]) == [(busy, 1)]


def test_of_all_so_many_wait() -> None:
    """One of those who have the most gives way; of as many, whoever came last."""
    limits = replace(LIMITS, waiting=3)
    busy, other, third = Claim("busy"), Claim("other"), Claim("third")

    assert gave_way(limits, [(busy, 8), (busy, 9), (other, 9), (third, 99)]) == [(busy, 9)]
    assert gave_way(limits, [(busy, 1), (other, 1), (third, 1), (Claim("4"), 1)]) == [
        (Claim("4"), 1)
    ]
    urgent = Claim("5", urgent=True)
    assert gave_way(limits, [(busy, 1), (other, 1), (third, 1), (urgent, 9)]) == [(third, 1)]


def test_strangers_give_way_to_clients() -> None:
    """From however many addresses they come."""
    limits = replace(LIMITS, waiting=3, waiting_public=2)
    strangers = [Claim(f"198.51.100.{number}", public=True) for number in range(3)]
    three = [(stranger, 1) for stranger in strangers]

    assert gave_way(limits, three) == [three[2]]
    assert gave_way(limits, [*three[:2], (FIRST, 1), (FIRST, 1)]) == [three[1]]


def test_whoever_leaves_keeps_no_place() -> None:
    """While it waits, in the very moment of its turn, and once it has it."""

    async def play() -> None:
        waiting = Play()
        last = Claim("last")
        await waiting.ask((FIRST, 1), (Claim("a"), 1), (Claim("b"), 1), (Claim("c"), 1), (last, 1))
        _, a, b, c, _ = waiting.tasks
        a.cancel()
        await settled()
        b.cancel()  # what it waits for is over; it has not been told yet
        waiting.turns.give_back(FIRST)
        c.cancel()  # it has its turn, and has not been told yet
        await settled()

        assert all(task.cancelled() for task in (a, b, c))
        assert waiting.began == [(FIRST, 1), (last, 1)]
        await waiting.end(last)
        await waiting.ask((FIRST, 1))
        assert len(waiting.began) == 3

    asyncio.run(play())


def test_whoever_has_left_does_not_give_way_as_well() -> None:
    """Its place in the queue is free for another one."""

    async def play() -> None:
        waiting = Play(replace(LIMITS, waiting_each=1))
        await waiting.ask((FIRST, 1), (Claim("a"), 9))
        asking = asyncio.ensure_future(waiting.ask((Claim("a"), 1)))
        await asyncio.sleep(0)
        waiting.tasks[1].cancel()  # it has not been told when the other one comes
        await asking
        assert waiting.tasks[1].cancelled()
        waiting.tasks[2].cancel()
        await settled()
        await waiting.ask((Claim("a"), 2))
        await waiting.end(FIRST)

        assert waiting.gave_way == []
        assert waiting.began[1:] == [(Claim("a"), 2)]

    asyncio.run(play())
