"""Erases from a home's audit log, and adds, lists and releases legal holds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from gateway.audit.entry import CLEAR_SECTIONS, EntryInvalid, Kind, Record
from gateway.audit.holds import Hold, adding, new_hold, read_holds, releasing
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.log import AuditLog
from gateway.audit.people import Person, PersonInvalid, parse_person
from gateway.audit.place import home_of
from gateway.audit.privacy.erasable import Selection, Tally
from gateway.audit.privacy.erase import Order, count, empty_wal_in_time, erase, holds_of
from gateway.audit.reading.reader import find_shards, snapshot
from gateway.audit.search.access import look_record
from gateway.audit.search.follow import index_anew
from gateway.audit.search.query import in_log_time
from gateway.audit.store import HoldAdded, HoldReleased, LogUnavailable, Overtaken
from gateway.cli.audit_log import console_reader, log_of, not_recordable
from gateway.cli.audit_options import identifier, person_typed
from gateway.cli.configuration import open_registry
from gateway.cli.output import Exit, Stop
from gateway.clock import new_uuid7, system_time_us, uuid_text
from gateway.data_plane import open_audit_log
from gateway.registry.documents import Kind as DocumentKind
from gateway.registry.retention import agreements_on_hold
from gateway.settings import Settings
from policies.reading import nearest

SECTIONS: Final = ("actor", "net", "payload", "subject")
"""Sealed sections, which are the classes of retention."""

_REASON: Final = re.compile(r"[A-Z][A-Z0-9_]{1,63}")
_DOCTOR: Final = "concordat doctor"

T = TypeVar("T")


def read_selection(
    *, person: str | None, exchange: str | None, before: str | None, classes: list[str]
) -> Selection:
    """Return what a command line selects; raises Stop where that is not one clear thing."""
    given = [one for one in (person, exchange, before) if one is not None]
    if len(given) != 1:
        raise Stop("say what to erase", mend="one of --person, --exchange or --before")
    for name in classes:
        if name in CLEAR_SECTIONS:
            raise Stop(f"{name} names no person and is kept as long as the log", mend=_classes())
        if name not in SECTIONS:
            raise Stop(f"there is no class {name!r}{nearest(name, SECTIONS)}", mend=_classes())
    if before is not None and not classes:
        raise Stop("say which sections of the older records to erase", mend=_classes())
    return Selection(
        person=None if person is None else _person(person),
        exchange=None if exchange is None else identifier(exchange),
        before_us=None if before is None else _midnight_us(before),
        sections=frozenset(classes) or None,
    )


def read_target(
    *, person: str | None, exchange: str | None, agreement: str | None
) -> bytes | str | Person:
    """Return what a hold is to be on; raises Stop where that is not one clear thing."""
    given = [one for one in (person, exchange, agreement) if one is not None]
    if len(given) != 1:
        raise Stop("say what to hold", mend="one of --exchange, --agreement or --person")
    if person is not None:
        return _person(person)
    return identifier(exchange) if exchange is not None else given[0]


def read_reason(reason: str) -> str:
    """Return a reason code; raises Stop for free text, which could name somebody."""
    if _REASON.fullmatch(reason) is None:
        mend = "--reason CODE, capitals and underscores such as RETENTION_EXPIRED; "
        raise Stop(
            "the reason stays readable, so it is a code", mend=mend + "free text: --authority"
        )
    return reason


def would_erase(settings: Settings, selection: Selection) -> Tally:
    """Return what an erasure would do; that somebody looked is recorded first."""
    agreements = _agreements_on_hold(settings)
    look = look_record(console_reader(), "count", _asked(selection))

    async def run(log: AuditLog) -> Tally:
        await log.append(look)
        keys = LogKeys(settings.keys_directory)
        holds, tally = holds_of(log.path, keys), Tally()
        for shard in find_shards(home_of(log.path)):
            tally += await asyncio.to_thread(count, shard, keys, selection, holds, agreements)
        return tally

    return _with_log(settings, run)


def erase_now(
    settings: Settings, selection: Selection, *, reason: str, authority: str
) -> tuple[Tally, bool]:
    """Erase a selection; also tell whether no file holds the old keys any more."""
    agreements = _agreements_on_hold(settings)
    order = Order(reason=reason, who=console_reader(), authority=authority)

    async def run(log: AuditLog) -> tuple[Tally, bool]:
        keys, tally, scrubbed = LogKeys(settings.keys_directory), Tally(), True
        for shard in find_shards(home_of(log.path)):
            try:
                found = await erase(log, keys, selection, order, agreements=agreements, shard=shard)
            except Overtaken:
                mend = "run the command again: it goes on where it was; what is done is on record"
                changed = "a legal hold or a key was changed meanwhile"
                raise Stop(changed, mend=mend, code=Exit.FAILED) from None
            tally += found
            if found.records and shard != log.path:
                await asyncio.to_thread(index_anew, shard, keys)
            scrubbed &= await asyncio.to_thread(empty_wal_in_time, shard)
        return tally, scrubbed

    return _with_log(settings, run)


def add_hold(
    settings: Settings, target: bytes | str | Person, *, reason: str, authority: str
) -> Hold:
    """Put a legal hold in force; on an agreement that never was, it is refused."""
    if isinstance(target, str):
        with open_registry(settings) as registry:
            known = registry.newest(DocumentKind.AGREEMENT)
        if target not in known:
            raise Stop(
                f"there is no agreement {target!r}{nearest(target, known)}", code=Exit.FAILED
            )
    hold = new_hold(target, reason)
    change = adding(hold, LogKeys(settings.keys_directory).state_key())
    _change_holds(settings, "hold", hold, change, reason=reason, authority=authority)
    return hold


def release_hold(settings: Settings, hold_id: str, *, reason: str, authority: str) -> Hold:
    """End a legal hold; raises Stop where there is none of this id."""
    wanted = identifier(hold_id)
    found = next((one for one in list_holds(settings) if one.id == wanted), None)
    if found is None:
        mend = "concordat audit hold list"
        raise Stop(f"there is no legal hold {hold_id}", mend=mend, code=Exit.FAILED)
    change = releasing(found)
    _change_holds(settings, "release", found, change, reason=reason, authority=authority)
    return found


def list_holds(settings: Settings) -> tuple[Hold, ...]:
    """Return the legal holds of the log; that somebody looked is recorded first."""

    async def run(log: AuditLog) -> tuple[Hold, ...]:
        await log.append(look_record(console_reader(), "holds", {}))
        with snapshot(log.path) as db:
            return read_holds(db, LogKeys(settings.keys_directory).state_key()).holds

    return _with_log(settings, run)


def hold_data(hold: Hold) -> Mapping[str, Any]:
    """Return a hold as plain values; a person's identifier is shown to whoever may list holds."""
    target = hold.target
    if isinstance(target, Person):
        named = f"{target.id_type}:{target.normalised_id}"
    else:
        named = uuid_text(target) if isinstance(target, bytes) else target
    return {
        "id": uuid_text(hold.id),
        "kind": hold.kind.value,
        "target": named,
        "reason": hold.reason,
        "since_us": hold.since_us,
    }


