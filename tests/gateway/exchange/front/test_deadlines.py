"""One coarse timer for all connections."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime

from gateway.exchange.front.deadlines import NEVER, Wheel

TICK_S = 0.01


class _Waiting:
    def __init__(self, wheel: Wheel) -> None:
        self.wheel = wheel
        self.deadline_s = NEVER
        self.passed_s = asyncio.get_running_loop().create_future()

    def deadline_passed(self) -> None:
        self.passed_s.set_result(self.wheel.loop.time())
        self.wheel.remove(self)


def test_a_deadline_passes_late_and_never_early() -> None:
    """It is noticed at a tick after it, and the wheel stops when nobody waits."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        wheel = Wheel(loop, TICK_S)
        one, never = _Waiting(wheel), _Waiting(wheel)
        wheel.add(one)
        wheel.add(never)
        began_s = loop.time()
        one.deadline_s = wheel.after(0.05)
        assert await one.passed_s >= began_s + 0.05
        assert not never.passed_s.done()
        wheel.remove(never)
        again = _Waiting(wheel)
        wheel.add(again)
        again.deadline_s = wheel.after(0)
        await again.passed_s

    asyncio.run(run())


def test_the_date_is_one_of_http() -> None:
    """The cached date has the form of RFC 9110, section 5.6.7."""

    async def run() -> bytes:
        wheel = Wheel(asyncio.get_running_loop(), TICK_S)
        waiting = _Waiting(wheel)
        wheel.add(waiting)
        wheel.remove(waiting)
        return wheel.date

    date = asyncio.run(run()).decode()
    assert date.endswith(" GMT")
    assert parsedate_to_datetime(date).year >= 2024
