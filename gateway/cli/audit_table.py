"""Tables of exchanges for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich import box
from rich.table import Table

MICROSECONDS_PER_SECOND = 1_000_000

_WHEN_COLUMNS: Final = 20
_WHO_COLUMNS: Final = 28
_WHAT_COLUMNS: Final = 36
"""As wide as an exchange's id."""
_OUTCOME_COLUMNS: Final = 22
_INSTANTS: Final = frozenset(
    {"started", "finished", "at", "decided_at", "review_due", "grant_ends", "instrument_until"}
    | {"first_us", "last_us", "began_us", "due_us", "done_us"}
    | {"aware_us", "report_due_us", "reported_us"}
)
"""Members of a record that are instants, in microseconds."""
_PIECE: Final = re.compile(r"[^/_ ]*[/_ ]?")


def exchanges_table(views: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of exchanges; who and why, and id and request, have lines of their own.

    Nothing is cut off where the terminal is narrow, and the id, which is there to be copied, stays
    whole on its line.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("When", max_width=_WHEN_COLUMNS, overflow="fold")
    table.add_column("Consumer, purpose", max_width=_WHO_COLUMNS, overflow="fold")
    table.add_column("Exchange, request", width=_WHAT_COLUMNS, overflow="fold")
    table.add_column("Outcome", max_width=_OUTCOME_COLUMNS, overflow="fold")
    for view in views:
        table.add_row(
            instant(view.get("decided_at") or view.get("started")),
            _lines(_WHO_COLUMNS, view.get("consumer"), view.get("purpose") or view.get("use")),
            _lines(_WHAT_COLUMNS, _identifier(view), _request(view)),
            _lines(_OUTCOME_COLUMNS, view.get("status"), view.get("reason")),
        )
    return table


def exchange_table(view: Mapping[str, Any]) -> Table:
    """Return everything that is known of one exchange, one fact a row."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column("Fact", no_wrap=True)
    table.add_column("Value", overflow="fold")
    for name, value in view.items():
        if name in ("cores", "sections", "opened", "entries"):
            continue
        table.add_row(name, fact(name, value))
    for section, facts in (view.get("sections") or {}).items():
        if not facts:
            table.add_row(section, "erased")
            continue
        for name, value in facts.items():
            table.add_row(f"{section}.{name}", fact(name, value))
    for entry in view.get("entries", ()):
        table.add_row(f"record {entry['index']}", f"{entry['kind']} {entry['leaf_hash']}")
    return table


def facts_table(facts: Mapping[str, object]) -> Table:
    """Return facts by name, one a row."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column("Fact", no_wrap=True)
    table.add_column("Value", overflow="fold")
    for name, value in facts.items():
        table.add_row(name.removesuffix("_us"), fact(name, value))
    return table


def instant(microseconds: object) -> str:
    """Return microseconds since 1970 as people read them; empty for anything else."""
    if not isinstance(microseconds, int):
        return ""
    at = datetime.fromtimestamp(microseconds / MICROSECONDS_PER_SECOND, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}Z"


def wrapped(text: str, columns: int) -> str:
    """Break `text` into lines that fit, behind a ``/``, a ``_`` or a space and nowhere else.

    A piece that is longer than a line by itself is left whole, for the table to fold.
    """
    lines = [""]
    for piece in _PIECE.findall(text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > columns:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def _lines(columns: int, *facts: object) -> str:
    return "\n".join(wrapped(str(fact), columns) for fact in facts if fact not in (None, ""))


def _identifier(view: Mapping[str, Any]) -> object:
    """Return what `audit show` takes: a record that belongs to no exchange has an id of its own."""
    entries = view.get("entries") or [{}]
    return view.get("exchange_id") or entries[0].get("record_id")


def _request(view: Mapping[str, Any]) -> str:
    """Return method and route, or what a record of another kind is about."""
    if view.get("verb") == "apply":
        return f"apply: revision {view.get('revision')}"
    what = view.get("what")  # an administrator's stop, or its end; names of clients are sealed
    if what:
        return f"{view.get('verb')} {what} {view.get(str(what), '')}".strip()
    place = view.get("route") or view.get("service") or ""
    asked = f"{view.get('method') or view.get('verb') or ''} {place}".strip()
    return asked or str(view.get("kind", ""))


def fact(name: str, value: object) -> str:
    """Return one fact of a record as people read it."""
    if name in _INSTANTS:
        return instant(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {fact(key, one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(fact("", one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
