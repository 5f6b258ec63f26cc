"""The mark that an I/O error leaves: until it is taken away no head of the log is signed.

After a failed write or sync nobody knows what of it is on the disk, though it may be read back
from memory (audit-log.md, section 2.6).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

DOUBT_NAME: Final = "in-doubt"
_NO: Final = b"0"
_YES: Final = b"1"


def prepare_doubt(directory: Path) -> None:
    """Make the mark's file: to set the mark later must not need room on a full disk."""
    with suppress(FileExistsError):
        descriptor = os.open(
            directory / DOUBT_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
        )
        try:
            os.write(descriptor, _NO)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def set_doubt(directory: Path) -> None:
    """Mark the log; where even that fails, the process whose write failed stops all the same."""
    with suppress(OSError):
        _write(directory, _YES)


def clear_doubt(directory: Path) -> None:
    """Take the mark away; raises OSError."""
    _write(directory, _NO)


def is_in_doubt(directory: Path) -> bool:
    """Tell whether the log was marked."""
    try:
        return (directory / DOUBT_NAME).read_bytes() == _YES
    except FileNotFoundError:
        return False


def _write(directory: Path, mark: bytes) -> None:
    descriptor = os.open(directory / DOUBT_NAME, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, mark, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
