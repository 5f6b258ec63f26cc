"""Options that the policy commands share."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import Stop

RegistryHome = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="Use the agreements in force in this home, in place of a pack's.",
        show_default=False,
    ),
]
Organisation = Annotated[
    str | None, typer.Option("--organisation", metavar="REF", help="Body: ods:…, gss:…, public.")
]
Client = Annotated[str | None, typer.Option("--client", metavar="ID", help="The body's program.")]
Purpose = Annotated[str | None, typer.Option("--purpose", metavar="CODE", help="Purpose.")]
Instant = Annotated[
    str | None,
    typer.Option("--at", metavar="INSTANT", help="An instant, such as 2026-11-18T10:00:00Z."),
]


def instant_of(text: str) -> datetime:
    """Return the instant that `text` states; raises Stop if it is none, or has no offset."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Stop(f"{text} is no instant", mend="write it with its offset: 2026-11-18T10:00:00Z")
    return found
