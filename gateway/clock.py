"""Where time, identifiers and randomness come from; nothing else may ask the machine for them."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Protocol

UUIDS_REMEMBERED_MAX: Final = 1_024


class DecisionClock(Protocol):
    """Decision time: what token times, decisions and limits are judged by, and what records keep.

    It is a constructor argument and nothing else: no header, setting or endpoint can set it. Only
    the demo and tests hand in another than `SystemClock` (design.md section 3).
    """

    def now(self) -> datetime:
        """Return the decision time, aware and in UTC."""


class SystemClock:
    """Decision time is the machine's time."""

    def now(self) -> datetime:
        """Return the machine's time, aware and in UTC."""
        return datetime.now(UTC)


def system_time_us() -> int:
    """Return system time in microseconds since 1970, for ids and log records."""
    return time.time_ns() // 1000


def monotonic_s() -> float:
    """Return monotonic seconds, for deadlines, ages and caches."""
    return time.monotonic()


def monotonic_us() -> int:
    """Return monotonic microseconds, for durations."""
    return time.monotonic_ns() // 1000


def random_bytes(count: int) -> bytes:
    """Return `count` bytes from the operating system's generator."""
    return os.urandom(count)


def new_uuid7() -> bytes:
    """Return a new UUIDv7 as 16 bytes: system milliseconds, then random bits (RFC 9562, 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big") & _UUID7_RANDOM
    return (milliseconds << 80 | random | _UUID7_FIXED).to_bytes(16, "big")


_UUID7_FIXED: Final = 0x7000_8000_0000_0000_0000
"""Version 7 and variant 0b10, in the 80 bits after the time."""
_UUID7_RANDOM: Final = 0x0FFF_3FFF_FFFF_FFFF_FFFF


@lru_cache(maxsize=UUIDS_REMEMBERED_MAX)
def uuid_text(identifier: bytes) -> str:
    """Return the hyphenated text of a 16-byte UUID (RFC 9562, section 4).

    An exchange's id is written four times in its course, so the last ones are remembered.
    """
    text = identifier.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
