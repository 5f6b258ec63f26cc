"""Changes by an administrator, whole or not at all: each is on record before it is in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from gateway.audit.entry import SECTION_BYTES_MAX, Kind, Record
from gateway.audit.reading.reader import find_shards
from gateway.audit.search.access import Reader
from gateway.backup import Manifest
from gateway.clock import new_uuid7, system_time_us
from gateway.data_plane import log_home, open_audit_log
from gateway.database import DatabaseUnsuitable, open_engine
from gateway.registry.authoring import succession_faults
from gateway.registry.documents import Configuration
from gateway.registry.documents import Kind as DocumentKind
from gateway.registry.store import Changes, Registry, RegistryUnavailable, StopKind
from gateway.settings import Settings

NAMES_BYTES_RECORDED_MAX: Final = 16 * 1024
"""Bytes of document names kept in one record, for each way in which they changed."""
assert 3 * NAMES_BYTES_RECORDED_MAX < SECTION_BYTES_MAX  # noqa: S101 - or it could not be written
_PERSONAL: Final = frozenset({StopKind.CLIENT, StopKind.TOKEN})
"""Kinds whose keys lie in a sealed section of every exchange's records, and so here as well."""


class SuccessionRefused(Exception):
    """A change of what was signed; `faults` are sentences, each naming its agreement."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        """Keep every fault, so that all can be mended at once."""
        super().__init__("\n".join(faults))
        self.faults: Final = faults


def apply_configuration(
    configuration: Configuration, settings: Settings, *, by: str, who: Reader | None = None
) -> Changes:
    """Make `configuration` the present one, with an `admin.change` record of what changes.

    The record is durable before the change is: should the process die in between, the log names a
    change that did not happen, and never lacks one that did. `by` names the way in, or the
    principal of a program; `who`, a person, is sealed. What was signed is compared while nobody
    else can change the registry.

    Raises:
        SuccessionRefused: it would change a signed version of an agreement; nothing has changed.
        LogUnavailable: the change could not be recorded, so it was not made.
        RegistryUnavailable: the registry's database does not answer.
    """
    with _registry(settings) as registry:

        def record(changes: Changes) -> None:
            _check_succession(registry, configuration)
            _append(_change_record(_applied(changes, by), who), settings)

        return registry.apply(configuration, by=by, record=record)


def stop(
    settings: Settings,
    kind: StopKind,
    key: str,
    *,
    reason: str,
    by: str,
    who: Reader | None = None,
) -> bool:
    """Stop something at once, with an `admin.change` record; tell whether it was not stopped yet.

    Raises:
        LogUnavailable: the stop could not be recorded, so it was not made.
        RegistryUnavailable: the registry's database does not answer.
    """
    record = _stop_record("stop", settings, kind, key, reason=reason, by=by, who=who)
    with _registry(settings) as registry:
        return registry.stop(kind, key, reason=reason, by=by, record=record)


def resume(
    settings: Settings,
    kind: StopKind,
    key: str,
    *,
    reason: str,
    by: str,
    who: Reader | None = None,
) -> bool:
    """End a stop, with an `admin.change` record; tell whether there was one.

    Raises:
        LogUnavailable: it could not be recorded, so the stop stays.
        RegistryUnavailable: the registry's database does not answer.
    """
    record = _stop_record("resume", settings, kind, key, reason=reason, by=by, who=who)
    with _registry(settings) as registry:
        return registry.resume(kind, key, record=record)


def record_restore(
    settings: Settings, manifest: Manifest, files: tuple[str, ...], *, by: str, who: Reader | None
) -> None:
    """Record, as an `admin.change`, that a copy of this home was put back.

    The log is opened for it: it must fit its signed heads, as at every start.

    Raises:
        LogFrozen: the log contradicts a head that was signed.
        LogUnavailable: it cannot be opened or written.
    """
    core: dict[str, object] = {
        "verb": "restore",
        "copied_at_us": manifest.made_at_us,
        "revision": manifest.revision,
        "files": list(files),
        "by": by,
    }
    _append(_change_record(core, who), settings)


def record_registry_lost(settings: Settings, *, stops: int, by: str, who: Reader | None) -> None:
    """Record, as an `admin.change`, that an empty registry takes the place of one that was lost.

    `stops` is how many stops the log gave back to it.

    Raises:
        LogFrozen: the log contradicts a head that was signed.
        LogUnavailable: it cannot be opened or written.
    """
    _append(_change_record({"verb": "registry-lost", "stops": stops, "by": by}, who), settings)


def prepare_log(settings: Settings) -> bool:
    """Bring this home's audit log to this version's tables; tell whether there is one.

    Raises:
        LogFrozen: the log contradicts a head that was signed.
        LogUnavailable: it cannot be opened.
    """
    if not find_shards(log_home(settings)):
        return False
    asyncio.run(_open_and_close(settings))
    return True


@contextmanager
def _registry(settings: Settings) -> Iterator[Registry]:
    try:
        engine = open_engine(settings.database_url, create=False)
    except DatabaseUnsuitable as unsuitable:
        raise RegistryUnavailable(str(unsuitable)) from None
    try:
        yield Registry(engine)
    finally:
        engine.dispose()


def _check_succession(registry: Registry, configuration: Configuration) -> None:
    states = registry.newest(DocumentKind.AGREEMENT)
    newest = {key: state.document for key, state in states.items()}
    faults = succession_faults(newest, configuration.agreements)
    if faults:
        raise SuccessionRefused(faults)


def _applied(changes: Changes, by: str) -> dict[str, object]:
    """Return what is recorded of a change: its names, and a digest of all that is then present.

    Of very many names the first are kept, with how many there are; the digest vouches for the rest.
    """
    core: dict[str, object] = {
        "verb": "apply",
        "revision": changes.revision,
        "digest": changes.digest,
        "by": by,
    }
    for word in ("added", "changed", "removed"):
        names = [f"{kind} {key}" for kind, key in getattr(changes, word)]
        kept = list(_within(names, NAMES_BYTES_RECORDED_MAX))
        core[word] = kept
        if len(kept) < len(names):
            core[f"{word}_in_all"] = len(names)
    return core


def _within(names: list[str], bytes_max: int) -> Iterator[str]:
    room = bytes_max
    for name in names:
        room -= len(name.encode())
        if room < 0:
            return
        yield name


async def _open_and_close(settings: Settings) -> None:
    log = open_audit_log(settings, instance="administration")
    await log.start()
    await log.stop()


def _append(record: Record, settings: Settings) -> None:
    async def append() -> None:
        log = open_audit_log(settings, instance="administration")
        await log.start()
        try:
            await log.append(record)
        finally:
            await log.stop()

    asyncio.run(append())


def _stop_record(
    verb: str,
    settings: Settings,
    kind: StopKind,
    key: str,
    *,
    reason: str,
    by: str,
    who: Reader | None,
) -> Callable[[], None]:
    """Return what records a stop or its end; the reason, free text, is sealed."""
    core: dict[str, object] = {"verb": verb, "what": kind.value, "by": by}
    payload: dict[str, object] = {"reason": reason}
    (payload if kind in _PERSONAL else core)[kind.value] = key
    return lambda: _append(_change_record(core, who, payload), settings)


def _change_record(
    core: Mapping[str, object], who: Reader | None, payload: Mapping[str, object] | None = None
) -> Record:
    sections = {"core": core}
    if who is not None:
        sections["actor"] = {"principal": who.principal, "via": who.via.value}
    if payload:
        sections["payload"] = payload
    return Record(
        record_id=new_uuid7(),
        kind=Kind.CHANGE,
        exchange=None,
        at_us=system_time_us(),
        sections=sections,
    )
