"""The checks of `concordat doctor`: each one finding, with the line that mends it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway.audit.disk.doubt import is_in_doubt
from gateway.audit.freeze import frozen_reason
from gateway.audit.keys.log_keys import KeyFileUnusable, LogKeys
from gateway.audit.lifecycle.start import gone, hold_to_heads
from gateway.audit.note import Signer
from gateway.audit.place import Place, PostgresLog
from gateway.audit.reading.reader import find_log, shard_name, snapshot
from gateway.audit.sqlite import SEALED_STATE
from gateway.audit.store import LogFrozen, LogUnavailable
from gateway.audit.tree import read_sealed_head
from gateway.cli.configuration import compile_faults
from gateway.cli.finding import Finding, State, failed, ok, unknown
from gateway.cli.lost import had_log
from gateway.cli.neighbours import NTP, examine_neighbours
from gateway.cli.options import INIT
from gateway.cli.output import amount
from gateway.cli.postgres_checks import examine_postgres
from gateway.cli.registry_checks import examine_registry
from gateway.cli.siem_checks import examine_siem
from gateway.clock import monotonic_us, system_time_us
from gateway.data_plane import log_home, log_origin
from gateway.database import (
    DatabaseUnsuitable,
    check_sqlite_version,
    open_engine,
)
from gateway.demo.state import is_demo
from gateway.files import open_to_others
from gateway.registry.documents import Configuration
from gateway.registry.store import Registry, RegistryUnavailable
from gateway.settings import FILE_NAME, Settings, SettingsInvalid, home_of, load_settings
from gateway.stop_figures import WorkerFigures
from gateway.telemetry import live_workers

__all__ = ["Finding", "State", "examine"]

DISK_FREE_BYTES_MIN: Final = 1 << 30
"""Room that must be left for the audit log: without it nothing is exchanged."""
STOP_LIST_AGE_S_MAX: Final = 1.0
"""Age of a stop-list by which stops do not take effect in time any more."""
CLOCK_US_MIN: Final = 1_767_225_600_000_000
"""1 January 2026: a machine that believes in an earlier time has no time."""

_FROZEN: Final = "frozen"
_WAY_OUT: Final = "put back what is missing, or: concordat audit shard retire --reason TEXT"
_WAY_OUT_IN_POSTGRESQL: Final = (
    "put back the sealed-head, or recover the database to its newest moment, or:"
    " concordat audit shard retire --reason TEXT"
)


def examine(
    home: Path | None, *, disk_free_bytes_min: int = DISK_FREE_BYTES_MIN
) -> tuple[Finding, ...]:
    """Make every check of the home; those that need readable settings only where they are."""
    directory = home_of(home)
    if not directory.is_dir():
        return (failed("settings", f"{directory} is not there", INIT),)
    try:
        settings = load_settings(home)
    except SettingsInvalid as invalid:
        finding = failed("settings", " ".join(invalid.faults), f"edit {FILE_NAME} in the home")
        return (finding,)
    findings = [ok("settings", f"{settings.home} for {settings.organisation}")]
    findings.extend(check(settings) for check in (_files, _keys, _sqlite))
    findings.extend(examine_registry(settings))
    findings.extend(check(settings) for check in (_log, _clock))
    findings.extend(examine_postgres(settings))
    findings.append(_disk(settings, disk_free_bytes_min))
    findings.extend(examine_siem(settings))
    findings.extend(_configured(settings))
    return tuple(findings)


def _files(settings: Settings) -> Finding:
    """Check what is in the home, keys excepted: most of it names people."""
    home, log = settings.home, settings.audit_directory
    paths = [home, home / FILE_NAME, *sorted(home.glob("registry.db*"))]
    paths += [log, *sorted(log.glob("*")), home / "secrets", settings.run_directory]
    exposed = open_to_others(paths)
    if exposed:
        return _exposed("files", exposed)
    return ok("files", "settings, registry and audit log are their owner's alone")


def _keys(settings: Settings) -> Finding:
    folder = settings.keys_directory
    if not folder.is_dir():
        mend = f"cp -a COPY/keys {folder}, from your copy: the log cannot be signed without them"
        return failed("keys", f"{folder} is not there", mend)
    files = sorted(folder.iterdir())
    exposed = open_to_others([folder, *files])
    if exposed:
        return _exposed("keys", exposed)
    try:
        signer = LogKeys(folder).find_signer(log_origin(settings))
    except KeyFileUnusable as unusable:
        return failed("keys", str(unusable), f"cp -a COPY/keys/. {folder}, from your copy")
    if signer is None:
        mend = f"cp -a COPY/keys/. {folder}, from your copy: a new key would not fit the log"
        return failed("keys", "the key that signs the log is missing", mend)
    return ok("keys", f"{amount(len(files), 'key file')}, readable by their owner alone")


def _exposed(check: str, paths: tuple[Path, ...]) -> Finding:
    names = shlex.join(map(str, paths))
    return failed(check, f"others may use {names}", f"chmod go-rwx {names}")


def _sqlite(_settings: Settings) -> Finding:
    try:
        check_sqlite_version()
    except DatabaseUnsuitable as unsuitable:
        return failed("sqlite", str(unsuitable), "pip install --upgrade pysqlite3")
    return ok("sqlite", "a version without the WAL-reset bug")


def _log(settings: Settings) -> Finding:
    try:
        path = find_log(log_home(settings))
    except LogUnavailable as failure:
        return _no_log(failure, settings)
    mend = f"concordat audit verify --home {settings.home}"
    retire = f"concordat audit shard retire --reason TEXT --home {settings.home}"
    signer = _signer(settings)
    if signer is None:
        return unknown("audit log", "cannot be checked without its key", f"{mend}, once keys is ok")
    try:
        with snapshot(path) as db:
            sealed_head = read_sealed_head(settings.audit_directory)
            hold_to_heads(db, path, sealed_head, signer.verifier)
            size, state = db.execute("SELECT next_index, state FROM audit_head").fetchone()
    except LogFrozen as frozen:
        return failed("audit log", str(frozen), f"{mend}, then {_way_out(path)}")
    except LogUnavailable as failure:
        return failed("audit log", str(failure), mend)
    if state == _FROZEN or frozen_reason(path.parent) is not None:
        detail = "is frozen: it contradicted itself, and takes no records"
        return failed("audit log", detail, f"{mend}, then {_way_out(path)}")
    if is_in_doubt(path.parent):
        mend = f"dmesg, to see what the disk says, then concordat serve --home {settings.home}"
        return failed("audit log", "was left in doubt by an I/O error; a start recovers it", mend)
    if state == SEALED_STATE:
        return failed("audit log", "was ended, and no other was begun", retire)
    return ok("audit log", f"{amount(size, 'record')}; it fits the sealed head{_age(path)}")


def _no_log(failure: LogUnavailable, settings: Settings) -> Finding:
    """Tell a log that is gone, or cannot be asked, from one that there never was."""
    sealed_head, home = read_sealed_head(settings.audit_directory), f"--home {settings.home}"
    if not had_log(settings):
        return ok("audit log", "none yet: the first start makes it")
    retire = f"where there is none: concordat audit shard retire --reason TEXT {home}"
    if settings.audit_url is not None:
        mend = "see the finding on PostgreSQL; if the log is gone, recover the database to its"
        return failed("audit log", str(failure), f"{mend} newest moment; {retire}")
    back = f"concordat db restore COPY --only audit {home}"
    if sealed_head is not None:  # which an older copy must not go behind: this adds to what is left
        back = f"cp -a COPY/audit/. {settings.audit_directory}"
    mend = f"{back}, from your newest copy; {retire}"
    return failed("audit log", gone(sealed_head).removeprefix("the log "), mend)


def _way_out(place: Place) -> str:
    return _WAY_OUT_IN_POSTGRESQL if isinstance(place, PostgresLog) else _WAY_OUT


def _age(path: Place) -> str:
    """Return what is to be said of a shard that is not this year's: that is no fault."""
    year = datetime.fromtimestamp(system_time_us() / 1_000_000, UTC).year
    began = shard_name(path).partition("-")[0]
    return (
        "" if began >= str(year) else f"; begun in {began}: `concordat audit shard retire` is due"
    )


