"""Files that only their owner can read: made whole and durable before they are used."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.clock import new_uuid7


class KeysUnavailable(Exception):
    """A key cannot be had now, so that nothing can be sealed or opened with it."""


class KeyFileUnusable(KeysUnavailable):
    """A key file is readable by others, or has not the length of a key."""


def read_key_file(path: Path, bytes_max: int) -> bytes | None:
    """Return what a key file holds, None where there is none.

    Raises KeyFileUnusable where others can read it, or it is longer than `bytes_max`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:  # noqa: PTH123 - Path.open cannot refuse a symlink
        if os.fstat(descriptor).st_mode & 0o077:
            raise KeyFileUnusable(f"{path.name} can be read by others; chmod 600 it")
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise KeyFileUnusable(f"{path.name} is longer than {bytes_max} bytes")
    return content


def create_key_file(path: Path, content: bytes) -> None:
    """Make a key durable before it is used; of two processes at once, the first one's stands.

    What is sealed under a key that a crash then loses could never be read again.
    """
    draft = _draft(path, content)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    sync_directory(path.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Make a file of the keys' folder durable in place of the one that is there, if one is."""
    _draft(path, content).replace(path)
    sync_directory(path.parent)


def _draft(path: Path, content: bytes) -> Path:
    draft = path.with_name(f".{new_uuid7().hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return draft


def remove_key_files(*paths: Path) -> None:
    """Remove key files of one directory for good."""
    for path in paths:
        path.unlink(missing_ok=True)
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
