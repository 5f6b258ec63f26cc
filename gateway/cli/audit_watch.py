"""`concordat audit watch`: exchanges about people whom staff have no business looking up."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.audit_options import Use
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, Stop, line, show_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.settings import Settings

_COLUMNS: Final = frozenset({"person", "label"})
PEOPLE_MAX: Final = 1_000


def watch(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV with the columns person (type:value), label, and staff: the subject of the "
            "person's own sign-in, if they are staff.",
        ),
    ],
    *,
    use: Use = "self_monitoring",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List who looked up colleagues, well-known people, or themselves.

    The file is read and not kept; the log keeps that somebody looked, and tags. Exit 1 where
    somebody was looked up.
    """
    from gateway.cli.audit_log import reading

    settings = settings_of(home)
    with reading():
        found = list(_found(settings, file, use))
    if as_json:
        show_json({"exchanges": found})
    else:
        for one in found:
            line(f"{one['label']}: {one['exchange_id']} by {one['actor']} of {one['consumer']}"
                 f"{' (own record)' if one['own'] else ''}")  # fmt: skip
        if not found:
            line("Nobody was looked up.")
    if found:
        raise typer.Exit(Exit.FAILED)


def _found(settings: Settings, file: Path, use: str) -> Iterator[dict[str, Any]]:
    from gateway.audit.search.due import everything
    from gateway.cli.audit_log import recorded_search, tell_shortened

    for row in _rows(file):
        reader, wanted = recorded_search(settings, {"person": row["person"]}, use=use, verb="watch")
        views = everything(reader.directory, wanted, keys=reader.keys, shortened=tell_shortened)
        for view in views:
            identifier = bytes.fromhex(str(view["exchange_id"]).replace("-", ""))
            opened = reader.show(identifier) or {}
            sections = opened.get("sections")
            actor = sections.get("actor") if isinstance(sections, dict) else None
            subject = actor.get("subject") if isinstance(actor, dict) else None
            yield {
                "label": row["label"],
                "exchange_id": view["exchange_id"],
                "started": view["started"],
                "consumer": view.get("consumer"),
                "decision": view.get("decision"),
                "actor": subject or "erased",
                "own": bool(subject) and subject == row.get("staff"),
            }


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.DictReader(opened))
    except (OSError, UnicodeDecodeError, csv.Error) as failure:
        raise Stop(
            f"{file} cannot be read: {type(failure).__name__}", mend="give a CSV file"
        ) from None
    if not rows or _COLUMNS - set(rows[0]):
        raise Stop(f"{file} has not the columns person and label", mend="person,label,staff")
    if len(rows) > PEOPLE_MAX:
        raise Stop(f"{file} names more than {PEOPLE_MAX} people", mend="split it")
    return rows
