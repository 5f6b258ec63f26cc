"""The log's keys, each in a file that only its owner can read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.entry import KEY_BYTES
from gateway.audit.keys.day_keys import DayKeys
from gateway.audit.keys.files import (
    KeyFileUnusable,
    create_key_file,
    read_key_file,
    remove_key_files,
    replace_file,
    sync_directory,
)
from gateway.audit.note import Signer
from gateway.audit.receipts import ReceiptSigner
from gateway.clock import random_bytes

__all__ = ["KeyFileUnusable", "LogKeys", "sync_directory"]

_SIGNING: Final = "log-signing.key"
_SUBJECT: Final = "log-subject-{year}.key"
_STATE: Final = "log-state.key"
_RECEIPT: Final = "log-receipt.key"
_SHARD: Final = "log-shard"
_SHARD_SAYS: Final = "newest shard of the log: "
SHARD_BYTES_MAX: Final = 128
"""More than this and the longest name of a shard have."""


class LogKeys:
    """The keys of one log: signing, receipts, state, one to wrap keys a day, one of people a year.

    Deleting a day's key erases what every record of that day had sealed; deleting a year's
    subject key unlinks its data subjects. Neither touches a proof.
    """

    def __init__(self, directory: Path) -> None:
        """Use the key files in `directory`, which is made, readable by its owner alone."""
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._days = DayKeys(directory)

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

    def prepare(self) -> None:
        """Have the keys to seal with at hand, now and in good time; see `DayKeys.prepare`."""
        self._days.prepare()

    def day_key(self, day: int) -> bytes:
        """Return the key-encryption key of a day (days since 1970), made at the first call.

        Raises KeysUnavailable where another keeper of keys would have to be waited for.
        """
        return self._days.get(day)

    def find_day_key(self, day: int) -> bytes | None:
        """Return the key-encryption key of a day, or None once it was destroyed.

        Raises KeysUnavailable where another keeper of keys does not answer.
        """
        return self._days.find(day)

    def wrap_days(self, program: Path) -> int:
        """Have a program wrap the day keys from now on; see `DayKeys.wrap_all`."""
        return self._days.wrap_all(program)

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
        return self._days.days()

    def destroy_day(self, day: int) -> None:
        """Destroy a day's key: what that day sealed can never be opened again."""
        self._days.destroy(day)

    def destroy_year(self, year: int) -> None:
        """Destroy the key of a year's data subjects: nobody of that year can be found by it."""
        remove_key_files(self._directory / _SUBJECT.format(year=year))

    def state_key(self) -> bytes:
        """Return the key under which people and their words stand in the log's state.

        It is not of a year: a grant that runs over midnight of New Year is one grant.
        """
        return self._read_or_create(_STATE)

    def begun(self) -> str | None:
        """Return the name of the shard that was last opened with these keys, None before the first.

        It stands with the keys, and not beside the log, to tell of a log that is gone altogether.
        """
        said = read_key_file(self._directory / _SHARD, SHARD_BYTES_MAX)
        if said is None:
            return None
        return said.decode(errors="replace").removeprefix(_SHARD_SAYS).strip()

    def note_begun(self, shard: str) -> None:
        """Keep the name of a shard that was opened; it must be there by now, made whole."""
        if self.begun() != shard:
            replace_file(self._directory / _SHARD, f"{_SHARD_SAYS}{shard}\n".encode())

    def _read_or_create(self, name: str) -> bytes:
        path = self._directory / name
        found = self._read(path)
        return found if found is not None else self._create(path)

    def _read(self, path: Path) -> bytes | None:
        key = read_key_file(path, KEY_BYTES)
        if key is not None and len(key) != KEY_BYTES:
            raise KeyFileUnusable(f"{path.name} does not hold a key of {KEY_BYTES} bytes")
        return key

    def _create(self, path: Path) -> bytes:
        create_key_file(path, random_bytes(KEY_BYTES))
        created = self._read(path)
        if created is None:
            raise KeyFileUnusable(f"{path.name} vanished while it was made")
        return created
