"""Reads, compiles and applies a directory of configuration for the commands that take one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.administration import SuccessionRefused, apply_configuration
from gateway.audit.store import LogUnavailable
from gateway.cli.audit_log import console_reader
from gateway.cli.changes import Comparison, as_data
from gateway.cli.output import Exit, Stop
from gateway.clock import SystemClock
from gateway.database import DatabaseUnsuitable, open_engine
from gateway.demo.state import is_demo
from gateway.refresh import SnapshotRefused, compile_snapshot
from gateway.registry.authoring import Examiner
from gateway.registry.configuration import read_directory
from gateway.registry.documents import Configuration, ConfigurationInvalid
from gateway.registry.export import export
from gateway.registry.store import Registry, RegistryUnavailable, changes_between
from gateway.settings import Settings
from policies.document import read_agreement

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
    faults = compile_faults(configuration, settings)
    if faults:
        mend = "nothing was changed; correct the places above"
        raise Stop("\n".join(faults), mend=mend, code=Exit.FAILED)
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
    except RegistryUnavailable as unavailable:
        mend = f"concordat doctor --home {settings.home}"
        raise Stop(f"nothing was changed: {unavailable}", mend=mend) from None
    return as_data(changes)


def check_present(settings: Settings) -> tuple[int, Configuration]:
    """Return the present configuration and its revision, where it can be enforced today.

    Raises:
        Stop: with every fault.
    """
    with open_registry(settings) as registry:
        revision, configuration = registry.load()
    faults = list(compile_faults(configuration, settings))
    if not faults:
        examiner, now = Examiner.of(configuration), SystemClock().now()
        for key, document in configuration.agreements.items():
            found = examiner.refusals(read_agreement(document), now)
            faults += [f"agreement {key}: {fault.message} [{fault.code}]" for fault in found]
    if faults:
        mend = "mend it in the files, and: concordat apply DIR"
        raise Stop("\n".join(faults), mend=mend, code=Exit.FAILED)
    return revision, configuration


def compare_directory(directory: Path, settings: Settings) -> Comparison:
    """Return what applying `directory` would change.

    Raises:
        Stop: it could not be applied, so that it cannot be told.
    """
    try:
        wanted = check_directory(directory, settings)
    except Stop as stop:
        raise Stop(str(stop), mend=stop.mend) from None
    with open_registry(settings) as registry:
        revision, present = registry.load()
    return Comparison.of(changes_between(revision, present, wanted), present, wanted)


def export_to(directory: Path, settings: Settings) -> tuple[int, tuple[Path, ...]]:
    """Write the present configuration into `directory`; return its revision and the files.

    Raises:
        Stop: something is there already.
    """
    if directory.exists() and any(directory.iterdir()):
        raise Stop(f"{directory} is not empty", mend="give a new or empty folder")
    with open_registry(settings) as registry:
        revision, configuration = registry.load()
    written = []
    for path, content in export(configuration):
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
        written.append(file)
    return revision, tuple(written)


def summary_of(settings: Settings) -> Mapping[str, Any]:
    """Return what is configured, in numbers: revision, documents by kind, and stops."""
    with open_registry(settings) as registry:
        revision, configuration = registry.load()
        stops = registry.stops()
    digest = changes_between(revision, configuration, configuration).digest
    counts = Counter(f"{kind}s" for kind, _, _ in configuration.documents())
    return {"revision": revision, "digest": digest, **counts, "stops": len(stops)}


def compile_faults(configuration: Configuration, settings: Settings) -> tuple[str, ...]:
    """Return why a configuration cannot be enforced by the gateway of `settings`, if so."""
    try:
        compile_snapshot(
            configuration,
            organisation=settings.organisation,
            public_base_url=settings.public_base_url,
            revision=0,
            allow_loopback=is_demo(settings.home),
        )
    except SnapshotRefused as refused:
        return refused.faults
    return ()


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
        mend = f"concordat doctor --home {settings.home}"
        raise Stop(str(unavailable), mend=mend) from None
    finally:
        engine.dispose()
