"""Tables of exchanges for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.table import Table

MICROSECONDS_PER_SECOND = 1_000_000


def exchanges_table(views: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of exchanges, one a row."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Exchange", no_wrap=True)
    for heading in ("When", "Consumer", "Request", "Purpose", "Outcome"):
        table.add_column(heading, overflow="fold")
    for view in views:
        table.add_row(
            str(view.get("exchange_id")),
            instant(view.get("decided_at") or view.get("started")),
            str(view.get("consumer", "")),
            f"{view.get('method', '')} {view.get('route') or view.get('service') or ''}",
            str(view.get("purpose", "")),
            f"{view.get('status', '')} {view.get('reason', '')}".strip(),
        )
    return table


def exchange_table(view: Mapping[str, Any]) -> Table:
    """Return everything that is known of one exchange, one fact a row."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column("Fact", no_wrap=True)
    table.add_column("Value", overflow="fold")
    for name, value in view.items():
        if name in ("cores", "sections", "entries"):
            continue
        table.add_row(name, _plain(name, value))
    for section, facts in (view.get("sections") or {}).items():
        for name, value in (facts or {"": "erased"}).items():
            table.add_row(f"{section}.{name}", _plain(name, value))
    for entry in view.get("entries", ()):
        table.add_row(f"record {entry['index']}", f"{entry['kind']} {entry['leaf_hash']}")
    return table


def instant(microseconds: object) -> str:
    """Return microseconds since 1970 as people read them; empty for anything else."""
    if not isinstance(microseconds, int):
        return ""
    at = datetime.fromtimestamp(microseconds / MICROSECONDS_PER_SECOND, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}Z"


def _plain(name: str, value: object) -> str:
    if name in ("started", "finished", "decided_at", "review_due"):
        return instant(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
