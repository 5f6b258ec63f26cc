"""The mark of a frozen log: made once, seen by every process, taken away when all is well again."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest

from gateway.audit import log as log_module
from gateway.audit.disk.locks import FileLock
from gateway.audit.freeze import FROZEN_NAME, freeze, frozen_reason, thaw
from gateway.audit.log import AuditLog
from gateway.audit.sqlite import LOCK_NAME
from gateway.audit.store import LogBusy, LogFrozen, LogUnavailable
from tests.gateway.audit.records import filled, intent, opened, using


def test_the_first_reason_stands(tmp_path: Path) -> None:
    """Who freezes a frozen log changes nothing; thawing one that is not frozen is no error."""
    assert frozen_reason(tmp_path) is None
    freeze(tmp_path, "the root differs")
    freeze(tmp_path, "something else")
    assert frozen_reason(tmp_path) == "the root differs"
    thaw(tmp_path)
    thaw(tmp_path)
    assert frozen_reason(tmp_path) is None


def test_a_running_process_refuses_as_soon_as_it_sees_the_mark(tmp_path: Path) -> None:
    """Whoever finds the contradiction, all processes of the host stop appending (I5, I10)."""

    async def use(log: AuditLog) -> None:
        await log.append(intent())
        freeze(log.directory, "found by another process")
        while log.failure is None:  # noqa: ASYNC110 - the log looks by itself
            await asyncio.sleep(0.05)
        assert isinstance(log.failure, LogFrozen)
        with pytest.raises(LogFrozen, match="found by another process"):
            await log.append(intent())

    using(tmp_path, use)


def test_a_process_without_descriptors_keeps_watching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deadlines hold meanwhile, and a freeze is seen as soon as it can be (I10)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def use(log: AuditLog) -> None:
        await log.append(intent())
        writers = FileLock(log.directory / LOCK_NAME)
        monkeypatch.setattr(log_module, "APPEND_DEADLINE_S", 1.5)
        with writers:
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
            try:
                with pytest.raises(LogBusy):
                    await log.append(intent())
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        writers.close()
        monkeypatch.setattr(log_module, "APPEND_DEADLINE_S", 60.0)
        await log.append(intent())
        freeze(log.directory, "found by another process")
        while log.failure is None:  # noqa: ASYNC110 - the log looks by itself
            await asyncio.sleep(0.05)
        assert isinstance(log.failure, LogFrozen)

    using(tmp_path, use)


def test_a_mark_that_cannot_be_read_is_taken_for_one(tmp_path: Path) -> None:
    """A disk that fails may hide a freeze: nothing more is appended (I10)."""

    async def use(log: AuditLog) -> None:
        (log.directory / FROZEN_NAME).mkdir()
        while log.failure is None:  # noqa: ASYNC110 - the log looks by itself
            await asyncio.sleep(0.05)
        with pytest.raises(LogUnavailable, match="cannot be read"):
            await log.append(intent())

    using(tmp_path, use)


def test_a_mended_log_opens_again(tmp_path: Path) -> None:
    """What froze at the start is free again once the missing head is back in its place."""
    path = filled(tmp_path, 2)
    head = path.parent / "sealed-head"
    kept = head.read_bytes()
    head.write_text("another")
    with pytest.raises(LogFrozen):
        opened(tmp_path)
    assert frozen_reason(path.parent) is not None
    head.write_bytes(kept)

    async def use(log: AuditLog) -> None:
        await log.append(intent())

    using(tmp_path, use)
    assert frozen_reason(path.parent) is None
