"""Where logs are: SQLite files in a directory, or schemas of a PostgreSQL database."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from socket import gethostname
from typing import Final, overload

SHARD_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
"""What a shard may be called: the last part of its origin, mostly a year."""

SCHEMA_PREFIX: Final = "audit_"


class PostgresFailed(Exception):
    """PostgreSQL refused a statement, or could not be reached.

    The message names no value that a statement carried. `sqlstate` is PostgreSQL's own code of
    five characters, or None where the connection failed.
    """

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        """Keep the code."""
        super().__init__(message)
        self.sqlstate: Final = sqlstate


@dataclass(frozen=True, slots=True)
class PostgresLog:
    """One shard in PostgreSQL: a schema of its own, with the tables that a SQLite file has.

    `directory` is where this host keeps its copy of the newest signed head; `url` may hold a
    password, and is never shown.
    """

    url: str = field(repr=False)
    schema: str
    directory: Path

    @property
    def parent(self) -> Path:
        """Return the directory on this host that belongs to the shard, as a file's parent is."""
        return self.directory

    @property
    def host(self) -> str:
        """Return what this host, and this home on it, is called among those that use the log."""
        return f"{gethostname()}:{self.directory.absolute()}"

    @property
    def stem(self) -> str:
        """Return what the shard's file would be called without its suffix."""
        return f"audit-{self.schema.removeprefix(SCHEMA_PREFIX)}"

    @property
    def name(self) -> str:
        """Return what people are shown."""
        return self.schema

    def with_name(self, name: str) -> Path:
        """Return a file of this host that belongs to the shard, such as its search index."""
        return self.directory / name

    def exists(self) -> bool:
        """Tell nothing: only the server knows, and says so when it is asked."""
        return True


@dataclass(frozen=True, slots=True)
class PostgresHome:
    """A PostgreSQL database that holds a body's shards; `directory` as for `PostgresLog`."""

    url: str = field(repr=False)
    directory: Path


Place = Path | PostgresLog
"""One shard of a log: a SQLite file, or a schema in PostgreSQL."""

LogHome = Path | PostgresHome
"""Where a body's shards are: a directory of SQLite files, or a PostgreSQL database."""


def directory_of(place: Place) -> Path:
    """Return the directory on this host that belongs to a log: of its file, or of its heads."""
    return place.directory if isinstance(place, PostgresLog) else place.parent


def home_of(place: Place) -> LogHome:
    """Return where a shard's log is, the other shards of it too."""
    if isinstance(place, PostgresLog):
        return PostgresHome(place.url, place.directory)
    return place.parent


@overload
def place_of(home: Path, shard: str) -> Path:
    """Return a file."""


@overload
def place_of(home: PostgresHome, shard: str) -> PostgresLog:
    """Return a schema."""


@overload
def place_of(home: LogHome, shard: str) -> Place:
    """Return either."""


def place_of(home: LogHome, shard: str) -> Place:
    """Return the place of a shard; ValueError if that is no name for one."""
    if SHARD_NAME.fullmatch(shard) is None:
        raise ValueError(f"{shard!r} is no name for a shard of the audit log")
    if isinstance(home, PostgresHome):
        return PostgresLog(home.url, f"{SCHEMA_PREFIX}{shard}", home.directory)
    return home / f"audit-{shard}.db"
