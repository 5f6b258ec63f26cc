"""What the gateway writes is its owner's alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.files import DirectoryUnsafe, keep_private, make_private, open_to_others


@pytest.fixture
def usual_umask() -> Iterator[None]:
    """Give the test the umask of most machines, and its own back to the process."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """Return the permission bits of a path."""
    return path.stat().st_mode & 0o777


def test_files_are_private_whoever_makes_them(usual_umask: None, tmp_path: Path) -> None:
    """A file that is made without a mode, as libraries do, is closed to others."""
    keep_private()
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()

    assert mode(tmp_path / "file") == 0o600
    assert mode(tmp_path / "folder") == 0o700


def test_a_directory_is_made_or_closed(usual_umask: None, tmp_path: Path) -> None:
    """One that others could read is closed to them."""
    (tmp_path / "old").mkdir(mode=0o755)
    for name in ("old", "new"):
        make_private(tmp_path / name)
        assert mode(tmp_path / name) == 0o700


@pytest.mark.parametrize("bits", [0o770, 0o707, 0o1777])
def test_a_directory_that_others_can_write_is_refused(tmp_path: Path, bits: int) -> None:
    """What is in it already may not be its owner's, so that closing it would be too late."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(bits)

    with pytest.raises(DirectoryUnsafe, match="others can write"):
        make_private(shared)
    assert mode(shared) == bits & 0o777


def test_what_others_may_read_is_found(tmp_path: Path) -> None:
    """Missing files are not found, private ones neither."""
    for name, bits in (("open", 0o644), ("private", 0o600)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(bits)

    paths = [tmp_path / name for name in ("open", "private", "missing")]
    assert open_to_others(paths) == (tmp_path / "open",)
