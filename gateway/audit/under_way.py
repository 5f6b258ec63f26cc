"""What this process has begun and not ended: whatever may still bring company to a commit."""

from __future__ import annotations

from typing import Final

from gateway.audit.entry import Kind, Record
from gateway.clock import monotonic_s

UNDER_WAY_S: Final = 3_600.0
"""How long it counts: an exchange that is older has lost its end, and another process closed it."""

_CLOSING: Final = frozenset({Kind.OUTCOME, Kind.INDETERMINATE})


class UnderWay:
    """The exchanges that have begun, the oldest first."""

    def __init__(self) -> None:
        """Know of none."""
        self._since: dict[bytes | None, float] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._since)

    def begin(self, exchange: bytes | None) -> None:
        """Count an exchange from now on."""
        self._since.setdefault(exchange, monotonic_s())

    def end(self, exchange: bytes | None) -> None:
        """Count it no more, if it is one of them."""
        self._since.pop(exchange, None)

    def answered(self, record: Record, *, stored: bool) -> None:
        """Count an exchange no more that the record ends, or began without being stored."""
        if record.kind in _CLOSING or (not stored and record.kind is Kind.INTENT):
            self._since.pop(record.exchange, None)

    def forget_lost(self) -> None:
        """Count those no more whose end will not come."""
        limit_s = monotonic_s() - UNDER_WAY_S
        lost = []
        for exchange, since_s in self._since.items():
            if since_s >= limit_s:
                break
            lost.append(exchange)
        for exchange in lost:
            del self._since[exchange]
