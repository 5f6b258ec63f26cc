"""One gibibyte each way through a real gateway, whose memory stays flat."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import find_log
from gateway.audit.search.query import Filters, find, show
from gateway.database import open_engine
from gateway.exchange.watch import WINDOW_BYTES
from gateway.registry.store import Registry, StopKind
from gateway.settings import load_settings
from tests.issuing import METADATA_PATH, IssuerServer
from tests.running import (
    AGREEMENT,
    FIELDS,
    ISSUER,
    ITEM,
    PROVIDER,
    Running,
    free_port,
    running_gateway,
    write_configuration,
)
from tests.tokens import SigningKey, make_key

GIBIBYTE = 1 << 30
GROWTH_BYTES_MAX = 32 << 20
"""What a worker's memory may grow by, whatever passes through it."""
PATIENCE_S = 90.0
BROKEN = (OSError, ValueError, AssertionError)
"""What reading a message raises that ends before its end."""

pytestmark = pytest.mark.timeout(300)

FILES = "/plain/v1/files"
"""Where files may be sent, which go to the service unread."""

HEADER = ",".join((*FIELDS, "secret")).encode() + b"\r\n"
ROW = b",".join((b"y" * 200,) * len(FIELDS)) + b",0\r\n"
BLOCK = ROW * ((1 << 18) // len(ROW))
BLOCKS = GIBIBYTE // len(BLOCK) + 1


Stage = tuple[Running, SigningKey, "Service"]


class Service:
    """A department that serves a table of one gibibyte and takes as much."""

    def __init__(self, listener: socket.socket) -> None:
        """Listen on `listener`."""
        self.listener = listener
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.taken_bytes = 0
        self.taken = hashlib.sha256()

    def serve(self) -> None:
        """Serve connections one after another, until the listener is closed."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            # Whatever the gateway does is its right: this side only plays its part.
            with connection, reading(connection) as lines, suppress(*BROKEN):
                while self.answer(connection, lines):
                    pass

    def answer(self, connection: socket.socket, lines: BufferedReader) -> bool:
        """Answer one request; False where there is none."""
        head = read_head(lines)
        if not head:
            return False
        if head.startswith((b"GET", b"HEAD")):
            connection.sendall(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ncontent-length: %d\r\n\r\n"
                % (len(HEADER) + len(BLOCK) * BLOCKS)
            )
            if head.startswith(b"HEAD"):
                return True
            connection.sendall(HEADER)
            for _ in range(BLOCKS):
                connection.sendall(BLOCK)
            return True
        assert b"transfer-encoding: chunked" in head
        self.taken_bytes, self.taken = 0, hashlib.sha256()
        for piece in content(lines):
            self.taken_bytes += len(piece)
            self.taken.update(piece)
        answer = b'{"field_00": "taken"}'
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(answer), answer)
        )
        return True


def reading(connection: socket.socket) -> BufferedReader:
    """Return what reads lines and lengths off a connection."""
    return BufferedReader(socket.SocketIO(connection, "rb"), 1 << 20)


def read_head(lines: BufferedReader) -> bytes:
    """Read a head up to its empty line."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = lines.readline()
        if not line:
            return b""
        head += line
    return head


def content(lines: BufferedReader) -> Iterator[bytes]:
    """Yield the chunks of a message; its last one has to come."""
    while True:
        size = int(lines.readline(), 16)
        if not size:
            assert lines.readline() == b"\r\n"
            return
        yield lines.read(size)
        assert lines.read(2) == b"\r\n"


@contextmanager
def service() -> Iterator[Service]:
    """Serve while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = Service(listener)
        thread = threading.Thread(target=serving.serve, daemon=True)
        thread.start()
        yield serving
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(PATIENCE_S)


def memory(pid: int, name: str) -> int:
    """Return a figure of a process's memory, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise AssertionError(name)


@contextmanager
def called(running: Running, head: bytes) -> Iterator[tuple[socket.socket, BufferedReader]]:
    """Send a head to the gateway, and hand over the connection."""
    host, port = running.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(head)
        with reading(connection) as lines:
            yield connection, lines


def request(running: Running, key: SigningKey, method: str, path: str, more: str = "") -> bytes:
    """Return the head of a request."""
    host = running.base_url.removeprefix("http://")
    return (
        f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n"
        f"Authorization: Bearer {running.token(key)}\r\n{more}\r\n"
    ).encode()


def fields(head: bytes) -> dict[str, str]:
    """Return the header fields of an answer."""
    lines = head.decode().split("\r\n")[1:-2]
    return dict(line.split(": ", 1) for line in lines)


def recorded(running: Running, exchange_id: str) -> dict[str, Any]:
    """Return what the log says of an exchange."""
    keys = LogKeys(running.home / "keys")
    identifier = bytes.fromhex(exchange_id.replace("-", ""))
    return dict(show(find_log(running.home / "audit"), identifier, keys=keys) or {})


def allow_files(configuration: Path) -> None:
    """Let files be sent under the one agreement."""
    (path,) = configuration.glob("agreements/*.yaml")
    agreement = json.loads(path.read_text())
    (rule,) = agreement["access"]["rules"]
    files = rule | {"id": "FILES", "methods": ["POST"], "path": FILES, "action": "collection"}
    files["body_media_types_allowed"] = ["text/csv"]
    agreement["access"]["rules"].append(files)
    path.write_text(json.dumps(agreement))


@contextmanager
def stage(directory: Path, url: str) -> Iterator[tuple[Running, SigningKey]]:
    """Run a gateway with one worker in front of a service."""
    key = make_key()
    ready, over = threading.Event(), asyncio.Event()
    found: list[Any] = []

    async def issue() -> None:
        async with IssuerServer(key) as issuer:
            keys_url = f"{issuer.issuer}/jwks.json"
            issuer.documents[METADATA_PATH] = {"issuer": ISSUER, "jwks_uri": keys_url}
            found.extend((issuer.issuer + METADATA_PATH, asyncio.get_running_loop()))
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(issue()), daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_S)
    configuration = directory / "configuration"
    write_configuration(configuration, service_url=url, metadata_url=found[0])
    allow_files(configuration)
    try:
        with running_gateway(directory / "home", configuration, port=free_port()) as running:
            yield running, key
    finally:
        found[1].call_soon_threadsafe(over.set)
        thread.join(PATIENCE_S)


