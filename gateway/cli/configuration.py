"""Reads, compiles and applies a directory of configuration for the commands that take one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.administration import apply_configuration
from gateway.audit.store import LogUnavailable
from gateway.cli.output import Exit, Stop
from gateway.clock import SystemClock
from gateway.database import open_engine
from gateway.refresh import SnapshotRefused, compile_snapshot
from gateway.registry.authoring import succession_faults
from gateway.registry.configuration import read_directory
from gateway.registry.documents import Configuration, ConfigurationInvalid, Kind
from gateway.registry.store import Registry
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
    _check_succession(configuration, settings)
    try:
        changes = apply_configuration(configuration, settings, by=_BY)
    except LogUnavailable as unavailable:
        mend = "nothing was changed; `concordat doctor` says what is wrong with the audit log"
        raise Stop(str(unavailable), mend=mend, code=Exit.FAILED) from None
    return {
        "revision": changes.revision,
        "added": [f"{kind} {key}" for kind, key in changes.added],
        "changed": [f"{kind} {key}" for kind, key in changes.changed],
        "removed": [f"{kind} {key}" for kind, key in changes.removed],
    }


def _check_succession(configuration: Configuration, settings: Settings) -> None:
    engine = open_engine(settings.database_url)
    try:
        states = Registry(engine).newest(Kind.AGREEMENT)
    finally:
        engine.dispose()
    newest = {key: state.document for key, state in states.items()}
    faults = succession_faults(newest, configuration.agreements)
    if faults:
        mend = "nothing was changed; what was signed changes only by a new version"
        raise Stop("\n".join(faults), mend=mend, code=Exit.FAILED)
