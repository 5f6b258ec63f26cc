"""Copies of a home: consistent while it changes, and never put back over what is newer."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path
from typing import Final

import pytest

from gateway import administration
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.lifecycle.shards import retire
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.reading.reader import find_log, verify_log
from gateway.audit.tree import read_sealed_head
from gateway.backup import (
    BackupUnusable,
    Part,
    RestoreRefused,
    back_up,
    check_restorable,
    only,
    put_back,
    read_manifest,
)
from gateway.data_plane import log_host, log_origin, open_audit_log
from gateway.database import open_engine
from gateway.registry.store import Registry, StopKind
from gateway.settings import Settings
from tests.homes import make_settings

STOPS_WHILE_COPYING: Final = 30


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the settings of a home with a registry, a log and a sealed head."""
    made = make_home(tmp_path / "home")
    stop(made, "k0")
    seal(made)
    return made


def make_home(home: Path) -> Settings:
    """Make a home with an empty registry."""
    home.mkdir()
    return make_settings(home)


def stop(settings: Settings, key: str) -> None:
    """Change the registry and the log together: a stop, with its record."""
    administration.stop(settings, StopKind.KEY, key, reason="test", by="tests")


def seal(settings: Settings) -> None:
    """Sign and publish a head over all records."""
    keys = LogKeys(settings.keys_directory)
    integrator = Integrator(settings.audit_directory, origin=log_origin(settings), keys=keys)
    integrator.step()
    integrator.close()


def stops_of(settings: Settings) -> set[str]:
    """Return the keys that are stopped."""
    engine = open_engine(settings.database_url, create=False)
    try:
        return {key for _, key in Registry(engine).stops()}
    finally:
        engine.dispose()


def records_of(settings: Settings) -> int:
    """Return how many records the log holds, all of it verified."""
    path, keys = find_log(settings.audit_directory), LogKeys(settings.keys_directory)
    vkey = keys.signer(log_origin(settings)).verifier.vkey()
    report = verify_log(path, vkey=vkey, keys=keys)
    assert report.ok, report.faults
    return report.size


def restore(settings: Settings, directory: Path, part: Part | None = None) -> tuple[str, ...]:
    """Put a copy back as the command does; return the files."""
    manifest = read_manifest(directory)
    if part is not None:
        manifest = only(part, manifest)
    check_restorable(settings, directory, manifest)
    return put_back(settings, directory, manifest).files


def starts(settings: Settings) -> bool:
    """Open the log as a starting gateway does, which checks it against its heads."""

    async def open_and_close() -> None:
        log = open_audit_log(settings, instance="test")
        await log.start()
        await log.stop()

    asyncio.run(open_and_close())
    return True


def test_a_copy_is_of_one_moment_while_the_home_changes(settings: Settings, tmp_path: Path) -> None:
    """Put back into an empty home, it verifies, and its log names every stop of its registry."""

    def change() -> None:
        for number in range(STOPS_WHILE_COPYING):
            stop(settings, f"later-{number}")

    thread = threading.Thread(target=change)
    thread.start()
    copies: list[Path] = []
    while thread.is_alive():
        copies.append(tmp_path / f"copy-{len(copies)}")
        back_up(settings, copies[-1])
    thread.join()

    for number, copy in enumerate(copies):
        home = tmp_path / f"home-{number}"
        shutil.copytree(settings.keys_directory, home / "keys")
        there = settings.model_copy(update={"home": home})
        restore(there, copy)
        # One record opens the log, and each stop is recorded before it is in force.
        assert records_of(there) >= 1 + len(stops_of(there))
        assert starts(there)


def test_a_copy_holds_no_key(settings: Settings, tmp_path: Path) -> None:
    """Keys and secrets are named, and nothing that is in their files is in the copy."""
    settings.secrets_directory.mkdir()
    (settings.secrets_directory / "spl-secret").write_text("marker-of-a-secret")
    manifest = back_up(settings, tmp_path / "copy")
    written = b"".join(path.read_bytes() for path in (tmp_path / "copy").rglob("*.*"))

    assert "log-signing.key" in manifest.keys
    assert manifest.secrets == ("spl-secret",)
    assert b"marker-of-a-secret" not in written
    for key in settings.keys_directory.iterdir():
        assert key.read_bytes() not in written
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0


def test_an_old_log_never_goes_over_a_newer_one(settings: Settings, tmp_path: Path) -> None:
    """F11: the copy lacks records that the home has; nothing is changed, and the home goes on."""
    back_up(settings, tmp_path / "copy")
    stop(settings, "k1")
    before = records_of(settings)

    with pytest.raises(RestoreRefused, match="the 1 newest would be lost"):
        restore(settings, tmp_path / "copy", Part.AUDIT)
    with pytest.raises(RestoreRefused, match="1 stops that are in force now"):
        restore(settings, tmp_path / "copy")
    assert records_of(settings) == before
    assert stops_of(settings) == {"k0", "k1"}


