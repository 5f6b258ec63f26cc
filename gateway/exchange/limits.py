"""Per-minute rates of calls, held in memory by each worker."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Final

RateKey = tuple[str | None, ...]
"""Whose calls are counted together: agreement, rule, organisation, and client or address."""

RATE_KEYS_MAX: Final = 65_536
"""Rates held at once; beyond it the one unused for longest is forgotten, and starts afresh."""
RATE_WINDOW_US: Final = 60_000_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class RateLimiter:
    """The generic cell rate algorithm (ITU-T I.371, annex A), one number per key.

    A caller who has been idle may use a minute's calls at once, and then one whenever a minute's
    share of time has passed; so no minute sees more than twice the agreed number. The bound holds
    per worker process: with n workers a caller who reaches all of them has n times the rate.
    """

    __slots__ = ("_full_at_us",)

    def __init__(self) -> None:
        """Start with every rate unused."""
        self._full_at_us: OrderedDict[RateKey, int] = OrderedDict()

    def take(self, key: RateKey, per_minute: int, at: datetime) -> float | None:
        """Count one call of `key` at decision time `at`; returns None, or the seconds to wait.

        A call that has to wait is not counted. Decision time that goes back by more than what is
        counted could explain (a replay in the demo) starts the rate afresh.
        """
        assert per_minute > 0, "an agreement's rate is at least one"  # noqa: S101 - programmer's error
        at_us = (at - _EPOCH) // _MICROSECOND
        share_us = RATE_WINDOW_US // per_minute
        # When the calls counted so far would all have been used up at the agreed pace.
        full_at_us = self._full_at_us.get(key, at_us)
        if full_at_us <= at_us or full_at_us > at_us + RATE_WINDOW_US:
            full_at_us = at_us
        wait_us = full_at_us + share_us - RATE_WINDOW_US - at_us
        allowed = wait_us <= 0
        self._full_at_us[key] = full_at_us + share_us if allowed else full_at_us
        self._full_at_us.move_to_end(key)
        if len(self._full_at_us) > RATE_KEYS_MAX:
            self._full_at_us.popitem(last=False)
        return None if allowed else wait_us / 1_000_000
