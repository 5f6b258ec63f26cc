"""Secrets by reference: configuration says where a secret lies, and never holds it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ENVIRONMENT_PREFIX: Final = "CONCORDAT_SECRET_"
"""Only variables of this prefix can be named: the rest of the environment is nobody's secret."""
SECRET_BYTES_MAX: Final = 64 * 1024
"""Size of a secret; a chain of certificates fits in it."""

_FILE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_VARIABLE: Final = re.compile(r"[A-Z0-9_]+")
_REFERENCE_CHARS_MAX: Final = 256
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class ReferenceInvalid(ValueError):
    """A text that refers to no secret. The message does not repeat it: it may be the secret."""


class SecretUnavailable(Exception):
    """A secret cannot be read; the message names the reference and what mends it."""


class Secret:
    """A secret's bytes, which show in no repr, log or traceback."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        """Hold `value`."""
        self._value = value

    def __repr__(self) -> str:
        """Return the same for every secret."""
        return "Secret(…)"

    def reveal(self) -> bytes:
        """Return the bytes, for whoever sends them where they belong."""
        return self._value


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretReference:
    """Where a secret lies: ``file:NAME`` below the secrets directory, or ``env:VARIABLE``."""

    source: str
    name: str

    @staticmethod
    def parse(text: str) -> SecretReference:
        """Read a reference.

        Raises:
            ReferenceInvalid: for anything else, such as a secret itself or a path elsewhere.
        """
        source, _, name = text.partition(":")
        if len(text) <= _REFERENCE_CHARS_MAX:
            if source == "file" and _FILE.fullmatch(name):
                return SecretReference(source=source, name=name)
            variable = name.removeprefix(ENVIRONMENT_PREFIX)
            if source == "env" and variable != name and _VARIABLE.fullmatch(variable):
                return SecretReference(source=source, name=name)
        raise ReferenceInvalid(
            "a secret is referred to as file:NAME, below the secrets directory, or as "
            f"env:{ENVIRONMENT_PREFIX}NAME; it never stands here itself"
        )

    def __str__(self) -> str:
        """Return the reference as it is written."""
        return f"{self.source}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretStore:
    """The places where this host keeps secrets; the default has none.

    `directory` holds those of ``file:``, `environment` is the process's environment for ``env:``.
    """

    directory: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def read(self, reference: SecretReference) -> Secret:
        """Read a secret; one line end after it does not belong to it. Reads from disk.

        Raises:
            SecretUnavailable: it is not there, empty, or open to others than its owner.
        """
        if reference.source == "env":
            value = self.environment.get(reference.name, "").encode("utf-8", "surrogateescape")
        else:
            value = _read_private(self.path_of(reference), reference)
        value = value.removesuffix(b"\n").removesuffix(b"\r")
        if not value:
            raise SecretUnavailable(f"{reference} is not set or empty")
        return Secret(value)

    def path_of(self, reference: SecretReference) -> Path:
        """Return the file of a ``file:`` reference.

        Raises:
            SecretUnavailable: there is no secrets directory, or the reference names no file.
        """
        if self.directory is None or reference.source != "file":
            raise SecretUnavailable(f"{reference} does not lead to a file of this host")
        return self.directory / reference.name

    def private_path_of(self, reference: SecretReference) -> Path:
        """Return the file of a reference after reading it, for libraries that read it themselves.

        Raises:
            SecretUnavailable: as `read`.
        """
        self.read(reference)
        return self.path_of(reference)


def _read_private(path: Path, reference: SecretReference) -> bytes:
    try:
        with path.open("rb") as file:
            # Judged on the file that is open: another one may have the name a moment later.
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise SecretUnavailable(f"{reference} is no file")
            if mode & _OTHERS:
                raise SecretUnavailable(f"others may use {reference}; mend it: chmod go-rwx {path}")
            value = file.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SecretUnavailable(f"{reference} cannot be read: {reason}") from None
    if len(value) > SECRET_BYTES_MAX:
        raise SecretUnavailable(f"{reference} is larger than {SECRET_BYTES_MAX} bytes")
    return value