def test_a_sealed_head_alone_keeps_an_old_log_out(settings: Settings, tmp_path: Path) -> None:
    """F11: the log is gone, but its head says that it was longer than the copy."""
    back_up(settings, tmp_path / "copy")
    stop(settings, "k1")
    seal(settings)
    for path in settings.audit_directory.glob("audit-*.db*"):
        path.unlink()

    with pytest.raises(RestoreRefused, match="it was rolled back"):
        restore(settings, tmp_path / "copy", Part.AUDIT)
    assert list(settings.audit_directory.glob("audit-*.db")) == []


def test_what_was_lost_comes_back(settings: Settings, tmp_path: Path) -> None:
    """Registry and log come back where nothing newer is known; what was there is kept aside."""
    back_up(settings, tmp_path / "copy")
    head = read_sealed_head(settings.audit_directory)
    (settings.home / "registry.db").write_bytes(b"no database any more" * 300)
    (settings.home / "registry.db-wal").unlink(missing_ok=True)
    find_log(settings.audit_directory).write_bytes(b"neither" * 600)
    manifest = read_manifest(tmp_path / "copy")
    check_restorable(settings, tmp_path / "copy", manifest)
    restored = put_back(settings, tmp_path / "copy", manifest)

    assert restored.kept_in is not None
    assert (restored.kept_in / "registry.db").read_bytes().startswith(b"no database")
    assert restored.missing_keys == ()
    assert stops_of(settings) == {"k0"}
    assert starts(settings)
    assert read_sealed_head(settings.audit_directory) == head


def test_of_the_shards_of_one_year_the_newest_is_held_to_the_head(
    settings: Settings, tmp_path: Path
) -> None:
    """F11: a second shard, whose name sorts before the first one's, comes back with it."""
    keys, actor = LogKeys(settings.keys_directory), {"principal": "an.operator", "via": "console"}
    ending = retire(
        settings.audit_directory, host=log_host(settings), keys=keys, reason="test", actor=actor
    )
    asyncio.run(ending)
    stop(settings, "k1")
    seal(settings)
    back_up(settings, tmp_path / "copy")
    for path in settings.audit_directory.glob("audit-*.db*"):
        path.unlink()

    restore(settings, tmp_path / "copy", Part.AUDIT)
    assert starts(settings)
    assert records_of(settings) == 2


def test_the_same_log_of_another_history_is_refused(settings: Settings, tmp_path: Path) -> None:
    """A copy as long as the home's log, whose newest record is another one, contradicts it."""
    other = make_home(tmp_path / "other")
    of_log = shutil.ignore_patterns("log-shard")  # it would miss the log that goes with it
    shutil.copytree(settings.keys_directory, other.keys_directory, ignore=of_log)
    stop(other, "k0")
    back_up(other, tmp_path / "copy")

    with pytest.raises(RestoreRefused, match="is another one in the copy"):
        restore(settings, tmp_path / "copy", Part.AUDIT)


def test_one_part_leaves_the_other_alone(settings: Settings, tmp_path: Path) -> None:
    """A damaged registry is put back beside a log that has gone on."""
    back_up(settings, tmp_path / "copy")
    stop(settings, "k1")
    records = records_of(settings)
    for path in settings.home.glob("registry.db*"):
        path.unlink()

    assert restore(settings, tmp_path / "copy", Part.REGISTRY) == ("registry.db",)
    assert records_of(settings) == records
    assert stops_of(settings) == {"k0"}


@pytest.mark.parametrize("harm", ["changed", "removed", "unfinished", "outside"])
def test_a_copy_that_is_not_what_was_written_is_refused(
    settings: Settings, tmp_path: Path, harm: str
) -> None:
    """Each file is compared with its digest, and a copy without its last file is none."""
    copy = tmp_path / "copy"
    back_up(settings, copy)
    registry, manifest = copy / "registry.db", copy / "manifest.json"
    if harm == "changed":
        content = bytearray(registry.read_bytes())
        content[len(content) // 2] ^= 1
        registry.write_bytes(content)
    elif harm == "removed":
        registry.unlink()
    elif harm == "unfinished":
        manifest.unlink()
    else:
        manifest.write_text(manifest.read_text().replace('"registry.db"', '"../registry.db"'))

    with pytest.raises(BackupUnusable):
        read_manifest(copy)


def test_a_copy_goes_into_an_empty_folder_alone(settings: Settings, tmp_path: Path) -> None:
    """An earlier copy is never written over, and another body's copy never put back."""
    back_up(settings, tmp_path / "copy")
    with pytest.raises(BackupUnusable, match="is not empty"):
        back_up(settings, tmp_path / "copy")

    foreign = settings.model_copy(update={"organisation": "ods:X9Z"})
    with pytest.raises(RestoreRefused, match="ods:R9Z"):
        check_restorable(foreign, tmp_path / "copy", read_manifest(tmp_path / "copy"))
