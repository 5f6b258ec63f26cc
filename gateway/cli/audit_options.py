"""Options that the audit commands share, and how what is given for them is read."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import typer

from gateway.cli.output import Stop

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

FROM_STDIN: Final = "-"
FROM: Final = "Not before this day or instant: 2026-03-01, or 2026-03-01T09:30Z."
UNTIL: Final = "Before this day or instant."

Use = Annotated[
    str,
    typer.Option(
        "--use",
        metavar="USE",
        help="What you read the log for; kept in the log: verify_lawfulness, self_monitoring, "
        "integrity_and_security or criminal_proceedings (DPA 2018 s.62(4)).",
    ),
]
From = Annotated[str | None, typer.Option("--from", metavar="TIME", help=FROM, show_default=False)]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help=UNTIL, show_default=False)
]


def microseconds(text: str) -> int:
    """Return a day (its beginning, UTC) or an instant as the log keeps time; Stop if neither."""
    from gateway.audit.search.query import in_log_time

    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        mend = "2026-03-01, or 2026-03-01T09:30:00Z"
        raise Stop(f"{text} is neither a day nor an instant", mend=mend) from None
    if at.tzinfo is None and len(text) > len("2026-03-01"):
        raise Stop(f"{text} has no time zone", mend=f"write {text}Z for UTC")
    return in_log_time((at.replace(tzinfo=at.tzinfo or UTC) - _EPOCH) // timedelta(microseconds=1))


def person_typed(text: str) -> str:
    """Return who was given; for ``-`` that is read from standard input, so no shell keeps it."""
    return sys.stdin.readline().strip() if text == FROM_STDIN else text


def identifier(text: str) -> bytes:
    """Return the 16 bytes of the id of an exchange, or of a record or hold; Stop if it is none."""
    try:
        return UUID(text).bytes
    except ValueError:
        mend = "copy it whole, from the Exchange-Id of the answer or from the list"
        raise Stop(f"{text} is not an id, such as an exchange has", mend=mend) from None
