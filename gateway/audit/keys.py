"""The log's keys, each in a file that only its owner can read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.entry import KEY_BYTES
from gateway.audit.note import Signer
from gateway.audit.receipts import ReceiptSigner
from gateway.clock import new_uuid7, random_bytes

_SIGNING: Final = "log-signing.key"
_KEY_ENCRYPTION: Final = "log-day-{day}.key"
_SUBJECT: Final = "log-subject-{year}.key"
_STATE: Final = "log-state.key"
_RECEIPT: Final = "log-receipt.key"


class KeyFileUnusable(Exception):
    """A key file is readable by others, or has not the length of a key."""


class LogKeys:
    """The keys of one log: signing, receipts, state, one to wrap keys a day, one of people a year.

    Deleting a day's key erases what every record of that day had sealed; deleting a year's
    subject key unlinks its data subjects. Neither touches a proof.
    """

    def __init__(self, directory: Path) -> None:
        """Use the key files in `directory`, which is made, readable by its owner alone."""
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def signer(self, origin: str) -> Signer:
        """Return the key that signs this log's checkpoints, made at the first call."""
        seed = self._read_or_create(_SIGNING)
        return Signer(origin, Ed25519PrivateKey.from_private_bytes(seed))

    def find_signer(self, origin: str) -> Signer | None:
        """Return the key that signs this log's checkpoints, or None where there is none yet."""
        seed = self._read(self._directory / _SIGNING)
        return Signer(origin, Ed25519PrivateKey.from_private_bytes(seed)) if seed else None

    def receipt_signer(self, origin: str) -> ReceiptSigner:
        """Return the key that signs this log's receipts, made at the first call."""
        seed = self._read_or_create(_RECEIPT)
        return ReceiptSigner(origin, Ed25519PrivateKey.from_private_bytes(seed))

    def day_key(self, day: int) -> bytes:
        """Return the key-encryption key of a day (days since 1970), made at the first call."""
        return self._read_or_create(_KEY_ENCRYPTION.format(day=day))

    def find_day_key(self, day: int) -> bytes | None:
        """Return the key-encryption key of a day, or None once it was destroyed."""
        return self._read(self._directory / _KEY_ENCRYPTION.format(day=day))

    def subject_key(self, year: int) -> bytes:
        """Return the key under which the data subjects of a year are found."""
        return self._read_or_create(_SUBJECT.format(year=year))

    def find_subject_key(self, year: int) -> bytes | None:
        """Return the key of a year's data subjects, or None where none was made, or it is gone."""
        return self._read(self._directory / _SUBJECT.format(year=year))

    def subject_years(self) -> tuple[int, ...]:
        """Return the years whose data subjects can be found, in order."""
        found = self._directory.glob(_SUBJECT.format(year="[0-9][0-9][0-9][0-9]"))
        return tuple(sorted(int(path.stem.removeprefix("log-subject-")) for path in found))

    def days(self) -> tuple[int, ...]:
        """Return the days (since 1970) that have a key-encryption key, in order."""
        found = self._directory.glob(_KEY_ENCRYPTION.format(day="*"))
        return tuple(sorted(int(path.stem.removeprefix("log-day-")) for path in found))

    def destroy_day(self, day: int) -> None:
        """Destroy a day's key: what that day sealed can never be opened again."""
        self._destroy(_KEY_ENCRYPTION.format(day=day))

    def destroy_year(self, year: int) -> None:
        """Destroy the key of a year's data subjects: nobody of that year can be found by it."""
        self._destroy(_SUBJECT.format(year=year))

    def _destroy(self, name: str) -> None:
        (self._directory / name).unlink(missing_ok=True)
        sync_directory(self._directory)

    def state_key(self) -> bytes:
        """Return the key under which people and their words stand in the log's state.

        It is not of a year: a grant that runs over midnight of New Year is one grant.
        """
        return self._read_or_create(_STATE)

    def _read_or_create(self, name: str) -> bytes:
        path = self._directory / name
        found = self._read(path)
        return found if found is not None else self._create(path)

    def _read(self, path: Path) -> bytes | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        with open(descriptor, "rb") as file:  # noqa: PTH123 - Path.open cannot refuse a symlink
            if os.fstat(descriptor).st_mode & 0o077:
                raise KeyFileUnusable(f"{path.name} can be read by others; chmod 600 it")
            key = file.read(KEY_BYTES + 1)
        if len(key) != KEY_BYTES:
            raise KeyFileUnusable(f"{path.name} does not hold a key of {KEY_BYTES} bytes")
        return key

    def _create(self, path: Path) -> bytes:
        """Make a key durable before it is used; of two processes at once, the first one's stands.

        What is sealed under a key that a crash then loses could never be read again.
        """
        draft = path.with_name(f".{new_uuid7().hex()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, random_bytes(KEY_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        sync_directory(path.parent)
        created = self._read(path)
        if created is None:
            raise KeyFileUnusable(f"{path.name} vanished while it was made")
        return created


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
