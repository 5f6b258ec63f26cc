"""`concordat db upgrade|backup|restore`: brings databases up to date, copies them, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, Stop, amount, line, show_json, tell
from gateway.cli.progress import progress

if TYPE_CHECKING:
    from gateway.backup import Manifest, Restored
    from gateway.settings import Settings

database = typer.Typer(
    no_args_is_help=True, help="Look after the databases: upgrade, copies, and putting them back."
)

POSTGRESQL: Final = (
    "The registry is a PostgreSQL database: copy it with pg_dump, or by point-in-time recovery."
)


POSTGRESQL_LOG: Final = (
    "The audit log is in PostgreSQL: after this copy, copy it with pg_dump, or by point-in-time "
    "recovery."
)


@database.command("upgrade")
def upgrade(
    home: Home = None,
    registry_lost: Annotated[
        bool,
        typer.Option(
            "--registry-lost",
            help="Make an empty registry in place of a lost one, of which there is no copy; "
            "recorded, and what the audit log has as stopped is stopped again.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the registry and the audit log to this version's tables; safe to repeat.

    No empty registry is made (exit 1) where the audit log has changes of one: it was lost.
    """
    from gateway.administration import prepare_log
    from gateway.audit.store import LogUnavailable

    settings = settings_of(home)
    changed = _begin_registry(settings) if registry_lost else _upgrade_present(settings)
    try:
        log = prepare_log(settings)
    except LogUnavailable as unavailable:
        mend = f"concordat doctor --home {settings.home}"
        said = f"the registry is up to date; the audit log is not: {unavailable}"
        raise Stop(said, mend=mend, code=Exit.FAILED) from None
    if as_json:
        show_json({"upgraded": True, "registry_changed": changed, "audit_log": log})
        return
    line("The registry's database is up to date.")
    if log:
        line("The audit log is up to date.")


def _upgrade_present(settings: Settings) -> bool:
    """Upgrade a registry that is there, or make a home's first one; tell whether that changed it.

    Raises:
        Stop: it was lost, or its database does not answer.
    """
    from gateway.cli.lost import refuse_lost
    from gateway.database import DatabaseUnsuitable

    try:
        refuse_lost(settings)
    except DatabaseUnsuitable as unsuitable:
        raise Stop(str(unsuitable), code=Exit.FAILED) from None
    return upgrade_registry(settings)


def _begin_registry(settings: Settings) -> bool:
    """Make a lost registry anew, and say which stops the log gave back; raises Stop."""
    from gateway.cli.lost import begin_registry
    from gateway.database import DatabaseUnsuitable
    from gateway.registry.store import RegistryUnavailable

    try:
        recorded = begin_registry(settings, upgrade_registry)
    except (DatabaseUnsuitable, RegistryUnavailable, OSError) as failure:
        mend = f"concordat doctor --home {settings.home}"
        said = f"the registry cannot be made anew: {failure}"
        raise Stop(said, mend=mend, code=Exit.FAILED) from None
    tell(f"{amount(len(recorded.stopped), 'stop')} taken over from the audit log:")
    tell(f"  concordat stop list --home {settings.home}")
    if recorded.unreadable:
        tell(f"Of clients or tokens, {recorded.unreadable} more cannot be named any more: their")
        tell("sealed names have expired, or keys are missing. Stop again whom you know of.")
    return True


def upgrade_registry(settings: Settings) -> bool:
    """Bring the registry to the newest schema; tell whether it did not have it.

    Raises:
        Stop: its database does not answer, or is of a later version.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from gateway.database import DatabaseUnsuitable, open_engine, sentence_of
    from gateway.database import upgrade as upgrade_schema

    try:
        engine = open_engine(settings.database_url)
        try:
            return upgrade_schema(engine)
        finally:
            engine.dispose()
    except DatabaseUnsuitable as unsuitable:
        raise Stop(str(unsuitable), code=Exit.FAILED) from None
    except SQLAlchemyError as failure:
        said = sentence_of(failure, settings.database_url)
        mend = f"concordat doctor --home {settings.home}"
        raise Stop(f"the registry's database does not answer: {said}", mend=mend) from None


@database.command("backup")
def backup(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", file_okay=False, help="Folder for the copy; it must be new or empty."
        ),
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Copy the registry, the audit log and the settings into DIR, as of one moment each.

    The gateway may run meanwhile. Keys and secrets for services are not copied but named: keep
    them in another place, since whoever has both reads everything. A PostgreSQL database is copied
    with its own tools.
    """
    from gateway.audit.store import LogUnavailable
    from gateway.backup import BackupUnusable, back_up
    from gateway.files import DirectoryUnsafe
    from gateway.registry.store import RegistryUnavailable

    settings = settings_of(home)
    try:
        with progress("Copying", enabled=not as_json) as told:
            made = back_up(settings, directory, told)
    except (BackupUnusable, DirectoryUnsafe) as unusable:
        raise Stop(str(unusable), mend="give a new or empty folder") from None
    except (LogUnavailable, RegistryUnavailable, OSError) as failure:
        mend = f"concordat doctor --home {settings.home}"
        raise Stop(f"there is no copy: {failure}", mend=mend, code=Exit.FAILED) from None
    if as_json:
        show_json({"directory": str(directory.absolute()), **_as_data(made)})
        return
    for sentence in _held(made):
        line(sentence)
    if made.revision is None:
        line(POSTGRESQL)
    if settings.audit_url is not None:
        line(POSTGRESQL_LOG)
    elif not made.shards:
        line("There is no audit log in the home yet, so that the copy has none.")
    line("Not in the copy; keep them in another place, readable by as few:")
    line(f"  {settings.keys_directory}: {amount(len(made.keys), 'key')}")
    line(f"  {settings.secrets_directory}: {amount(len(made.secrets), 'secret')} for services")


