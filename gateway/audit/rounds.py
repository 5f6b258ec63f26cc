"""Work on the log in rounds, beside the exchanges: until it is told to stop, and once more then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.audit.store import LogUnavailable

Report = Callable[[LogUnavailable | None], None]
"""Is told after every round why it failed, or None."""


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait for so many seconds, or until `stop` is set."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def keep_at(
    work: Callable[[], Awaitable[LogUnavailable | None]],
    stop: asyncio.Event,
    report: Report,
    *,
    interval_s: float,
) -> None:
    """Do a round of `work` every `interval_s` until `stop` is set, and a last one then.

    A round tells what it could not do by what it returns or by raising LogUnavailable; that does
    not end the work, for the next round may find the log well again.
    """
    while True:
        stopping = stop.is_set()
        try:
            report(await work())
        except LogUnavailable as failure:
            report(failure)
        if stopping:
            return
        await pause(stop, interval_s)
