"""The mark of an I/O error: prepared in advance, set and cleared in place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.audit.disk.doubt import clear_doubt, is_in_doubt, prepare_doubt, set_doubt
from gateway.audit.log import AuditLog
from gateway.audit.store import LogUnavailable
from tests.gateway.audit.records import intent, using


def test_the_mark_is_set_without_taking_room(tmp_path: Path) -> None:
    """Its file is there before it is needed, and keeps its size."""
    assert not is_in_doubt(tmp_path)
    prepare_doubt(tmp_path)
    assert not is_in_doubt(tmp_path)
    set_doubt(tmp_path)
    prepare_doubt(tmp_path)
    assert is_in_doubt(tmp_path)
    assert (tmp_path / "in-doubt").stat().st_size == 1
    clear_doubt(tmp_path)
    assert not is_in_doubt(tmp_path)
    set_doubt(tmp_path / "nowhere")


def test_every_process_stops_for_another_s_error(tmp_path: Path) -> None:
    """F3: what one process could not write, the others may have read from memory (I3, I10)."""

    async def use(log: AuditLog) -> None:
        await log.append(intent())
        set_doubt(log.directory)
        while log.failure is None:  # noqa: ASYNC110 - the log looks by itself
            await asyncio.sleep(0.05)
        with pytest.raises(LogUnavailable, match="failed in another process"):
            await log.append(intent())

    using(tmp_path, use)
