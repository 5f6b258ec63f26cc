"""The key files of the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.keys.log_keys import KeyFileUnusable, LogKeys
from tests.gateway.audit.records import ORIGIN


def test_keys_are_made_once_and_kept(tmp_path: Path) -> None:
    """Every opening finds the same keys, each kind its own, in files for the owner alone."""
    first, second = LogKeys(tmp_path), LogKeys(tmp_path)
    assert first.signer(ORIGIN).verifier == second.signer(ORIGIN).verifier
    assert first.day_key(20_000) == second.day_key(20_000)
    assert first.subject_key(2026) == second.subject_key(2026)
    assert first.state_key() == second.state_key()
    made = first.day_key(20_000), first.day_key(20_001), first.subject_key(2026), first.state_key()
    assert len(set(made)) == len(made)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_destroyed_day_key_is_not_made_again_for_reading(tmp_path: Path) -> None:
    """Looking for a day's key never makes one (I9)."""
    assert LogKeys(tmp_path).find_day_key(20_000) is None
    assert list(tmp_path.iterdir()) == []


def test_an_exposed_or_short_key_file_is_refused(tmp_path: Path) -> None:
    """A key that others can read, or that is no key, is not used."""
    keys = LogKeys(tmp_path)
    keys.subject_key(2026)
    path = tmp_path / "log-subject-2026.key"
    path.chmod(0o644)
    with pytest.raises(KeyFileUnusable, match="chmod 600"):
        keys.subject_key(2026)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(KeyFileUnusable, match="32 bytes"):
        keys.subject_key(2026)


def test_the_years_of_subjects_are_known_by_their_keys(tmp_path: Path) -> None:
    """A year that nobody was tagged in has no key, and one that was destroyed has none any more."""
    keys = LogKeys(tmp_path / "keys")
    assert (keys.subject_years(), keys.find_subject_key(2026)) == ((), None)
    made = keys.subject_key(2026), keys.subject_key(2025)
    assert keys.subject_years() == (2025, 2026)
    assert (keys.find_subject_key(2026), keys.find_subject_key(2025)) == made
    (tmp_path / "keys" / "log-subject-2025.key").unlink()
    assert (keys.subject_years(), keys.find_subject_key(2025)) == ((2026,), None)


def test_the_shard_last_opened_is_kept_with_the_keys(tmp_path: Path) -> None:
    """It is known before the first only by its absence, and its file is like those of keys."""
    keys = LogKeys(tmp_path)
    assert keys.begun() is None
    for name in ("2026", "2026", "2026-2"):
        keys.note_begun(name)
        assert LogKeys(tmp_path).begun() == name
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