@database.command("restore")
def restore(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", exists=True, file_okay=False, help="Folder that `db backup` has made."
        ),
    ],
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            metavar="PART",
            help="Put back one part alone: registry, or audit.",
            show_default=False,
        ),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Put a copy back into a home whose gateway does not run.

    Refused (exit 1) where the home holds anything newer: an audit log with records that the copy
    lacks, a sealed head that it does not reach, a later configuration, a stop. What was there is
    moved aside, never deleted, and that a copy was put back is recorded in the audit log.
    """
    settings = settings_of(home)
    manifest, restored = _put_back(settings, directory, only, quiet=as_json)
    _finish(settings, manifest, restored.files)
    if as_json:
        kept_in = str(restored.kept_in) if restored.kept_in else None
        missing = list(restored.missing_keys)
        show_json({"files": list(restored.files), "kept_in": kept_in, "missing_keys": missing})
        return
    line(f"Put back: {', '.join(restored.files)}")
    if restored.kept_in is not None:
        line(f"What was there before is in {restored.kept_in}")
    if restored.missing_keys:
        names = ", ".join(restored.missing_keys)
        line(f"Keys that were there when the copy was made, and are not now: {names}")
    at = datetime.fromtimestamp(manifest.made_at_us / 1_000_000, UTC)
    line(f"The copy is of {at:%Y-%m-%d %H:%M:%S} UTC. What was changed or stopped since is not in")
    line("its registry: look in your files, and at `concordat stop list`, before you serve.")
    line(f"Next: concordat doctor --home {settings.home}")


def _put_back(
    settings: Settings, directory: Path, part: str | None, *, quiet: bool
) -> tuple[Manifest, Restored]:
    """Check the copy and the home, and put the copy back; raises Stop where it is refused."""
    from gateway.audit.store import LogUnavailable
    from gateway.backup import (
        BackupUnusable,
        Part,
        RestoreRefused,
        check_restorable,
        only,
        put_back,
        read_manifest,
    )
    from gateway.presence import GatewayRuns, Role, check_alone, present

    if part is not None and part not in set(Part):
        raise Stop(f"there is no part {part!r}", mend="--only registry, or --only audit")
    try:
        with progress("Checking", enabled=not quiet) as told:
            manifest = read_manifest(directory, told)
        if part is not None:
            manifest = only(Part(part), manifest)
        check_alone(settings.run_directory)
        with present(settings.run_directory, Role.CONTROL):
            check_restorable(settings, directory, manifest)
            return manifest, put_back(settings, directory, manifest)
    except BackupUnusable as unusable:
        raise Stop(str(unusable), mend="give another copy", code=Exit.FAILED) from None
    except GatewayRuns as runs:
        mend = f"kill {' '.join(map(str, runs.pids))}, and again once they have ended"
        raise Stop(f"nothing was changed: {runs}", mend=mend, code=Exit.FAILED) from None
    except RestoreRefused as refused:
        mend = "nothing was changed; --only registry or --only audit puts one part back"
        raise Stop(str(refused), mend=mend, code=Exit.FAILED) from None
    except (LogUnavailable, OSError) as failure:
        mend = f"concordat doctor --home {settings.home}"
        raise Stop(f"the copy was not put back: {failure}", mend=mend, code=Exit.FAILED) from None


def _finish(settings: Settings, manifest: Manifest, files: tuple[str, ...]) -> None:
    """Bring the schema up to date, and record what was done."""
    from gateway.administration import record_restore
    from gateway.audit.store import LogUnavailable
    from gateway.cli.audit_log import console_reader

    if manifest.revision is not None:
        upgrade_registry(settings)
    try:
        record_restore(settings, manifest, files, by="concordat db restore", who=console_reader())
    except LogUnavailable as failure:
        mend = f"concordat doctor --home {settings.home}"
        said = f"the copy was put back, which could not be recorded: {failure}"
        raise Stop(said, mend=mend, code=Exit.FAILED) from None


def _held(made: Manifest) -> list[str]:
    held = [] if made.revision is None else [f"Registry: revision {made.revision}"]
    return held + [
        f"Audit log: {amount(shard.records, 'record')} of {shard.origin}" for shard in made.shards
    ]


def _as_data(made: Manifest) -> dict[str, object]:
    shards = [{"file": it.file, "origin": it.origin, "records": it.records} for it in made.shards]
    return {
        "made_at_us": made.made_at_us,
        "revision": made.revision,
        "shards": shards,
        "files": list(made.files),
        "keys": list(made.keys),
        "secrets": list(made.secrets),
    }
