"""The key-encryption keys, one a day: files of their own, or wrapped by another keeper of keys."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from gateway.audit.entry import KEY_BYTES
from gateway.audit.keys.files import (
    KeyFileUnusable,
    KeysUnavailable,
    create_key_file,
    read_key_file,
    remove_key_files,
)
from gateway.audit.keys.wrapping import WRAPPED_BYTES_MAX, CommandWrapper, KeyWrapper
from gateway.clock import random_bytes, system_time_us

FIRST_LOOK_S: Final = 5.0
LOOK_S: Final = 60.0
"""How often it is looked whether tomorrow's key is here, and an outage tried again."""
PATH_BYTES_MAX: Final = 4_096

_DAY_US: Final = 86_400_000_000
_PLAIN: Final = ".key"
_WRAPPED: Final = ".wrapped"
_STEM: Final = "log-day-"
_PROGRAM: Final = "key-wrapping"


class OtherKeeper(Exception):
    """Another program wraps the keys: what it wrapped nobody else can unwrap."""


class DayKeys:
    """The day keys in a key directory; a file there, `key-wrapping`, names the program, if any.

    Where there is one, a key is fetched once by each process: today's when it starts, tomorrow's
    while there is time. An outage of the other keeper is felt only where it outlasts the day.
    """

    def __init__(self, directory: Path) -> None:
        """Use the files in `directory`, which is there."""
        self._directory = directory
        self._fetched: dict[int, tuple[bytes, bytes]] = {}
        self._fetching = threading.Lock()
        self._thread: threading.Thread | None = None

    def get(self, day: int) -> bytes:
        """Return a day's key to seal with, made at the first call; it waits for no program.

        Raises KeysUnavailable where it would have to.
        """
        fetched = self._fetched.get(day)
        if fetched is not None:
            return fetched[1]
        plain = self._read_plain(day)
        if plain is not None:
            return plain
        if self.wrapper() is not None:
            raise KeysUnavailable("the day's key is not here yet: its keeper does not answer")
        return self._create_plain(day)

    def find(self, day: int) -> bytes | None:
        """Return a day's key to open with, None once it was destroyed; raises KeysUnavailable."""
        plain = self._read_plain(day)
        if plain is not None:
            return plain
        wrapped = read_key_file(self._path(day, _WRAPPED), WRAPPED_BYTES_MAX)
        if wrapped is None:
            return None
        known = self._fetched.get(day)
        if known is not None and known[0] == wrapped:
            return known[1]
        wrapper = self.wrapper()
        if wrapper is None:
            raise KeyFileUnusable(f"{_PROGRAM} is missing, which names the program that unwraps")
        with self._fetching:
            key = wrapper.unwrap(self._name(day), wrapped)
            self._fetched[day] = (wrapped, key)
        return key

    def fetch(self, day: int) -> None:
        """Have a day's key at hand, made if there is none yet; raises KeysUnavailable."""
        wrapper = self.wrapper()
        if wrapper is not None and self.find(day) is None:
            # Of two processes at once the first one's stands, and both unwrap that.
            wrapped = wrapper.wrap(self._name(day), random_bytes(KEY_BYTES))
            create_key_file(self._path(day, _WRAPPED), wrapped)
            self.find(day)

    def prepare(self) -> None:
        """Have today's key at hand, and from now on each day's before it begins.

        Without another keeper there is nothing to do. It waits for today's, as a start may.
        """
        if self._thread is not None or self.wrapper() is None:
            return
        self._fetch_quietly(0)
        self._thread = threading.Thread(target=self._keep, name="day-keys", daemon=True)
        self._thread.start()

    def wrapper(self) -> KeyWrapper | None:
        """Return what wraps the keys, None where they lie in files of their own."""
        named = self._program()
        return None if named is None else CommandWrapper(named)

    def wrap_all(self, program: Path) -> int:
        """Have `program` wrap all keys from now on, those that are there too; return how many.

        Raises OtherKeeper where another program wraps them already, and KeysUnavailable where it
        does not return what it was given. Then nothing changes: every key has come back from the
        program before it is named, and it is named before any key of ours is removed.
        """
        named = self._program()
        if named not in (None, program):
            raise OtherKeeper(f"the day keys are wrapped by {named}, which alone unwraps them")
        wrapper, probe = CommandWrapper(program), random_bytes(KEY_BYTES)
        if wrapper.unwrap("probe", wrapper.wrap("probe", probe)) != probe:
            raise KeysUnavailable(f"{program.name} does not return the key that it wrapped")
        plain = {day: key for day in self.days() if (key := self._read_plain(day)) is not None}
        for day in () if named else set(self.days()) - set(plain):
            self._unwrapped(day, wrapper)  # the file that named a program is lost: was it this one?
        for day, key in plain.items():
            # What lies there was left by a call that was cut short, perhaps of another program.
            remove_key_files(self._path(day, _WRAPPED))
            create_key_file(self._path(day, _WRAPPED), wrapper.wrap(self._name(day), key))
            if self._unwrapped(day, wrapper) != key:
                raise KeysUnavailable(f"{program.name} does not return the key of {day}")
        create_key_file(self._directory / _PROGRAM, str(program).encode())
        remove_key_files(*[self._path(day, _PLAIN) for day in plain])
        return len(plain)

    def days(self) -> tuple[int, ...]:
        """Return the days (since 1970) that have a key, in order."""
        names = {path.name for path in self._directory.glob(f"{_STEM}*")}
        found = {
            int(name.removeprefix(_STEM).removesuffix(suffix))
            for name in names
            for suffix in (_PLAIN, _WRAPPED)
            if name.endswith(suffix)
        }
        return tuple(sorted(found))

    def destroy(self, day: int) -> None:
        """Destroy a day's key: what that day sealed can never be opened again."""
        self._fetched.pop(day, None)
        remove_key_files(self._path(day, _PLAIN), self._path(day, _WRAPPED))

    def _keep(self) -> None:
        """Fetch today's key where it is still missing, and tomorrow's, for as long as we live."""
        pause = threading.Event()
        pause.wait(FIRST_LOOK_S)
        while True:
            self._fetch_quietly(0)
            self._fetch_quietly(1)
            pause.wait(LOOK_S)

    def _fetch_quietly(self, days_on: int) -> None:
        """Try to fetch a key; whoever then lacks it says so with every record."""
        day = system_time_us() // _DAY_US + days_on
        try:
            if day not in self._fetched:
                self.fetch(day)
        except (KeysUnavailable, OSError):
            return

    def _program(self) -> Path | None:
        named = read_key_file(self._directory / _PROGRAM, PATH_BYTES_MAX)
        return None if named is None else Path(named.decode())

    def _unwrapped(self, day: int, wrapper: KeyWrapper) -> bytes | None:
        wrapped = read_key_file(self._path(day, _WRAPPED), WRAPPED_BYTES_MAX)
        return None if wrapped is None else wrapper.unwrap(self._name(day), wrapped)

    def _read_plain(self, day: int) -> bytes | None:
        path = self._path(day, _PLAIN)
        key = read_key_file(path, KEY_BYTES)
        if key is not None and len(key) != KEY_BYTES:
            raise KeyFileUnusable(f"{path.name} does not hold a key of {KEY_BYTES} bytes")
        return key

    def _create_plain(self, day: int) -> bytes:
        create_key_file(self._path(day, _PLAIN), random_bytes(KEY_BYTES))
        created = self._read_plain(day)
        if created is None:
            raise KeyFileUnusable(f"{_STEM}{day} vanished while it was made")
        return created

    def _name(self, day: int) -> str:
        return f"{_STEM}{day}"

    def _path(self, day: int, suffix: str) -> Path:
        return self._directory / f"{_STEM}{day}{suffix}"
