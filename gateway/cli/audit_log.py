"""Reads a home's audit log for the commands, and records in it that it was read."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from gateway.audit.entry import EntryInvalid, Kind, Record
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.people import PersonInvalid
from gateway.audit.place import Place
from gateway.audit.reading.reader import find_log, shard_name, structural_faults, verify_log
from gateway.audit.search.access import (
    NOT_FOUND,
    LogReader,
    Reader,
    Use,
    Via,
    find_record,
    show_record,
)
from gateway.audit.search.due import ITEMS_MAX
from gateway.audit.search.query import Filters, Page
from gateway.audit.store import LogUnavailable, Position
from gateway.audit.verify import Fault, Progress, Report
from gateway.cli.audit_options import identifier
from gateway.cli.output import Exit, Stop, tell
from gateway.clock import uuid_text
from gateway.data_plane import log_home, open_audit_log, shard_origin
from gateway.settings import Settings

_INSTANCE: Final = "cli"


def find_exchanges(
    settings: Settings,
    filters: Mapping[str, Any],
    *,
    limit: int,
    use: str,
    cursor: int | None = None,
) -> Page:
    """Return exchanges that pass `filters`, newest first; the reading is recorded first.

    Personal sections are left out: whom an exchange was about is shown with the exchange itself.
    """
    reader, wanted = recorded_search(settings, filters, use=use)
    with reading():
        return reader.find(wanted, cursor=cursor, limit=limit)


@contextmanager
def reading() -> Iterator[None]:
    """Raise Stop where a shard of the log cannot be read: nothing is told of the others alone."""
    try:
        yield
    except LogUnavailable as failure:
        raise Stop(str(failure), mend="see why: concordat doctor") from None


def recorded_search(
    settings: Settings, filters: Mapping[str, Any], *, use: str, verb: str = "find"
) -> tuple[LogReader, Filters]:
    """Return what reads the log, and for what, once it is recorded that it is read."""
    declared = use_of(use)
    asked = {name: value for name, value in filters.items() if value is not None}
    if "kind" in asked:
        asked["kind"] = kind_of(asked["kind"])
    reader = _open(settings)
    if "person" in asked:
        try:
            asked["person"] = reader.seek(asked["person"])
        except PersonInvalid as invalid:
            raise Stop(str(invalid), mend="--person nhs_number:9990000018") from None
    wanted = Filters(**asked)
    append(settings, find_record(console_reader(), declared, wanted, verb=verb))
    return reader, wanted


def show_one(settings: Settings, given: str, *, use: str) -> dict[str, object]:
    """Return one exchange with all its records; the reading is recorded first."""
    declared = use_of(use)
    exchange = identifier(given)
    reader = _open(settings)
    append(settings, show_record(console_reader(), declared, exchange))
    with reading():
        view = reader.show(exchange)
    if view is None:
        raise Stop(f"{uuid_text(exchange)} {NOT_FOUND}", code=Exit.FAILED)
    return view


def verify_file(
    settings: Settings | None,
    log: Place | None,
    vkey: str | None,
    progress: Progress | None = None,
    *,
    open_sections: bool = False,
    structure: bool = False,
    jobs: int = 1,
) -> Report:
    """Verify `log`, or the newest log of a home, with `vkey` or the home's own key.

    Sealed sections are opened, with the home's keys, where `open_sections` asks for it; the
    database's own structure is checked where `structure` does.
    """
    if settings is None:
        assert log is not None, "without a home there is a file"  # noqa: S101 - the caller's rule
        return verify_log(log, vkey=vkey, progress=progress, jobs=jobs)
    path: Place = log or find_log(log_home(settings))
    keys = LogKeys(settings.keys_directory)
    report = verify_log(
        path,
        vkey=vkey or keys.signer(shard_origin(settings, shard_name(path))).verifier.vkey(),
        keys=keys if open_sections else None,
        progress=progress,
        jobs=jobs,
    )
    broken = structural_faults(path) if structure else ()
    return replace(
        report,
        ok=report.ok and not broken,
        faults=(*report.faults, *[Fault(0, f"the file: {what}") for what in broken]),
        faults_in_all=report.faults_in_all + len(broken),
    )


def console_reader() -> Reader:
    """Return who sits at this machine: the operating system knows, and the environment may lie."""
    user = os.getuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:  # a container may run as a user that has no name
        name = f"uid {user}"
    return Reader(principal=name, via=Via.CONSOLE)


def log_of(settings: Settings) -> Place:
    """Return the newest shard of a home's log; raises Stop where there is none yet."""
    try:
        return find_log(log_home(settings))
    except LogUnavailable as failure:
        raise Stop(str(failure), mend="run the gateway once: concordat serve") from None


def _open(settings: Settings) -> LogReader:
    log_of(settings)
    return LogReader(directory=log_home(settings), keys=LogKeys(settings.keys_directory))


def use_of(use: str) -> Use:
    """Return a declared use; raises Stop for one that the law does not know."""
    try:
        return Use(use)
    except ValueError:
        raise Stop(f"{use} is no permitted use", mend=f"--use {' | '.join(Use)}") from None


def kind_of(kind: str) -> Kind:
    """Return the kind of record that was asked for; raises Stop for an unknown one."""
    try:
        return Kind(kind)
    except ValueError:
        raise Stop(f"{kind} is no kind of record", mend=f"--kind {' | '.join(Kind)}") from None


def tell_shortened() -> None:
    """Say on standard error that a list is not all there is."""
    tell(f"only the newest {ITEMS_MAX} of a shard were looked at: what is older is not listed")


def append(settings: Settings, record: Record) -> Position:
    """Make the record of a reading durable; raises Stop where that cannot be."""
    try:
        return asyncio.run(_append(settings, record))
    except LogUnavailable as failure:
        mend = "the log is only shown where the reading can be recorded; see: concordat doctor"
        raise Stop(f"the reading cannot be recorded: {failure}", mend=mend) from None
    except EntryInvalid as invalid:
        mend = "give other filters: what you look for is recorded with the reading"
        raise Stop(f"the reading cannot be recorded: {invalid}", mend=mend) from None


def record_now(settings: Settings, record: Record) -> Position:
    """Make a record durable; raises LogUnavailable where that cannot be, Stop for no words."""
    try:
        return asyncio.run(_append(settings, record))
    except EntryInvalid as invalid:
        raise not_recordable(invalid) from None


def not_recordable(invalid: EntryInvalid) -> Stop:
    """Return what stops a command whose words no record can hold; nothing was done."""
    mend = "write it shorter, in UTF-8: what is given is kept in the log"
    return Stop(f"what is given cannot be recorded: {invalid}", mend=mend)


async def _append(settings: Settings, record: Record) -> Position:
    log = open_audit_log(settings, instance=_INSTANCE)
    await log.start()
    try:
        return await log.append(record)
    finally:
        await log.stop()