def download(running: Running, key: SigningKey) -> None:
    """Take the table, filtered, and compare it with its record."""
    sha256, taken = hashlib.sha256(), 0
    with called(running, request(running, key, "GET", ITEM)) as (_, lines):
        head = fields(read_head(lines))
        assert head["transfer-encoding"] == "chunked"
        for piece in content(lines):
            sha256.update(piece)
            taken += len(piece)
    kept = ROW.replace(b",0\r\n", b"\r\n")
    assert taken == len(HEADER) - len(b",secret") + len(kept) * (len(BLOCK) // len(ROW)) * BLOCKS
    record = recorded(running, head["exchange-id"])
    kinds = [entry["kind"] for entry in record["entries"]]
    assert (kinds[0], kinds[-1]) == (Kind.INTENT, Kind.OUTCOME)
    assert kinds.count(Kind.PROGRESS) >= taken // WINDOW_BYTES - 1
    assert (record["bytes"], record["fields_never"]) == (taken, ["secret"])


def upload(running: Running, key: SigningKey, served: Service) -> None:
    """Send the table, as soon as it is wanted, and compare it with its record."""
    more = "Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n"
    with called(running, request(running, key, "POST", FILES, more)) as (connection, lines):
        assert read_head(lines) == b"HTTP/1.1 100 Continue\r\n\r\n"
        block = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK)
        for _ in range(BLOCKS):
            connection.sendall(block)
        connection.sendall(b"0\r\n\r\n")
        head = read_head(lines)
        assert head.startswith(b"HTTP/1.1 200")
    assert served.taken_bytes == len(BLOCK) * BLOCKS
    record = recorded(running, fields(head)["exchange-id"])
    kinds = [entry["kind"] for entry in record["entries"]]
    assert (kinds[0], kinds[-1]) == (Kind.INTENT, Kind.OUTCOME)
    assert kinds.count(Kind.PROGRESS) >= served.taken_bytes // WINDOW_BYTES - 1
    assert record["request_bytes"] == served.taken_bytes
    digest = b64encode(served.taken.digest()).decode()
    assert record["sections"]["payload"]["request_digest"] == f"sha-256=:{digest}:"


@pytest.fixture(scope="module")
def running_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Run one gateway for all tests of this file."""
    directory = tmp_path_factory.mktemp("streams")
    with service() as served, stage(directory, served.url) as (running, key):
        yield running, key, served


def test_a_gibibyte_each_way_leaves_memory_flat(running_stage: Stage) -> None:
    """Rows are filtered on the way out, progress is on record, and nothing piles up."""
    running, key, served = running_stage
    (worker,) = running.workers
    before = memory(worker, "VmRSS")
    download(running, key)
    upload(running, key, served)
    assert memory(worker, "VmHWM") - before <= GROWTH_BYTES_MAX


def test_a_suspended_agreement_cuts_the_answer_that_is_under_way(running_stage: Stage) -> None:
    """The consumer sees an incomplete message, and the record says why."""
    running, key, _ = running_stage
    settings = load_settings(running.home, organisation=PROVIDER, public_base_url=running.base_url)
    engine = open_engine(settings.database_url)
    registry = Registry(engine)
    with called(running, request(running, key, "GET", ITEM)) as (_, lines):
        head = fields(read_head(lines))
        pieces = content(lines)
        next(pieces)
        registry.stop(StopKind.AGREEMENT, AGREEMENT, reason="wrong recipient", by="tests")
        try:
            with pytest.raises(BROKEN):
                read_slowly(pieces)
        finally:
            registry.resume(StopKind.AGREEMENT, AGREEMENT)
            engine.dispose()
            until(lambda: permitted(running, key))
    record = recorded(running, head["exchange-id"])
    assert (record["cut"], record["reason"]) == ("agreement-not-active", "AGREEMENT_NOT_ACTIVE")
    assert record["bytes"] < GIBIBYTE


def test_a_caller_who_leaves_while_sending_leaves_an_outcome(running_stage: Stage) -> None:
    """N-05: the service sees an incomplete request, and the record says how much there was."""
    running, key, _ = running_stage
    more = "Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n"
    head = request(running, key, "POST", FILES, f"X-Request-ID: gone\r\n{more}")
    with called(running, head) as (connection, _):
        connection.sendall(b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK))
    until(lambda: gave_up(running))


def read_slowly(pieces: Iterator[bytes]) -> None:
    """Read to the end, slower than it comes."""
    for _ in pieces:
        time.sleep(0.002)


def until(holds: Callable[[], bool]) -> None:
    """Wait for what another process does, with bounded patience."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def permitted(running: Running, key: SigningKey) -> bool:
    """Tell whether the agreement answers."""
    with called(running, request(running, key, "HEAD", ITEM)) as (_, lines):
        return read_head(lines).startswith(b"HTTP/1.1 200")


def gave_up(running: Running) -> bool:
    """Tell whether an exchange is on record whose caller left."""
    page = find(
        find_log(running.home / "audit"), Filters(status=499), keys=LogKeys(running.home / "keys")
    )
    return any(record.get("cut") == "client-gone" for record in page.items)
