"""What the audit log's disk and state look like, for Prometheus."""

from __future__ import annotations

from gateway.audit.log import AuditLog
from gateway.audit.store import LogFrozen


def log_metrics(log: AuditLog) -> bytes:
    """Return gauges in Prometheus' text format; `log` is the control process's own."""
    figures = (
        ("disk_free_bytes", "Free octets on the audit log's disk.", log.room.free_bytes),
        ("refuses", "1 while the disk has no room to begin an exchange.", log.room.refuses),
        ("frozen", "1 while the log is frozen.", isinstance(log.failure, LogFrozen)),
    )
    lines = [
        f"# HELP concordat_audit_{name} {text}\n# TYPE concordat_audit_{name} gauge\n"
        f"concordat_audit_{name} {int(value)}\n"
        for name, text, value in figures
    ]
    return "".join(lines).encode()
