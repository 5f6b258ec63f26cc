"""Keeps what a connector needs beside an address: fetched off the calls' way, renewed in time."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar

from connectors.credentials import CredentialUnavailable
from connectors.secrets import SecretUnavailable

RETRY_S_MIN: Final = 1.0
"""Seconds between two attempts, the first pause after a failure; it doubles with each."""
RETRY_S_MAX: Final = 60.0
"""The longest pause between attempts that fail."""
REFUSED_AGAIN_S: Final = 5.0
"""Something that was renewed less long ago is not renewed because a service refuses it."""


class Kept(Protocol):
    """What is kept: both spans count from the moment at which it was obtained."""

    @property
    def lifetime_s(self) -> float:
        """Seconds for which it may be used."""

    @property
    def renew_s(self) -> float:
        """Seconds after which a new one is to be obtained."""


K = TypeVar("K", bound=Kept)


class Keeper(Generic[K]):
    """Obtains something again and again, one attempt at a time, and hands it to `adopt`.

    `generation` counts what was adopted; `why_not` says why there is nothing to use.
    """

    def __init__(self, obtain: Callable[[], Awaitable[K]], adopt: Callable[[K], None]) -> None:
        """Let `obtain` say why it cannot by SecretUnavailable or CredentialUnavailable."""
        self._obtain = obtain
        self._adopt = adopt
        self._loop = asyncio.get_running_loop()
        self._flight: asyncio.Task[None] | None = None
        self._expires_s = self._renewed_s = self._attempted_s = -math.inf
        self._pause_s = RETRY_S_MIN
        self._failing = False
        self.generation = 0
        self.why_not = "it was not asked for yet"

    @property
    def usable(self) -> bool:
        """Whether what was adopted last may still be used."""
        return self._loop.time() < self._expires_s

    async def ensure(self, wait_s: float) -> bool:
        """Wait up to `wait_s` until there is something to use; tell whether there is."""
        due = self._loop.time() >= self._attempted_s + RETRY_S_MIN
        if not self.usable and (due or self._flight is not None):
            await self._attempt(wait_s)
        return self.usable

    async def refused(self, generation: int, wait_s: float) -> bool:
        """Renew what a service did not accept; tell whether there is something else to try.

        However many calls were refused with `generation`, one renewal serves them all.
        """
        if generation == self.generation:
            if self._loop.time() < self._renewed_s + REFUSED_AGAIN_S:
                return False
            await self._attempt(wait_s)
        return generation != self.generation and self.usable

    async def run(self) -> None:
        """Obtain at once, and then each time before it is too late, until cancelled."""
        while True:
            await self._attempt(math.inf)
            await asyncio.sleep(self._pause_s)

    async def close(self) -> None:
        """End the attempt that is under way."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait({self._flight})

    async def _attempt(self, wait_s: float) -> None:
        """Join the attempt that is under way, or begin one, and wait for it up to `wait_s`."""
        if self._flight is None:
            self._flight = self._loop.create_task(self._obtain_once())
        # A caller that leaves, or whose time is over, does not end what others wait for.
        await asyncio.wait({self._flight}, timeout=None if wait_s == math.inf else wait_s)

    async def _obtain_once(self) -> None:
        self._attempted_s = began_s = self._loop.time()
        try:
            kept = await self._obtain()
        except (SecretUnavailable, CredentialUnavailable) as failure:
            self._failed(str(failure))
        except Exception as error:  # noqa: BLE001 - whatever happened, the next attempt may succeed
            self._failed(f"{type(error).__name__} while it was obtained")
        else:
            self._failing = False
            self._adopt(kept)
            self.generation += 1
            self._renewed_s = began_s
            self._expires_s = began_s + kept.lifetime_s
            self._pause_s = max(kept.renew_s, RETRY_S_MIN) * _jitter()
        finally:
            self._flight = None

    def _failed(self, why: str) -> None:
        self.why_not = why
        self._pause_s = min(2 * self._pause_s, RETRY_S_MAX) if self._failing else RETRY_S_MIN
        self._failing = True


def _jitter() -> float:
    """Return what a pause is multiplied by, so that workers do not all ask at once."""
    return random.uniform(0.9, 1.0)  # noqa: S311 - it spreads load and keeps no secret
