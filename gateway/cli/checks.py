"""The checks of `concordat doctor`: each one finding, with the line that mends it."""

from __future__ import annotations

import asyncio
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import gateway
from connectors.base import Health
from connectors.http import HttpSettings, open_http
from gateway.audit.keys import LogKeys
from gateway.audit.reader import find_log, snapshot
from gateway.audit.store import LogFrozen, LogUnavailable
from gateway.audit.tree import check_heads, read_sealed_head
from gateway.cli.options import INIT
from gateway.clock import system_time_us
from gateway.data_plane import log_origin
from gateway.database import DatabaseUnsuitable, check_sqlite_version, open_engine, reading
from gateway.demo.channel import Channel, ChannelFailed
from gateway.demo.state import is_demo
from gateway.files import open_to_others
from gateway.registry.documents import Configuration
from gateway.registry.store import Registry, RegistryUnavailable
from gateway.settings import FILE_NAME, Settings, SettingsInvalid, home_of, load_settings

DISK_FREE_BYTES_MIN: Final = 1 << 30
"""Room that must be left for the audit log: without it nothing is exchanged."""
PROBE_TIMEOUT_S: Final = 5.0
CLOCK_US_MIN: Final = 1_767_225_600_000_000
"""1 January 2026: a machine that believes in an earlier time has no time."""

_OK: Final = 200
_MIGRATIONS: Final = Path(gateway.__file__).parent / "migrations"


class State(StrEnum):
    """What a check found."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: what it looked at, how it came out, and what mends it."""

    check: str
    state: State
    detail: str
    mend: str = ""


def examine(home: Path | None) -> tuple[Finding, ...]:
    """Make every check of the home; those that need readable settings only where they are."""
    directory = home_of(home)
    if not directory.is_dir():
        return (_failed("settings", f"{directory} is not there", INIT),)
    try:
        settings = load_settings(home)
    except SettingsInvalid as invalid:
        finding = _failed("settings", " ".join(invalid.faults), f"edit {FILE_NAME} in the home")
        return (finding,)
    findings = [_ok("settings", f"{settings.home} for {settings.organisation}")]
    checks = (_files, _keys, _sqlite, _migrations, _log, _clock, _disk)
    findings.extend(check(settings) for check in checks)
    findings.extend(_neighbours(settings))
    return tuple(findings)


def _ok(check: str, detail: str) -> Finding:
    return Finding(check=check, state=State.OK, detail=detail)


def _failed(check: str, detail: str, mend: str) -> Finding:
    return Finding(check=check, state=State.FAILED, detail=detail, mend=mend)


def _unknown(check: str, detail: str, mend: str) -> Finding:
    return Finding(check=check, state=State.UNKNOWN, detail=detail, mend=mend)


def _files(settings: Settings) -> Finding:
    """Check what is in the home, keys excepted: most of it names people."""
    home, log = settings.home, settings.audit_directory
    paths = [home, home / FILE_NAME, *sorted(home.glob("registry.db*"))]
    exposed = open_to_others([*paths, log, *sorted(log.glob("*")), settings.run_directory])
    if exposed:
        return _exposed("files", exposed)
    return _ok("files", "settings, registry and audit log are their owner's alone")


def _keys(settings: Settings) -> Finding:
    folder = settings.keys_directory
    if not folder.is_dir():
        return _failed("keys", f"{folder} is not there", "concordat init --help")
    files = sorted(folder.iterdir())
    exposed = open_to_others([folder, *files])
    if exposed:
        return _exposed("keys", exposed)
    return _ok("keys", f"{len(files)} key files, readable by their owner alone")


def _exposed(check: str, paths: tuple[Path, ...]) -> Finding:
    names = shlex.join(map(str, paths))
    return _failed(check, f"others may use {names}", f"chmod go-rwx {names}")


def _sqlite(_settings: Settings) -> Finding:
    try:
        check_sqlite_version()
    except DatabaseUnsuitable as unsuitable:
        return _failed("sqlite", str(unsuitable), "pip install --upgrade pysqlite3")
    return _ok("sqlite", "a version without the WAL-reset bug")


def _migrations(settings: Settings) -> Finding:
    mend = f"concordat db upgrade --home {settings.home}"
    newest = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    try:
        engine = open_engine(settings.database_url, create=False)
        with reading(engine) as connection:
            present = MigrationContext.configure(connection).get_current_revision()
        engine.dispose()
    except Exception as failure:  # noqa: BLE001 - whatever the driver says is the finding
        return _failed("registry", f"cannot be opened: {type(failure).__name__}", mend)
    if present != newest:
        return _failed("registry", f"schema {present or 'none'}, newest is {newest}", mend)
    return _ok("registry", f"schema {present}, the newest")


