"""Gauges of the log's disk and state."""

from __future__ import annotations

from pathlib import Path

from gateway.audit.log import AuditLog
from gateway.audit.store import LogFrozen
from gateway.control.log_figures import log_metrics
from tests.gateway.audit.records import using


def test_room_and_freezing_can_be_alerted_on(tmp_path: Path) -> None:
    """Free octets as they are, and two switches."""

    async def use(log: AuditLog) -> None:
        log.room.look()
        before = log_metrics(log).decode()
        assert f"concordat_audit_disk_free_bytes {log.room.free_bytes}\n" in before
        assert "concordat_audit_refuses 0\n" in before
        assert "concordat_audit_frozen 0\n" in before
        log.refuse(LogFrozen("contradicts itself"))
        log.room.run_out()
        after = log_metrics(log).decode()
        assert "concordat_audit_refuses 1\n" in after
        assert "concordat_audit_frozen 1\n" in after

    using(tmp_path, use)
