"""Files of keys: for their owner alone, whole, and never made over."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.key_files import (
    KeyFileUnusable,
    create_key_file,
    read_key_file,
    remove_key_files,
)


def test_the_first_one_made_stands(tmp_path: Path) -> None:
    """Of two processes at once both use the first one's; nothing else is left behind."""
    path = tmp_path / "one.key"
    create_key_file(path, b"first")
    create_key_file(path, b"second")
    assert read_key_file(path, 32) == b"first"
    assert [file.name for file in tmp_path.iterdir()] == ["one.key"]
    assert path.stat().st_mode & 0o777 == 0o600
    remove_key_files(path, tmp_path / "never")
    assert read_key_file(path, 32) is None


def test_an_exposed_or_long_file_is_refused(tmp_path: Path) -> None:
    """What others can read, or is no key, is not used; nor is a link."""
    path = tmp_path / "one.key"
    create_key_file(path, b"first")
    with pytest.raises(KeyFileUnusable, match="longer than 4"):
        read_key_file(path, 4)
    path.chmod(0o640)
    with pytest.raises(KeyFileUnusable, match="chmod 600"):
        read_key_file(path, 32)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError, match="symbolic"):
        read_key_file(tmp_path / "link", 32)