def _signer(settings: Settings) -> Signer | None:
    """Return the key that signs the log, where it is there and can be used; it makes none."""
    if not settings.keys_directory.is_dir():
        return None
    try:
        return LogKeys(settings.keys_directory).find_signer(log_origin(settings))
    except KeyFileUnusable:
        return None


def _clock(settings: Settings) -> Finding:
    now_us = system_time_us()
    if now_us < CLOCK_US_MIN:
        return failed("clock", "is years behind", NTP)
    try:
        with snapshot(find_log(log_home(settings))) as db:
            newest_us = db.execute("SELECT max(t) FROM audit_record").fetchone()[0] or 0
    except LogUnavailable:
        newest_us = 0
    if newest_us > now_us:
        return failed("clock", "is behind the newest record of the audit log", NTP)
    return ok("clock", "runs on from the newest record")


def _disk(settings: Settings, bytes_min: int) -> Finding:
    free_bytes = shutil.disk_usage(settings.home).free
    free = f"{free_bytes / (1 << 30):.1f} GiB free"
    if free_bytes < bytes_min:
        mend = f"du -xsh {settings.home}/* shows what takes the room: without some, nothing can be "
        return failed("disk", free, f"{mend}recorded or exchanged")
    return ok("disk", free)


def _configured(settings: Settings) -> Iterator[Finding]:
    """Check the configuration, that the workers enforce it, and what it points to."""
    home = f"--home {settings.home}"
    try:
        engine = open_engine(settings.database_url, create=False)
        try:
            revision, configuration = Registry(engine).load()
        finally:
            engine.dispose()
    except (RegistryUnavailable, DatabaseUnsuitable) as failure:
        mend = f"concordat doctor {home}, again, once registry is ok"
        yield unknown("configuration", str(failure), mend)
        return
    workers = live_workers(settings.run_directory)
    yield _stop_list(workers, settings)
    if not configuration.services:
        yield unknown("configuration", "nothing was applied yet", f"concordat apply DIR {home}")
        return
    yield _configuration(configuration, revision, workers, settings)
    loopback = is_demo(settings.home)
    yield from examine_neighbours(configuration, settings, allow_loopback_http=loopback)


