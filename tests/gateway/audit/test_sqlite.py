"""The SQLite driver: versions, claims, counters, arbitration, and several writers killed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from gateway.audit.lifecycle.opened import open_log
from gateway.audit.log import AuditLog
from gateway.audit.sqlite import check_sqlite_version
from gateway.audit.store import (
    LogBusy,
    LogUnavailable,
)
from gateway.clock import system_time_us
from tests.gateway.audit.records import (
    filled,
    intent,
    keys_in,
    using,
)

WRITERS = 3
LATER_US = system_time_us() + 3_600_000_000


@pytest.mark.parametrize("version", [(3, 40, 1), (3, 50, 4), (3, 51, 2), (3, 52, 0), (3, 44, 5)])
def test_a_sqlite_with_the_wal_reset_bug_is_refused(version: tuple[int, int, int]) -> None:
    """Versions that can lose committed records do not open the log (F25)."""
    with pytest.raises(LogUnavailable, match="WAL-reset"):
        check_sqlite_version(version)


@pytest.mark.parametrize("version", [(3, 51, 3), (3, 53, 4), (3, 50, 7), (3, 44, 6)])
def test_a_repaired_sqlite_is_accepted(version: tuple[int, int, int]) -> None:
    """Fixed versions and the back-ports open the log."""
    check_sqlite_version(version)


def test_another_program_holding_the_file_is_busy_and_not_fatal(tmp_path: Path) -> None:
    """A batch that found the file locked was not written; a later append succeeds."""

    async def use(log: AuditLog) -> None:
        intruder = sqlite.connect(str(log.path), isolation_level=None)
        intruder.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogBusy):
            await log.append(intent())
        intruder.execute("ROLLBACK")
        intruder.close()
        assert (await log.append(intent())).index == 1

    using(tmp_path, use)


def test_a_file_of_another_log_is_not_opened(tmp_path: Path) -> None:
    """Two origins never share a file."""
    filled(tmp_path, 1)
    with pytest.raises(LogUnavailable, match="belongs to"):
        open_log(
            tmp_path / "audit", origin="other.example/audit/2026", instance="x",
            keys=keys_in(tmp_path),
        )  # fmt: skip
