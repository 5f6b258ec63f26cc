"""Copies of a home: made while the gateway runs, and put back without losing what is newer.

A copy holds the registry, the audit log with its sealed head, and the settings file. It holds no
key and no secret: whoever has a copy and the keys reads everything, so they are kept apart.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.keys.log_keys import LogKeys, sync_directory
from gateway.audit.reading.reader import find_shards, snapshot
from gateway.audit.store import LogFrozen, LogUnavailable
from gateway.audit.tree import SEALED_HEAD_NAME, check_heads, read_sealed_head
from gateway.clock import new_uuid7, system_time_us
from gateway.database import check_sqlite_version, open_engine
from gateway.files import make_private
from gateway.registry.store import Registry, RegistryUnavailable
from gateway.settings import FILE_NAME, Settings

FORMAT: Final = 1
MANIFEST_NAME: Final = "manifest.json"
"""Written last: a directory without it is a copy that was never finished."""
REGISTRY_NAME: Final = "registry.db"
AUDIT_NAME: Final = "audit"
PAGES_A_STEP: Final = 2_000
"""Pages copied between two reports of progress; the source is read as of one moment throughout."""
_BESIDE: Final = ("-wal", "-shm")
"""Ends of the names of what SQLite keeps beside a database while it is open."""
_MANIFEST_BYTES_MAX: Final = 1 << 20

Progress = Callable[[int, int], None]
"""Told what is done and what there is to do, in a unit of its own for each file."""


class BackupUnusable(Exception):
    """What is there is no copy, an unfinished one, or not what was written."""


class RestoreRefused(Exception):
    """Putting the copy back would lose or contradict what the home holds; nothing was changed."""


class Part(StrEnum):
    """What can be put back by itself."""

    REGISTRY = "registry"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One shard of the audit log in a copy: its file, its origin and how many records it holds."""

    file: str
    origin: str
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a copy holds. `revision` is None where the registry is not in it (PostgreSQL).

    `made_at_us` is system time in microseconds since 1970; `files` are SHA-256 digests by path;
    `keys` and `secrets` are the names of what is kept apart.
    """

    made_at_us: int
    organisation: str
    revision: int | None
    shards: tuple[Shard, ...]
    files: Mapping[str, str]
    keys: tuple[str, ...]
    secrets: tuple[str, ...]
    format: int = FORMAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was put back, file by file, and where the files went that were there before."""

    files: tuple[str, ...]
    kept_in: Path | None
    missing_keys: tuple[str, ...] = field(default=())


def back_up(
    settings: Settings, directory: Path, progress: Progress = lambda _done, _all: None
) -> Manifest:
    """Copy a home into `directory`, which is new or empty; the gateway may run meanwhile.

    The registry is copied before the log: a change is on record before it is in force, so that the
    log in a copy names every change that its registry has. The sealed head is read before the log,
    which therefore is never behind it.

    Raises:
        BackupUnusable: something is in `directory` already.
        DirectoryUnsafe: others may write into `directory`.
        LogUnavailable, RegistryUnavailable, OSError: something could not be read or written.
    """
    if directory.exists() and any(directory.iterdir()):
        raise BackupUnusable(f"{directory} is not empty")
    make_private(directory)
    revision = None
    if settings.registry_url is None:
        copy_database(settings.home / REGISTRY_NAME, directory / REGISTRY_NAME, progress)
        with _registry(directory / REGISTRY_NAME) as copied:
            revision = copied.revision()
    audit = directory / AUDIT_NAME
    audit.mkdir(mode=0o700)
    sealed_head = read_sealed_head(settings.audit_directory)
    if sealed_head is not None:
        (audit / SEALED_HEAD_NAME).write_text(sealed_head, "utf-8")
    shards = []
    for source in find_shards(settings.audit_directory):
        copy_database(source, audit / source.name, progress)
        origin, records = _log_size(audit / source.name)
        shards.append(Shard(file=source.name, origin=origin, records=records))
    if (settings.home / FILE_NAME).exists():
        shutil.copyfile(settings.home / FILE_NAME, directory / FILE_NAME)
    manifest = Manifest(
        made_at_us=system_time_us(),
        organisation=settings.organisation,
        revision=revision,
        shards=tuple(shards),
        files={path: _digest(directory / path) for path in _files(directory)},
        keys=_names(settings.keys_directory),
        secrets=_names(settings.secrets_directory),
    )
    _write(directory / MANIFEST_NAME, json.dumps(asdict(manifest), indent=2).encode())
    return manifest


