"""Where time, identifiers and randomness come from; nothing else may ask the machine for them."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Protocol

UUIDS_REMEMBERED_MAX: Final = 1_024
RANDOM_PIECES: Final = 64
"""Pieces of random bytes that are fetched at once."""
RANDOM_PIECE_BYTES_MAX: Final = 512
RANDOM_SIZES_MAX: Final = 32
"""Different sizes of pieces that are kept ready."""


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
    """Return `count` bytes from the operating system's generator, never handed out before.

    They are fetched many at a time: one system call for each record's salts and keys cost as much
    as their encryption.
    """
    # `pop` of a list is atomic, so that no two threads get the same bytes.
    try:
        return _READY[count].pop()
    except (KeyError, IndexError):
        return _fetch_random(count)


def _fetch_random(count: int) -> bytes:
    """Return one piece of `count` bytes and make more ready, where pieces are small and usual."""
    kept = count in _READY or len(_READY) < RANDOM_SIZES_MAX
    if not (kept and 0 < count <= RANDOM_PIECE_BYTES_MAX):
        return os.urandom(count)
    fetched = os.urandom(count * RANDOM_PIECES)
    pieces = [fetched[at : at + count] for at in range(0, len(fetched), count)]
    piece = pieces.pop()
    _READY.setdefault(count, []).extend(pieces)
    return piece


_READY: Final[dict[int, list[bytes]]] = {}
_UUID7_ENDS: Final[list[bytes]] = []
# A forked child must not hand out what its parent will.
os.register_at_fork(after_in_child=_READY.clear)
os.register_at_fork(after_in_child=_UUID7_ENDS.clear)


def new_uuid7() -> bytes:
    """Return a new UUIDv7 as 16 bytes: system milliseconds, then random bits (RFC 9562, 5.7)."""
    try:
        end = _UUID7_ENDS.pop()
    except IndexError:
        end = _fetch_uuid7_ends()
    return (time.time_ns() // 1_000_000).to_bytes(6, "big") + end


def _fetch_uuid7_ends() -> bytes:
    """Return what follows the time in one UUIDv7, and make more ready, all with one arithmetic."""
    count = _UUID7_END_BYTES * RANDOM_PIECES
    ends = int.from_bytes(os.urandom(count), "big") & _UUID7_RANDOM | _UUID7_FIXED
    made = ends.to_bytes(count, "big")
    end, *more = [made[at : at + _UUID7_END_BYTES] for at in range(0, count, _UUID7_END_BYTES)]
    _UUID7_ENDS.extend(more)
    return end


_UUID7_END_BYTES: Final = 10
_UUID7_FIXED: Final = int("70008000000000000000" * RANDOM_PIECES, 16)
"""Version 7 and variant 0b10, in the 80 bits after the time; as often as ends are fetched."""
_UUID7_RANDOM: Final = int("0fff3fffffffffffffff" * RANDOM_PIECES, 16)


@lru_cache(maxsize=UUIDS_REMEMBERED_MAX)
def uuid_text(identifier: bytes) -> str:
    """Return the hyphenated text of a 16-byte UUID (RFC 9562, section 4).

    An exchange's id is written four times in its course, so the last ones are remembered.
    """
    text = identifier.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
