"""Reads, compiles and applies a directory of configuration for the commands that take one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.administration import SuccessionRefused, apply_configuration
from gateway.audit.store import LogUnavailable
from gateway.cli.audit_log import console_reader
from gateway.cli.output import Exit, Stop
from gateway.clock import SystemClock
from gateway.database import DatabaseUnsuitable, open_engine
from gateway.refresh import SnapshotRefused, compile_snapshot
from gateway.registry.configuration import read_directory
from gateway.registry.documents import Configuration, ConfigurationInvalid
from gateway.registry.store import Changes, Registry, RegistryUnavailable
from gateway.settings import Settings

_BY = "concordat apply"


def read_checked(directory: Path) -> Configuration:
    """Return the configuration in `directory`, its agreements fit to be in force today.

    Raises:
        Stop: with every fault of every file.
    """
    try:
        return read_directory(directory, authored_at=SystemClock().now())
    except ConfigurationInvalid as invalid:
        mend = f"correct the {len(invalid.faults)} places above"
        raise Stop("\n".join(map(str, invalid.faults)), mend=mend, code=Exit.FAILED) from None


def check_directory(directory: Path, settings: Settings) -> Configuration:
    """Return what could be applied: everything in `directory` reads and compiles."""
    configuration = read_checked(directory)
    try:
        compile_snapshot(
            configuration,
            organisation=settings.organisation,
            public_base_url=settings.public_base_url,
            revision=0,
        )
    except SnapshotRefused as refused:
        mend = "nothing was changed; correct the places above"
        raise Stop("\n".join(refused.faults), mend=mend, code=Exit.FAILED) from None
    return configuration


def apply_directory(configuration: Configuration, settings: Settings) -> Mapping[str, Any]:
    """Make `configuration` the present one; tell what changed, as plain values.

    Raises:
        Stop: it would change what was signed, or could not be recorded; nothing has changed.
    """
    try:
        changes = apply_configuration(configuration, settings, by=_BY, who=console_reader())
    except SuccessionRefused as refused:
        mend = "nothing was changed; what was signed changes only by a new version"
        raise Stop("\n".join(refused.faults), mend=mend, code=Exit.FAILED) from None
    except LogUnavailable as unavailable:
        mend = "nothing was changed; `concordat doctor` says what is wrong with the audit log"
        raise Stop(str(unavailable), mend=mend, code=Exit.FAILED) from None
    return as_data(changes)


def as_data(changes: Changes) -> Mapping[str, Any]:
    """Return changes as plain values for programs."""
    return {
        "revision": changes.revision,
        "digest": changes.digest,
        "added": [f"{kind} {key}" for kind, key in changes.added],
        "changed": [f"{kind} {key}" for kind, key in changes.changed],
        "removed": [f"{kind} {key}" for kind, key in changes.removed],
    }


@contextmanager
def open_registry(settings: Settings) -> Iterator[Registry]:
    """Open the registry of a home for a command.

    Raises:
        Stop: it cannot be read.
    """
    try:
        engine = open_engine(settings.database_url, create=False)
    except DatabaseUnsuitable as unsuitable:
        raise Stop(str(unsuitable), mend="concordat doctor") from None
    try:
        yield Registry(engine)
    except RegistryUnavailable as unavailable:
        mend = f"concordat db upgrade --home {settings.home}"
        raise Stop(str(unavailable), mend=mend) from None
    finally:
        engine.dispose()