def read_manifest(directory: Path, progress: Progress = lambda _done, _all: None) -> Manifest:
    """Return what a copy holds, every file of it compared with its digest.

    Raises:
        BackupUnusable: it is no copy, or not the one that was written.
    """
    path = directory / MANIFEST_NAME
    try:
        content = path.read_bytes() if path.stat().st_size <= _MANIFEST_BYTES_MAX else b""
        manifest = _read(json.loads(content))
    except (OSError, ValueError, TypeError, KeyError):
        raise BackupUnusable(f"{directory} holds no finished copy") from None
    if manifest.format != FORMAT:
        raise BackupUnusable(f"{directory} is of a version that this program does not know")
    for done, (name, expected) in enumerate(manifest.files.items()):
        progress(done, len(manifest.files))
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise BackupUnusable(f"{name} is no name of a file in a copy")
        file = directory / name
        if not file.is_file() or _digest(file) != expected:
            raise BackupUnusable(f"{file} is not what was copied")
    return manifest


def only(part: Part, manifest: Manifest) -> Manifest:
    """Return what a copy holds of one part: the registry, or the audit log."""
    beginning = REGISTRY_NAME if part is Part.REGISTRY else f"{AUDIT_NAME}/"
    files = {name: it for name, it in manifest.files.items() if name.startswith(beginning)}
    if part is Part.REGISTRY:
        return replace(manifest, files=files, shards=())
    return replace(manifest, files=files, revision=None)


def check_restorable(settings: Settings, directory: Path, manifest: Manifest) -> None:
    """See that nothing the home holds is newer than the copy, or contradicts it (F11).

    Raises:
        RestoreRefused: it is; the sentence says what would be lost.
    """
    if manifest.organisation != settings.organisation:
        raise RestoreRefused(
            f"the copy is of a gateway of {manifest.organisation}, "
            f"this home is of {settings.organisation}"
        )
    if manifest.revision is not None:
        _check_registry(settings, directory, manifest.revision)
    _check_log(settings, directory, manifest)


def put_back(settings: Settings, directory: Path, manifest: Manifest) -> Restored:
    """Put a copy's files into the home; what was there is moved aside, never deleted.

    `check_restorable` comes first, and nothing may use the home meanwhile. A sealed head that is
    there stays: the copy covers it, and it may be the newer one.

    Raises:
        OSError: a file could not be written; while they are copied, nothing is replaced yet.
    """
    aside = settings.home / f"replaced-{new_uuid7().hex()}"
    kept = (FILE_NAME, f"{AUDIT_NAME}/{SEALED_HEAD_NAME}")
    targets = {name: settings.home / name for name in manifest.files}
    targets = {name: it for name, it in targets.items() if name not in kept or not it.exists()}
    drafts = {name: it.with_name(f".{it.name}.draft") for name, it in targets.items()}
    try:
        for name, draft in drafts.items():
            draft.parent.mkdir(mode=0o700, exist_ok=True)
            shutil.copyfile(directory / name, draft)
            with draft.open("rb") as file:
                os.fsync(file.fileno())
        # All of them are on disk: from here on there are only names to change.
        for name, target in targets.items():
            for old in (target, *(target.with_name(target.name + end) for end in _BESIDE)):
                if old.exists():
                    aside.mkdir(mode=0o700, exist_ok=True)
                    old.rename(aside / old.name)
            drafts[name].rename(target)
            sync_directory(target.parent)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
    there = {*_names(settings.keys_directory)}
    return Restored(
        files=tuple(targets),
        kept_in=aside if aside.exists() else None,
        missing_keys=tuple(name for name in manifest.keys if name not in there),
    )


def copy_database(source: Path, target: Path, progress: Progress) -> None:
    """Copy one moment of a SQLite database that others may be writing to.

    Raises:
        OSError: it cannot be read, or the copy not be written.
    """
    check_sqlite_version()
    if not source.exists():
        raise FileNotFoundError(f"there is no {source}")
    try:
        with _opened(f"{source.absolute().as_uri()}?mode=ro") as reading:
            # One transaction from here on: without it, each step would see what is newest then.
            reading.execute("BEGIN")
            reading.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            with _opened(str(target)) as writing:
                writing.execute("PRAGMA synchronous = FULL")
                reading.backup(
                    writing,
                    pages=PAGES_A_STEP,
                    progress=lambda _status, left, total: progress(total - left, total),
                )
                # One file by itself, which can be read without making others beside it.
                writing.execute("PRAGMA journal_mode = DELETE")
    except sqlite.Error as failure:
        raise OSError(f"{source} could not be copied: {failure}") from None
    sync_directory(target.parent)


