"""Decision time of the demo: a small file mapped by all its processes, set call by call."""

from __future__ import annotations

import mmap
import struct
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.clock import monotonic_us

_FACE: Final = struct.Struct("<Bqqq")  # running?, decision time, monotonic time when set, turn
_CHECK: Final = struct.Struct("<I")
_CLOCK_BYTES: Final = _FACE.size + _CHECK.size
_READS_MAX: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


class DemoClock:
    """A decision clock that stands still at an instant, or runs forward from one.

    The file holds whether it runs, the decision time, the monotonic time at which it was set
    (system-wide, so every process reads the same time) and how often it was, then a CRC-32 of them:
    a read that meets a half-finished write fails its check and is made again. One process sets it.
    Only the path is pickled.
    """

    __slots__ = ("_map", "_path")

    def __init__(self, path: Path) -> None:
        """Open the clock's file, which `create` wrote."""
        self._path: Final = path
        with path.open("r+b") as file:
            self._map: Final = mmap.mmap(file.fileno(), _CLOCK_BYTES)

    @classmethod
    def create(cls, path: Path, at: datetime) -> DemoClock:
        """Make the file of a clock that stands still at `at`."""
        path.write_bytes(_face(running=False, at=at, turn=0))
        return cls(path)

    def now(self) -> datetime:
        """Return the decision time, aware and in UTC; it stands still at the end of 9999.

        Raises:
            ValueError: the file is not that of a clock.
        """
        running, decision_us, set_at_us, _ = self._read()
        elapsed_us = monotonic_us() - set_at_us if running else 0
        return _EPOCH + timedelta(microseconds=min(decision_us + elapsed_us, _LAST_US))

    @property
    def turn(self) -> int:
        """How often the clock was set: what two calls of a pack never share.

        Raises:
            ValueError: the file is not that of a clock.
        """
        return self._read()[3]

    def freeze(self, at: datetime) -> None:
        """Stand still at `at` until told otherwise."""
        self._map[:_CLOCK_BYTES] = _face(running=False, at=at, turn=self.turn + 1)

    def run_from(self, at: datetime) -> None:
        """Run forward, second by second, from `at`."""
        self._map[:_CLOCK_BYTES] = _face(running=True, at=at, turn=self.turn + 1)

    def _read(self) -> tuple[bool, int, int, int]:
        for _ in range(_READS_MAX):
            face = self._map[:_CLOCK_BYTES]
            (check,) = _CHECK.unpack_from(face, _FACE.size)
            if zlib.crc32(face[: _FACE.size]) == check:
                return _FACE.unpack_from(face)
        raise ValueError(f"{self._path} does not hold a clock")

    def __reduce__(self) -> tuple[type[DemoClock], tuple[Path]]:
        """Pickle the path alone; the process that unpickles maps the file itself."""
        return DemoClock, (self._path,)


def _face(*, running: bool, at: datetime, turn: int) -> bytes:
    decision_us = (at - _EPOCH) // timedelta(microseconds=1)
    face = _FACE.pack(running, decision_us, monotonic_us(), turn)
    return face + _CHECK.pack(zlib.crc32(face))
