"""`concordat audit prepare` and `fence`: for an audit log that is in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, Stop, line, show_json

if TYPE_CHECKING:
    from gateway.audit.place import PostgresLog
    from gateway.settings import Settings


def prepare(
    role: Annotated[str, typer.Option("--role", help="The role that the gateway will connect as.")],
    home: Home = None,
) -> None:
    """Make an audit log in PostgreSQL if there is none, and print the rights a gateway needs.

    Run it as the role that shall own the tables: CONCORDAT_AUDIT_URL may name it for this once.
    Have the SQL that it prints run by the same role; the gateway's own can then add records and
    change none, and needs no right to make tables.
    """
    import asyncio

    from gateway.audit.postgresql.schema import rights_for
    from gateway.data_plane import open_audit_log

    async def make(settings: Settings) -> None:
        log = open_audit_log(settings, instance="cli")
        await log.start()
        await log.stop()

    settings = settings_of(home)
    with _telling(settings):
        asyncio.run(make(settings))
        place = _place(settings)
    try:
        line(rights_for(place, role).rstrip())
    except ValueError as unnamed:
        raise Stop(str(unnamed), mend="--role NAME") from None


def fence(home: Home = None, as_json: Json = False) -> None:
    """Begin a new epoch of an audit log in PostgreSQL, as after a failover.

    Every process that writes to the log now is shut out at its next record: workers end and are
    started again, and whatever hangs or was cut off stays shut out. What starts afterwards goes on
    in the new epoch.
    """
    from gateway.audit.upkeep import open_upkeep

    settings = settings_of(home)
    with _telling(settings):
        upkeep = open_upkeep(_place(settings))
        try:
            with upkeep.writing() as db:
                raised = "UPDATE audit_head SET epoch = epoch + 1 RETURNING epoch"
                epoch: int = db.execute(raised).fetchone()[0]
        finally:
            upkeep.close()
    if as_json:
        show_json({"epoch": epoch})
    else:
        line(f"Epoch {epoch} has begun: what wrote to the log until now is shut out.")


def _place(settings: Settings) -> PostgresLog:
    from gateway.audit.place import PostgresLog
    from gateway.audit.reading.reader import find_log
    from gateway.data_plane import log_home

    place = find_log(log_home(settings))
    assert isinstance(place, PostgresLog)  # noqa: S101 - seen to by `_telling`
    return place


@contextmanager
def _telling(settings: Settings) -> Iterator[None]:
    """Say what failed, and that a log in a file wants none of this."""
    from gateway.audit.store import LogUnavailable
    from gateway.audit.upkeep import STORE_ERRORS

    if settings.audit_url is None:
        raise Stop("the audit log is a file", mend="set audit_url to have it in PostgreSQL")
    try:
        yield
    except (LogUnavailable, *STORE_ERRORS) as failure:
        mend = f"concordat doctor --home {settings.home}"
        raise Stop(str(failure), mend=mend, code=Exit.FAILED) from None
