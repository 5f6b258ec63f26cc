"""Ending a shard of the log and beginning the next, by an operator's explicit act.

A shard is ended whole: no exchange is open in it, its last record is `log.seal`, and a last
checkpoint covers that. The next one's first record carries this checkpoint, so that the chain of
shards is as hard to change as one shard is. A frozen log is left as it is: nothing can be added to
it, and the next shard's first record says for ever what was wrong.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.carry import HOLD_TABLE, STATE_TABLES, carry
from gateway.audit.doubt import is_in_doubt
from gateway.audit.entry import Kind, Record
from gateway.audit.freeze import thaw
from gateway.audit.incident import Incident, opening_record
from gateway.audit.instances import instances_of, is_alive
from gateway.audit.integrate import Integrator
from gateway.audit.keys import LogKeys, sync_directory
from gateway.audit.locks import FileLock
from gateway.audit.merkle import EMPTY_ROOT
from gateway.audit.note import Checkpoint, NoteInvalid, Verifier, open_checkpoint, read_unsigned
from gateway.audit.opened import open_log
from gateway.audit.place import LogHome, Place
from gateway.audit.reader import find_shards, shard_name, snapshot
from gateway.audit.recovery import recover, write_alone
from gateway.audit.seal import Sealer
from gateway.audit.sqlite import (
    LOCK_NAME,
    PRIMARY_CODE,
    database_path,
    failure_of,
    open_database,
    open_for_reading,
    provision,
)
from gateway.audit.store import LogFrozen, LogUnavailable
from gateway.audit.sweep import Sweeper
from gateway.audit.tree import SEALED_HEAD_NAME, check_heads, read_sealed_head, write_sealed_head
from gateway.clock import new_uuid7, system_time_us

SEALED_STATE: Final = "sealed"
_FROZEN_STATE: Final = "frozen"
_DRAFT_FOLDER: Final = "next"
_SPOILT: Final = frozenset({sqlite.SQLITE_ERROR, sqlite.SQLITE_CORRUPT, sqlite.SQLITE_NOTADB})


class ShardBusy(Exception):
    """A shard cannot be ended while processes have the log open or exchanges are under way."""


class HoldsLost(Exception):
    """The legal holds of a frozen shard cannot be read, and nobody has said to go on without."""


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
    directory: Path,
    *,
    host: str,
    keys: LogKeys,
    reason: str,
    actor: Mapping[str, str],
    without_holds: bool = False,
) -> Retired:
    """End the newest shard of the log of `host` and begin the next; the gateway must be stopped.

    `reason` and `actor`, who does it, go into both shards' records. What was begun and cut short is
    carried on by the next call. Raises ShardBusy; HoldsLost where a shard can be read but for its
    legal holds, unless told to go on `without_holds`; LogUnavailable where there is no log, or its
    store fails.
    """
    shards = find_shards(directory)
    sealed_head = read_sealed_head(directory)
    if not shards and sealed_head is None:
        raise LogUnavailable(f"there is no audit log in {directory}")
    if _is_in_use(directory):
        raise ShardBusy("processes have the audit log open: stop the gateway first")
    name = shard_name(shards[-1]) if shards else _name_in(sealed_head or "")
    origin = f"{host}/audit/{name}"
    signer, path = keys.signer(origin), database_path(directory, origin)
    contradiction = _contradiction(path, sealed_head, signer.verifier)
    incident = None
    if contradiction is None:
        thaw(directory)
        if _state(path) != SEALED_STATE:
            await _close_orphans(directory, origin=origin, keys=keys)
        elif is_in_doubt(directory):  # an earlier call failed after this step
            recover(path, None)
            incident = Incident.IO_ERROR
        _seal(path, Sealer(origin, keys), reason=reason, actor=actor)
        _integrate(directory, origin=origin, keys=keys)
    head = _last_head(path, directory, signer.verifier)
    following = Following(
        origin=f"{host}/audit/{_next_name(name)}",
        previous=head[0] if head else None,
        reason=reason,
        contradiction=contradiction,
        incident=incident,
        actor=actor,
    )
    lost = _begin(directory, following, path, keys, without_holds=without_holds)
    return Retired(
        origin=origin,
        head=head[1] if head else None,
        next_origin=following.origin,
        contradiction=contradiction,
        lost=lost,
    )


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


def _contradiction(path: Path, sealed_head: str | None, verifier: Verifier) -> str | None:
    """Return why nothing can be added to a shard, or None if it is well."""
    if not path.exists():
        return "the log is gone, though a head of it was sealed"
    try:
        db = open_for_reading(path)
        try:
            db.execute("BEGIN")
            check_heads(db, sealed_head, verifier)
            state = db.execute("SELECT state FROM audit_head").fetchone()[0]
        finally:
            db.close()
    except LogFrozen as frozen:
        return str(frozen)
    except sqlite.Error as broken:
        # What a disk or a lock refuses now may be there at the next try: only a file that SQLite
        # has read, and that is no log, is given up.
        if (getattr(broken, "sqlite_errorcode", None) or 0) & PRIMARY_CODE not in _SPOILT:
            raise failure_of(broken, path.parent) from broken
        return f"the audit log cannot be read: {broken}"
    return "the log was frozen earlier" if state == _FROZEN_STATE else None


def _state(path: Path) -> str:
    with snapshot(path) as db:
        return str(db.execute("SELECT state FROM audit_head").fetchone()[0])


async def _close_orphans(directory: Path, *, origin: str, keys: LogKeys) -> None:
    """Close what dead processes left open: a shard is ended with no exchange under way."""
    log = open_log(directory, origin=origin, instance="retire", keys=keys)
    await log.start()
    sweeper = Sweeper(log)
    try:
        while await sweeper.sweep():
            pass
    finally:
        sweeper.close()
        await log.stop()


def _seal(path: Path, sealer: Sealer, *, reason: str, actor: Mapping[str, str]) -> None:
    """Write `log.seal` and take no record after it, in one transaction."""
    record = Record(
        record_id=new_uuid7(),
        kind=Kind.SEAL,
        exchange=None,
        at_us=system_time_us(),
        sections={"core": {"reason": reason}, "actor": actor},
    )
    lock = FileLock(path.parent / LOCK_NAME)
    db = open_database(path)
    try:
        with lock:
            if db.execute("SELECT state FROM audit_head").fetchone()[0] == SEALED_STATE:
                return  # an earlier call was cut short after this step
            still_open = db.execute("SELECT count(*) FROM audit_open").fetchone()[0]
            if still_open:
                raise ShardBusy(f"{still_open} exchanges are still open")
            write_alone(db, sealer.seal(record), state=SEALED_STATE)
    except sqlite.Error as broken:
        raise failure_of(broken, path.parent) from broken
    finally:
        db.close()
        lock.close()


def _integrate(directory: Path, *, origin: str, keys: LogKeys) -> None:
    integrator = Integrator(directory, origin=origin, keys=keys)
    try:
        while integrator.step():
            pass
    finally:
        integrator.close()


def _last_head(path: Path, directory: Path, verifier: Verifier) -> tuple[str, Checkpoint] | None:
    """Return the largest head of a shard that this gateway signed, as its note and its content.

    It becomes the sealed head until the next shard has one. One that is not to be trusted is kept
    aside, as evidence.
    """
    sealed_head = read_sealed_head(directory)
    found = [_trusted(note, verifier) for note in (sealed_head, _newest_note(path)) if note]
    if sealed_head is not None and _trusted(sealed_head, verifier) is None:
        evidence = f"{SEALED_HEAD_NAME}-untrusted-{new_uuid7().hex()}"
        (directory / SEALED_HEAD_NAME).rename(directory / evidence)
    best = max((head for head in found if head), key=lambda head: head[1].size, default=None)
    if best is not None and best[0] != sealed_head:
        write_sealed_head(directory, best[0])
    return best


def _trusted(note: str, verifier: Verifier) -> tuple[str, Checkpoint] | None:
    try:
        return note, open_checkpoint(note, verifier)
    except NoteInvalid:
        return None


def _newest_note(path: Path) -> str | None:
    try:
        with snapshot(path) as db:
            row = db.execute(
                "SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1"
            ).fetchone()
    except LogUnavailable:
        return None
    return None if row is None else str(row[0])


def _is_in_use(directory: Path) -> bool:
    try:
        return any(is_alive(directory, path.name) for path in instances_of(directory))
    except FileNotFoundError:  # a log that was copied here, and that nobody has opened since
        return False


def _begin(
    directory: Path, following: Following, ended: Path, keys: LogKeys, *, without_holds: bool
) -> tuple[str, ...]:
    """Make the next shard whole, under another name, and give it its place in one step.

    Its first record tells what could not be carried over; so does what is returned.
    """
    draft, lost = directory / _DRAFT_FOLDER, tuple[str, ...]()
    while True:
        shutil.rmtree(draft, ignore_errors=True)
        telling = replace(following, lost=lost)
        made, failed = _make(draft, telling, ended, Sealer(following.origin, keys), keys)
        if not failed:
            break
        lost += failed
        # Of a shard that is wholly gone there is nothing that anybody could still mend.
        if HOLD_TABLE in lost and len(lost) < len(STATE_TABLES) and not without_holds:
            shutil.rmtree(draft, ignore_errors=True)
            raise HoldsLost("the legal holds of the frozen shard cannot be read")
    made.rename(directory / made.name)
    sync_directory(directory)
    shutil.rmtree(draft, ignore_errors=True)
    thaw(directory)
    return lost


def _make(
    draft: Path, following: Following, ended: Path, sealer: Sealer, keys: LogKeys
) -> tuple[Path, tuple[str, ...]]:
    """Make the next shard in a folder of its own; return what could not be carried, untold yet."""
    try:
        made = provision(draft, following.origin, sealer.seal(following.record(keys)), EMPTY_ROOT)
        db = open_database(made)
        try:
            tables = [table for table in STATE_TABLES if table not in following.lost]
            return made, carry(ended, db, tables, frozen=following.contradiction is not None)
        finally:
            db.close()  # the last connection: what is in the WAL goes into the file
    except sqlite.Error as broken:
        raise LogUnavailable(f"the next shard cannot be made: {broken}") from broken


def _name_in(sealed_head: str) -> str:
    try:
        return read_unsigned(sealed_head).origin.rpartition("/")[2]
    except NoteInvalid as invalid:
        raise LogUnavailable("the log is gone, and its sealed head cannot be read") from invalid


def _next_name(name: str) -> str:
    """Return the name of the shard after `name`: this year's, or the next one of the same year."""
    year_text, _, number = name.partition("-")
    year = datetime.fromtimestamp(system_time_us() / 1_000_000, UTC).year
    if year > int(year_text):
        return str(year)
    return f"{year_text}-{int(number or 1) + 1}"