def _check_registry(settings: Settings, directory: Path, revision: int) -> None:
    """Refuse a registry older than one that can be read: it would lift stops and reuse numbers."""
    if settings.registry_url is not None:
        raise RestoreRefused(
            "the copy holds a SQLite registry, and the settings name PostgreSQL; "
            "bring the configuration over with `concordat config export` and `apply`"
        )
    path = settings.home / REGISTRY_NAME
    if not path.exists():
        return
    with tempfile.TemporaryDirectory(dir=settings.home) as scratch:
        # Opening a database writes to it, and a copy stays as it is.
        shutil.copyfile(directory / REGISTRY_NAME, Path(scratch) / REGISTRY_NAME)
        with _registry(Path(scratch) / REGISTRY_NAME) as copied:
            stops = copied.stops()
    try:
        with _registry(path) as present:
            present_revision, lifted = present.revision(), present.stops() - stops
    except RegistryUnavailable:
        return  # what cannot be read is what a copy is for
    if present_revision > revision:
        raise RestoreRefused(
            f"the home's registry is at revision {present_revision}, the copy at {revision}; "
            "to go back to an earlier configuration, apply its files anew"
        )
    if lifted:
        raise RestoreRefused(f"{len(lifted)} stops that are in force now are not in the copy")


def _check_log(settings: Settings, directory: Path, manifest: Manifest) -> None:
    """Refuse a log that is older than the home's, or than the sealed head says it was."""
    copied = {shard.file: shard for shard in manifest.shards}
    shards = [path for path in find_shards(directory / AUDIT_NAME) if path.name in copied]
    if not shards:
        return
    for path in find_shards(settings.audit_directory):
        if path.name not in copied:
            raise RestoreRefused(f"the home has the shard {path.name}, and the copy has not")
        _check_shard(path, directory / AUDIT_NAME / path.name)
    sealed_head = read_sealed_head(settings.audit_directory)
    if sealed_head is None:
        return
    newest = copied[shards[-1].name]
    signer = LogKeys(settings.keys_directory).find_signer(newest.origin)
    if signer is None:
        raise RestoreRefused("the log's keys are not there: put them into the home first")
    with snapshot(directory / AUDIT_NAME / newest.file) as db:
        try:
            check_heads(db, sealed_head, signer.verifier)
        except LogFrozen as frozen:
            raise RestoreRefused(f"with the copy put back, {frozen}") from None


def _check_shard(path: Path, copy: Path) -> None:
    """Refuse a copy of a shard that lacks a record of the present one, where that can be read."""
    last = "SELECT leaf_index, leaf_hash FROM audit_record ORDER BY leaf_index DESC LIMIT 1"
    try:
        with snapshot(path) as db:
            newest = db.execute(last).fetchone()
    except LogUnavailable:
        return  # what cannot be read is what a copy is for; the sealed head is still looked at
    if newest is None:
        return
    index, leaf_hash = newest
    with snapshot(copy) as db:
        row = db.execute(
            "SELECT leaf_hash FROM audit_record WHERE leaf_index = ?", (index,)
        ).fetchone()
        held = db.execute("SELECT next_index FROM audit_head").fetchone()[0]
    if row is None:
        raise RestoreRefused(
            f"{path.name} holds {index + 1} records, the copy {held}: "
            f"the {index + 1 - held} newest would be lost"
        )
    if row[0] != leaf_hash:
        raise RestoreRefused(f"record {index} of {path.name} is another one in the copy")


@contextmanager
def _opened(address: str) -> Iterator[Any]:
    connection = sqlite.connect(address, uri=address.startswith("file:"), isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _registry(path: Path) -> Iterator[Registry]:
    engine = open_engine(f"sqlite+pysqlite:///{path}", create=False)
    try:
        yield Registry(engine)
    finally:
        engine.dispose()


def _log_size(path: Path) -> tuple[str, int]:
    with snapshot(path) as db:
        origin, records = db.execute("SELECT origin, next_index FROM audit_head").fetchone()
    return origin, records


def _files(directory: Path) -> list[str]:
    """Return the files of a copy, databases without what may be beside them."""
    return sorted(
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.endswith(_BESIDE)
    )


def _names(directory: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in directory.glob("*") if path.is_file()))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    sync_directory(path.parent)


def _read(document: Mapping[str, Any]) -> Manifest:
    return Manifest(
        **{
            **document,
            "shards": tuple(Shard(**shard) for shard in document["shards"]),
            "keys": tuple(document["keys"]),
            "secrets": tuple(document["secrets"]),
        }
    )
