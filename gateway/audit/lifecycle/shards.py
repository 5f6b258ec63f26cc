"""Ending a shard of the log and beginning the next, by an operator's explicit act.

A shard is ended whole: no exchange is open in it, its last record is `log.seal`, and a last
checkpoint covers that. The next one's first record carries this checkpoint, so that the chain of
shards is as hard to change as one shard is. A frozen log is left as it is: nothing can be added to
it, and the next shard's first record says for ever what was wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.disk.doubt import is_in_doubt
from gateway.audit.disk.locks import FileLock
from gateway.audit.entry import Kind, Record
from gateway.audit.freeze import thaw
from gateway.audit.incident import Incident, opening_record
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.lifecycle.carry import HOLD_TABLE, NEWER_TABLES, STATE_TABLES
from gateway.audit.lifecycle.file_shards import FileDriver
from gateway.audit.lifecycle.opened import open_log
from gateway.audit.lifecycle.sweep import Sweeper
from gateway.audit.note import Checkpoint, NoteInvalid, Verifier, open_checkpoint, read_unsigned
from gateway.audit.place import LogHome, Place, PostgresFailed, PostgresHome, PostgresLog, place_of
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.reading.reader import (
    ended_shard,
    find_log,
    find_shards,
    shard_name,
    snapshot,
)
from gateway.audit.recovery import recover
from gateway.audit.seal import Sealed, Sealer
from gateway.audit.sqlite import INSERT_KEY, INSERT_RECORD, SEALED_STATE, failure_of, record_row
from gateway.audit.store import LogUnavailable
from gateway.audit.tree import SEALED_HEAD_NAME, read_sealed_head, write_sealed_head
from gateway.audit.upkeep import open_upkeep
from gateway.clock import new_uuid7, system_time_us

LOCK_NAME: Final = "retire.lock"
_FROZEN_STATE: Final = "frozen"
_END_HEAD: Final = """
UPDATE audit_head SET state = ?, next_index = next_index + 1 WHERE state <> ?"""


class ShardBusy(Exception):
    """A shard cannot be ended while processes have the log open or exchanges are under way."""


class HoldsLost(Exception):
    """The legal holds of a frozen shard cannot be read, and nobody has said to go on without."""


class Driver(Protocol):
    """What differs between a shard in a file and one in PostgreSQL."""

    def is_in_use(self) -> bool:
        """Tell whether a process has the log open, on this host or, in PostgreSQL, on any."""

    def contradiction(self, sealed_head: str | None, verifier: Verifier) -> str | None:
        """Return why nothing can be added to the shard, its state apart, or None if it is well.

        Raises LogUnavailable where that cannot be told now.
        """

    def begin(
        self, origin: str, first: Callable[[Sequence[str]], Sealed], *, frozen: bool
    ) -> Sequence[str]:
        """Make the shard after this one, whole or not at all, with what is carried over.

        Returns the tables of a `frozen` shard that cannot be read. `first` makes the next one's
        first record, which tells of them; what it raises undoes everything. Raises LogUnavailable.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """A shard that was ended: its last checkpoint, if there is one to trust, and the next shard.

    `contradiction` is what was wrong with a shard that could not be sealed, `lost` the tables of
    what was used up, counted, granted and held that could not be read in it.
    """

    origin: str
    head: Checkpoint | None
    next_origin: str
    contradiction: str | None
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A shard as it lies there; `signed` is how many of its `records` a checkpoint covers."""

    path: Place
    origin: str
    state: str
    records: int
    signed: int
    open_exchanges: int
    began_us: int
    newest_us: int


def list_shards(home: LogHome) -> list[Shard]:
    """Return every shard, the oldest first; raise LogUnavailable for one that cannot be read."""
    shards = []
    for path in find_shards(home):
        with snapshot(path) as db:
            origin, state, records = db.execute(
                "SELECT origin, state, next_index FROM audit_head"
            ).fetchone()
            signed = db.execute("SELECT max(size) FROM audit_checkpoint").fetchone()[0] or 0
            began_us, newest_us = db.execute(
                "SELECT min(t), max(t) FROM audit_record WHERE leaf_index IN (0, ?)",
                (records - 1,),
            ).fetchone()
            open_exchanges = db.execute("SELECT count(*) FROM audit_open").fetchone()[0]
        shards.append(
            Shard(
                path=path, origin=origin, state=state, records=records, signed=signed,
                open_exchanges=open_exchanges, began_us=began_us, newest_us=newest_us,
            )
        )  # fmt: skip
    return shards


async def retire(
    home: LogHome,
    *,
    host: str,
    keys: LogKeys,
    reason: str,
    actor: Mapping[str, str],
    without_holds: bool = False,
) -> Retired:
    """End the newest shard of the log of `host` and begin the next; the gateway must be stopped.

    `reason` and `actor`, who does it, go into both shards' records. What was begun and cut short is
    carried on by the next call. Raises ShardBusy, also where another call is at it; HoldsLost where
    a shard can be read but for its legal holds, unless told to go on `without_holds`;
    LogUnavailable where there is no log, or its store fails.
    """
    directory = home.directory if isinstance(home, PostgresHome) else home
    begun = keys.begun()
    with _alone(home, directory, begun):
        sealed_head = read_sealed_head(directory)
        name = _newest_name(home, sealed_head, begun)
        origin, path = f"{host}/audit/{name}", place_of(home, name)
        driver = _driver(path)
        if await asyncio.to_thread(driver.is_in_use):
            raise ShardBusy("processes have the audit log open: stop the gateway first")
        signer = keys.signer(origin)
        contradiction = _contradiction(driver, path, sealed_head, signer.verifier)
        incident = None
        if contradiction is None:
            thaw(directory)
            if _state(path) != SEALED_STATE:
                await _close_orphans(home, origin=origin, keys=keys)
            elif isinstance(path, Path) and is_in_doubt(directory):
                # An earlier call failed after it had sealed the shard.
                recover(path, None)
                incident = Incident.IO_ERROR
            _seal(path, Sealer(origin, keys), reason=reason, actor=actor)
            _integrate(home, origin=origin, keys=keys)
        head = _last_head(path, directory, signer.verifier)
        following = Following(
            origin=f"{host}/audit/{_next_name(name)}",
            previous=head[0] if head else None,
            reason=reason,
            contradiction=contradiction,
            incident=incident,
            actor=actor,
        )
        lost = _begin(driver, directory, following, keys, without_holds=without_holds)
        return Retired(
            origin=origin,
            head=head[1] if head and head[1].origin == origin else None,
            next_origin=following.origin,
            contradiction=contradiction,
            lost=lost,
        )


@contextmanager
def _alone(home: LogHome, directory: Path, begun: str | None) -> Iterator[None]:
    """Keep every other process of this host from ending a shard of the log meanwhile.

    Which shard is the newest is looked at within: whoever waited would end the one just begun.
    """
    if not directory.exists():
        if begun is None:  # a host that has never opened a log in PostgreSQL
            find_log(home)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(directory / LOCK_NAME)
    try:
        if not lock.try_acquire():
            raise ShardBusy("another command is ending a shard of this log")
        yield
    finally:
        lock.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """What the first record of the next shard says of how it came to be."""

    origin: str
    previous: str | None
    reason: str
    contradiction: str | None
    incident: Incident | None
    actor: Mapping[str, str]
    lost: tuple[str, ...] = ()

    def record(self, keys: LogKeys) -> Record:
        """Return that record."""
        said = {
            "previous": self.previous,
            "reason": self.reason,
            "contradiction": self.contradiction,
            "incident": self.incident and self.incident.value,
            "lost": list(self.lost) or None,
        }
        known = {name: value for name, value in said.items() if value is not None}
        verifier = keys.signer(self.origin).verifier
        record = opening_record(verifier, keys.receipt_signer(self.origin), **known)
        return replace(record, sections={**record.sections, "actor": self.actor})


def _driver(path: Place) -> Driver:
    if isinstance(path, PostgresLog):
        # Imported where it is needed: a gateway on SQLite goes without PostgreSQL's drivers.
        from gateway.audit.lifecycle.postgres_shards import PostgresDriver

        return PostgresDriver(path)
    return FileDriver(path)


def _contradiction(driver: Driver, path: Place, head: str | None, verifier: Verifier) -> str | None:
    """Return why nothing can be added to a shard, or None if it is well."""
    found = driver.contradiction(head, verifier)
    if found is None and _state(path) == _FROZEN_STATE:
        return "the log was frozen earlier"
    return found


def _state(path: Place) -> str:
    with snapshot(path) as db:
        return str(db.execute("SELECT state FROM audit_head").fetchone()[0])


async def _close_orphans(home: LogHome, *, origin: str, keys: LogKeys) -> None:
    """Close what dead processes left open: a shard is ended with no exchange under way."""
    log = open_log(home, origin=origin, instance="retire", keys=keys)
    await log.start()
    sweeper = Sweeper(log)
    try:
        while await sweeper.sweep():
            pass
    finally:
        sweeper.close()
        await log.stop()


def _seal(path: Place, sealer: Sealer, *, reason: str, actor: Mapping[str, str]) -> None:
    """Write `log.seal` and take no record after it, in one transaction."""
    record = Record(
        record_id=new_uuid7(),
        kind=Kind.SEAL,
        exchange=None,
        at_us=system_time_us(),
        sections={"core": {"reason": reason}, "actor": actor},
    )
    sealed, upkeep = sealer.seal(record), open_upkeep(path)
    try:
        upkeep.extend()
        with upkeep.writing() as db:
            # This locks the head before anything is looked at; where it finds none, an earlier call
            # was cut short after this step.
            if db.execute(_END_HEAD, (SEALED_STATE, SEALED_STATE)).rowcount == 1:
                still_open = db.execute("SELECT count(*) FROM audit_open").fetchone()[0]
                if still_open:
                    raise ShardBusy(f"{still_open} exchanges are still open")
                index = db.execute("SELECT next_index - 1 FROM audit_head").fetchone()[0]
                db.execute(INSERT_RECORD, record_row(index, sealed))
                if sealed.wrapped_keys is not None:
                    db.execute(INSERT_KEY, (index, sealed.day, sealed.wrapped_keys))
    except sqlite.Error as broken:
        raise failure_of(broken, path.parent) from broken
    except PostgresFailed as broken:
        raise LogUnavailable(f"the shard cannot be sealed: {broken}") from broken
    finally:
        upkeep.close()


def _integrate(home: LogHome, *, origin: str, keys: LogKeys) -> None:
    integrator = Integrator(home, origin=origin, keys=keys)
    try:
        while integrator.step():
            pass
    finally:
        integrator.close()


def _last_head(path: Place, directory: Path, verifier: Verifier) -> tuple[str, Checkpoint] | None:
    """Return the largest head of a shard that this gateway signed, as its note and its content.

    Of a shard that has none it is that of an ended one, which goes on being the last there is. It
    becomes the sealed head until the next shard has one. One that is not to be trusted is kept
    aside, as evidence.
    """
    sealed_head = read_sealed_head(directory)
    older = None
    if sealed_head is not None and ended_shard(path, sealed_head) is not None:
        older = _trusted(sealed_head, replace(verifier, name=sealed_head.partition("\n")[0]))
    found = [_trusted(note, verifier) for note in (sealed_head, _newest_note(path)) if note]
    if sealed_head is not None and older is None and _trusted(sealed_head, verifier) is None:
        evidence = f"{SEALED_HEAD_NAME}-untrusted-{new_uuid7().hex()}"
        (directory / SEALED_HEAD_NAME).rename(directory / evidence)
    best = max((head for head in found if head), key=lambda head: head[1].size, default=older)
    if best is not None and best[0] != sealed_head:
        write_sealed_head(directory, best[0])
    return best


def _trusted(note: str, verifier: Verifier) -> tuple[str, Checkpoint] | None:
    try:
        return note, open_checkpoint(note, verifier)
    except NoteInvalid:
        return None


def _newest_note(path: Place) -> str | None:
    try:
        with snapshot(path) as db:
            row = db.execute(
                "SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1"
            ).fetchone()
    except LogUnavailable:
        return None
    return None if row is None else str(row[0])


def _begin(
    driver: Driver, directory: Path, following: Following, keys: LogKeys, *, without_holds: bool
) -> tuple[str, ...]:
    """Make the next shard, and give it its place in one step.

    Its first record tells what could not be carried over; so does what is returned.
    """

    def first(lost: Sequence[str]) -> Sealed:
        # Of a shard that is wholly gone there is nothing that anybody could still mend.
        wholly_gone = not {*STATE_TABLES} - NEWER_TABLES - {*lost}
        if HOLD_TABLE in lost and not wholly_gone and not without_holds:
            raise HoldsLost("the legal holds of the frozen shard cannot be read")
        telling = replace(following, lost=tuple(lost))
        return Sealer(following.origin, keys).seal(telling.record(keys))

    frozen = following.contradiction is not None
    lost = driver.begin(following.origin, first, frozen=frozen)
    thaw(directory)
    return tuple(lost)


def _newest_name(home: LogHome, sealed_head: str | None, begun: str | None) -> str:
    """Return the name of the newest shard; of one that is gone its sealed head or keys tell it."""
    if find_shards(home) or (sealed_head is None and begun is None):
        return shard_name(find_log(home))
    try:
        sealed = None if sealed_head is None else read_unsigned(sealed_head)
        name = str(begun) if sealed is None else sealed.origin.rpartition("/")[2]
        _next_name(name)
    except ValueError as invalid:
        raise LogUnavailable("the log is gone, and what it was called cannot be read") from invalid
    return name


def _next_name(name: str) -> str:
    """Return the name of the shard after `name`: this year's, or the next one of the same year."""
    year_text, _, number = name.partition("-")
    year = datetime.fromtimestamp(system_time_us() / 1_000_000, UTC).year
    if year > int(year_text):
        return str(year)
    return f"{year_text}-{int(number or 1) + 1}"