def _log(settings: Settings) -> Finding:
    keys = LogKeys(settings.keys_directory)
    try:
        path = find_log(settings.audit_directory)
    except LogUnavailable:
        return _ok("audit log", "none yet: the first start makes it")
    mend = f"concordat audit verify --home {settings.home}"
    verifier = keys.signer(log_origin(settings)).verifier
    try:
        with snapshot(path) as db:
            check_heads(db, read_sealed_head(path.parent), verifier)
            size = db.execute("SELECT next_index FROM audit_head").fetchone()[0]
    except LogFrozen as frozen:
        return _failed("audit log", str(frozen), mend)
    except LogUnavailable as failure:
        return _failed("audit log", str(failure), mend)
    return _ok("audit log", f"{size} records; it fits the sealed head")


def _clock(settings: Settings) -> Finding:
    now_us = system_time_us()
    mend = "set the clock, and keep it by NTP: timedatectl set-ntp true"
    if now_us < CLOCK_US_MIN:
        return _failed("clock", "is years behind", mend)
    try:
        with snapshot(find_log(settings.audit_directory)) as db:
            newest_us = db.execute("SELECT max(t) FROM audit_record").fetchone()[0] or 0
    except LogUnavailable:
        newest_us = 0
    if newest_us > now_us:
        return _failed("clock", "is behind the newest record of the audit log", mend)
    return _ok("clock", "runs on from the newest record")


def _disk(settings: Settings) -> Finding:
    free_bytes = shutil.disk_usage(settings.home).free
    free = f"{free_bytes / (1 << 30):.1f} GiB free"
    if free_bytes < DISK_FREE_BYTES_MIN:
        return _failed("disk", free, "make room: without it nothing can be recorded or exchanged")
    return _ok("disk", free)


def _neighbours(settings: Settings) -> Iterator[Finding]:
    """Check what the configuration points to: issuers' keys and services."""
    try:
        engine = open_engine(settings.database_url, create=False)
        _, configuration = Registry(engine).load()
        engine.dispose()
    except (RegistryUnavailable, DatabaseUnsuitable) as failure:
        yield _unknown(
            "configuration", str(failure), f"concordat db upgrade --home {settings.home}"
        )
        return
    if not configuration.services:
        mend = f"concordat apply DIR --home {settings.home}"
        yield _unknown("configuration", "nothing was applied yet", mend)
        return
    yield from _issuers(configuration)
    yield from asyncio.run(_services(configuration, loopback=is_demo(settings.home)))


def _issuers(configuration: Configuration) -> Iterator[Finding]:
    with Channel(timeout_s=PROBE_TIMEOUT_S) as channel:
        for issuer, document in configuration.issuers.items():
            yield _issuer(channel, issuer, document)


def _issuer(channel: Channel, issuer: str, document: Mapping[str, object]) -> Finding:
    url = str(document.get("metadata_url") or f"{issuer}/.well-known/oauth-authorization-server")
    try:
        keys = _keys_published(channel, url)
    except (ChannelFailed, ValueError) as failure:
        mend = "check the issuer's metadata_url, and that this host may reach it"
        return _failed("issuer", f"{issuer}: {failure}", mend)
    return _ok("issuer", f"{issuer}: {keys} keys")


def _keys_published(channel: Channel, metadata_url: str) -> int:
    metadata = _fetched(channel, metadata_url)
    keys = _fetched(channel, str(metadata.get("jwks_uri"))).get("keys")
    if not isinstance(keys, list) or not keys:
        raise ValueError("publishes no keys")
    return len(keys)


def _fetched(channel: Channel, url: str) -> Mapping[str, object]:
    answer = channel.send("GET", url)
    if answer.status != _OK:
        raise ValueError(f"{url} answers {answer.status}")
    value = answer.json()
    return value if isinstance(value, dict) else {}


async def _services(configuration: Configuration, *, loopback: bool) -> list[Finding]:
    findings = []
    for connector, document in configuration.services.items():
        health = await probe(str(document.get("base_url") or ""), loopback=loopback)
        if health.healthy:
            findings.append(_ok("service", f"{connector}: {health.detail}"))
        else:
            mend = "check the service's base_url, and that it runs"
            findings.append(_failed("service", f"{connector}: {health.detail}", mend))
    return findings


async def probe(base_url: str, *, loopback: bool) -> Health:
    """Try whether a service can be reached; `loopback` allows plain HTTP on this host."""
    try:
        settings = HttpSettings(base_url=base_url, allow_loopback=loopback)
        async with open_http(settings) as connector:
            return await connector.probe()
    except (OSError, ValueError) as failure:
        return Health(healthy=False, detail=str(failure))