def _stop_list(workers: tuple[WorkerFigures, ...], settings: Settings) -> Finding:
    """Check that every worker keeps reading what is stopped; at 5 s it refuses everything."""
    if not workers:
        return ok("stop-list", "no gateway of this home runs; workers read it before they serve")
    ages = {it.pid: (monotonic_us() - it.read_at_us) / 1_000_000 for it in workers}
    old = [pid for pid, age_s in ages.items() if age_s > STOP_LIST_AGE_S_MAX]
    if old:
        pids = " ".join(map(str, old))
        detail = f"not read for {max(ages.values()):.1f} s by the workers {pids}"
        mend = (
            f"concordat db upgrade --home {settings.home}; where it says that all is up to date: "
        )
        return failed("stop-list", detail, f"{mend}kill {pids}, and new workers start")
    slowest_s = max(it.slowest_us for it in workers) / 1_000_000
    detail = f"read {max(ages.values()):.1f} s ago by all of {amount(len(workers), 'worker')}"
    return ok("stop-list", f"{detail}; the slowest stop took {slowest_s:.2f} s")


def _configuration(
    configuration: Configuration,
    revision: int,
    workers: tuple[WorkerFigures, ...],
    settings: Settings,
) -> Finding:
    mend = f"concordat config check --home {settings.home}"
    faults = compile_faults(configuration, settings)
    if faults:
        more = f", and {amount(len(faults) - 1, 'fault')} more" if len(faults) > 1 else ""
        return failed("configuration", f"revision {revision}: {faults[0]}{more}", mend)
    behind = [str(it.pid) for it in workers if it.revision != revision]
    if behind:
        detail = f"revision {revision} is not enforced yet by the workers {' '.join(behind)}"
        return failed("configuration", detail, f"concordat doctor --home {settings.home}, again")
    total = sum(1 for _ in configuration.documents())
    enforced = f", enforced by {amount(len(workers), 'worker')}" if workers else ""
    return ok("configuration", f"revision {revision}: {amount(total, 'document')}{enforced}")
