"""A log that contradicts itself is frozen for every process of its host, by a file beside it.

Not in the database: where the part of it that is missing can still be put back, nothing may have
been written into the rest.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.audit.disk.doubt import is_in_doubt
from gateway.audit.keys.log_keys import sync_directory
from gateway.audit.store import Answer, Append, Grant, LogFrozen, LogUnavailable

FROZEN_NAME: Final = "frozen"
REASON_CHARS_MAX: Final = 1_000
# The process or the machine has run out of something, which says nothing of the log.
_PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR})


def freeze(directory: Path, reason: str) -> None:
    """Have every process refuse to append, now and after a restart; the first reason stands.

    Raises OSError where the file cannot be made; who froze the log refuses all the same.
    """
    draft = directory / f".{FROZEN_NAME}"
    draft.write_text(reason[:REASON_CHARS_MAX], "utf-8")
    try:
        os.link(draft, directory / FROZEN_NAME)
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(directory)


def frozen_reason(directory: Path) -> str | None:
    """Return why the log is frozen, or None where it is not."""
    try:
        return (directory / FROZEN_NAME).read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return None


def found_elsewhere(directory: Path) -> LogUnavailable | None:
    """Return why nothing may be appended, as another process found; None where none found it.

    It is None too where nothing can be read just now, and a refusal where a mark that may be there
    cannot be read at all (invariant I10).
    """
    try:
        reason = frozen_reason(directory)
        if reason is not None:
            return LogFrozen(reason)
        if is_in_doubt(directory):
            return LogUnavailable("the audit store failed in another process")
    except OSError as failure:
        if failure.errno not in _PASSING:
            return LogUnavailable(f"the marks of the audit log cannot be read: {failure.strerror}")
    return None


def thaw(directory: Path) -> None:
    """Take the mark away: the contradiction is mended, or the log goes on in another shard."""
    (directory / FROZEN_NAME).unlink(missing_ok=True)


class FrozenStore:
    """The store of a frozen log: nobody opens its file for writing, and all is refused."""

    def __init__(self, failure: LogFrozen) -> None:
        """Refuse everything with `failure`."""
        self._failure = failure

    async def append(self, batch: Sequence[Append]) -> Sequence[Answer]:
        """Refuse a batch."""
        del batch
        raise self._failure

    async def find_grant(self, holder: bytes, words: bytes) -> Grant | None:
        """Tell nothing."""
        del holder, words
        raise self._failure

    async def is_claimed(self, key: bytes) -> bool:
        """Tell nothing."""
        del key
        raise self._failure

    def close(self) -> None:
        """Close nothing: nothing was opened."""