def _change_holds(
    settings: Settings,
    verb: str,
    hold: Hold,
    change: tuple[HoldAdded | HoldReleased],
    *,
    reason: str,
    authority: str,
) -> None:
    who = console_reader()
    core: dict[str, object] = {
        "verb": verb, "what": hold.kind.value, "hold": uuid_text(hold.id), "reason": reason,
    }  # fmt: skip
    sections: dict[str, Mapping[str, object]] = {
        "core": core,
        "actor": {"principal": who.principal, "via": who.via.value},
        "payload": {"authority": authority},
    }
    if isinstance(hold.target, Person):
        sections["subject"] = {"type": hold.target.id_type, "ids": [hold.target.normalised_id]}
    else:
        core[hold.kind.value] = hold_data(hold)["target"]
    record = Record(
        record_id=new_uuid7(),
        kind=Kind.CHANGE,
        exchange=None,
        at_us=system_time_us(),
        sections=sections,
    )

    async def run(log: AuditLog) -> None:
        try:
            await log.append(record, counters=change)
        except Overtaken:
            raise Stop("somebody else has released this hold", code=Exit.FAILED) from None

    _with_log(settings, run)


def _with_log(settings: Settings, work: Callable[[AuditLog], Awaitable[T]]) -> T:
    """Do something with the log open for appending; raises Stop where it cannot be."""

    async def run() -> T:
        log = open_audit_log(settings, instance="cli")
        await log.start()
        try:
            return await work(log)
        finally:
            await log.stop()

    log_of(settings)
    try:
        return asyncio.run(run())
    except LogUnavailable as failure:
        raise Stop(f"the audit log does not answer: {failure}", mend=_DOCTOR) from None
    except EntryInvalid as invalid:
        raise not_recordable(invalid) from None


def _asked(selection: Selection) -> Mapping[str, object]:
    """Return what a count was of, for a sealed section."""
    asked: dict[str, object] = {"by": selection.by}
    if selection.person is not None:
        asked["person"] = ":".join(selection.person)
    if selection.exchange is not None:
        asked["exchange"] = uuid_text(selection.exchange)
    if selection.before_us is not None:
        asked["before"] = selection.before_us
    return asked


def _agreements_on_hold(settings: Settings) -> frozenset[str]:
    with open_registry(settings) as registry:
        return agreements_on_hold(registry)


def _person(text: str) -> Person:
    try:
        return parse_person(person_typed(text))
    except PersonInvalid as invalid:
        raise Stop(str(invalid), mend="--person nhs_number:9990000018") from None


def _midnight_us(text: str) -> int:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise Stop(f"{text} is no date", mend="--before 2026-04-01: midnight, UTC") from None
    return in_log_time(int(day.timestamp()) * 1_000_000)


def _classes() -> str:
    return f"--class {' | '.join(SECTIONS)}"
