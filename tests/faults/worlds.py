"""The real parts of a log on a host that dies: files, processes' places, and what a kill leaves.

A process that is killed leaves its files as they are. So a crash is a copy of the files, made
while everything that writes them is still open; the host goes on with the copy alone.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from gateway.audit.disk.room import Limits
from gateway.audit.holds import adding, releasing
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.lifecycle.opened import open_log
from gateway.audit.lifecycle.shards import Retired, retire
from gateway.audit.lifecycle.sweep import Sweeper
from gateway.audit.log import AuditLog
from gateway.audit.privacy.erasable import Selection, Tally
from gateway.audit.privacy.erase import erase
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.reading.reader import find_log, find_shards, shard_name
from gateway.audit.search.follow import Follower
from gateway.audit.store import AppendRefused, Change, LogUnavailable, Position
from gateway.audit.tree import SEALED_HEAD_NAME
from tests.faults.model import Wanted
from tests.gateway.audit.erasing import ORDER
from tests.gateway.audit.lifecycle.test_shards import ACTOR, HOST
from tests.gateway.audit.records import ORIGIN, selected

MEMORY: Final = Path("/dev/shm")
"""What a killed process has written is there on any file system; one in memory is the quickest."""
ROOMY: Final = Limits(soft_bytes=0, hard_bytes=0, reserve_bytes=0)
WAL_HEADER_BYTES: Final = 32

_PUBLISHED: Final = (
    "SELECT h.origin, c.size, c.note FROM audit_head AS h, audit_tree AS t"
    " JOIN audit_checkpoint AS c ON c.size = t.published_size"
)

T = TypeVar("T")
Answer = Position | AppendRefused


class World:
    """A host with one log: `first` writes always, `second` and the others come and go."""

    def __init__(self) -> None:
        """Make an empty host."""
        memory = MEMORY if MEMORY.is_dir() else None
        self._folder = tempfile.TemporaryDirectory(dir=memory, prefix="concordat-model-")
        self.root = Path(self._folder.name)
        self.keys = LogKeys(self.root / "keys")
        self.audit = self.root / "host-0"
        self.crashes = 0
        self.logs: dict[str, AuditLog] = {}
        self.integrators: dict[str, Integrator] = {}
        self.follower: Follower | None = None
        self._runner = asyncio.Runner()

    @property
    def path(self) -> Path:
        """The newest shard's file."""
        return find_log(self.audit)

    @property
    def origin(self) -> str:
        """The newest shard's origin."""
        shards = find_shards(self.audit)
        return f"{HOST}/audit/{shard_name(shards[-1])}" if shards else ORIGIN

    def run(self, work: Awaitable[T]) -> T:
        """Run something on the host's event loop."""

        async def awaited() -> T:
            return await work

        return self._runner.run(awaited())

    def open_log(self, label: str) -> AuditLog:
        """Open the newest shard, with all checks of a start."""
        return open_log(
            self.audit, origin=self.origin, instance=label, keys=self.keys, limits=ROOMY
        )

    def start(self, label: str) -> str:
        """Start a writing process; return its instance's name."""
        log = self.open_log(label)
        self.run(log.start())
        self.logs[label] = log
        return log._instance.name

    def stop(self, label: str) -> str:
        """End a writing process in good order; return its instance's name."""
        log = self.logs.pop(label)
        self.run(log.stop())
        return log._instance.name

    def stop_all(self) -> None:
        """End everything in good order."""
        for label in [*self.logs]:
            self.stop(label)
        self.stop_integrators()
        self.stop_follower()

    def stop_integrators(self) -> None:
        """End the integrators; whoever comes next leads."""
        for integrator in self.integrators.values():
            integrator.close()
        self.integrators.clear()

    def stop_follower(self) -> None:
        """End the follower, which forgets what it remembered."""
        if self.follower is not None:
            self.follower.close()
            self.follower = None

    def append(self, handed: Sequence[tuple[str, Wanted]]) -> list[Answer]:
        """Hand records to writers, all at once; return what each of them was told."""

        async def hand() -> list[Answer]:
            answers = [
                self.logs[label].append(
                    wanted.record,
                    claims=wanted.claims,
                    releases=wanted.releases,
                    counters=[*wanted.counters, *self.changes(wanted)],
                )
                for label, wanted in handed
            ]
            told: list[Answer] = []
            for answer in await asyncio.gather(*answers, return_exceptions=True):
                if not isinstance(answer, Position | AppendRefused):
                    assert isinstance(answer, BaseException)
                    raise answer
                told.append(answer)
            return told

        return self.run(hand())

    def changes(self, wanted: Wanted) -> tuple[Change, ...]:
        """Return what changes the holds with a record."""
        if wanted.added is not None:
            return adding(wanted.added, self.keys.state_key())
        return releasing(wanted.released) if wanted.released is not None else ()

    def integrate(self, label: str) -> bool:
        """Let one of the integrators make a step; tell whether there is more."""
        if label not in self.integrators:
            self.integrators[label] = self.make_integrator()
        return self.integrators[label].step()

    def make_integrator(self) -> Integrator:
        """Start an integrator."""
        return Integrator(self.audit, origin=self.origin, keys=self.keys)

    def sweep(self) -> int:
        """Close what dead processes left open."""
        sweeper = Sweeper(self.logs["first"])
        try:
            return self.run(sweeper.sweep())
        finally:
            sweeper.close()

    def follow(self) -> bool:
        """Let the follower make a step; tell whether there is more."""
        if self.follower is None:
            self.follower = self.make_follower()
        return self.follower.step()

    def make_follower(self) -> Follower:
        """Start a follower."""
        return Follower(self.path, keys=self.keys)

    def erase(self, selection: Selection) -> Tally:
        """Erase from the newest shard."""
        work = erase(self.logs["first"], self.keys, selection, ORDER, agreements=())
        return self.run(work)

    def retire(self) -> Retired:
        """End the newest shard and begin the next; nothing may run."""
        return self.run(
            retire(self.audit, host=HOST, keys=self.keys, reason="in a test", actor=ACTOR)
        )

    def crash(self, during: Callable[[], object], *, written: float, published: bool) -> None:
        """Kill everything in the midst of something, or after it but before anybody was told.

        Of what it wrote to the log, the share `written` is there; a head that it published is,
        unless everybody died before. Nothing of it is known to anybody outside.
        """
        wal = self.path.with_name(f"{self.path.name}-wal")
        head = self.audit / SEALED_HEAD_NAME
        old_wal, old_head = _read(wal), _read(head)
        old_file = self.path.stat().st_mtime_ns
        during()
        self.crashes += 1
        left = self.root / f"host-{self.crashes}"
        shutil.copytree(self.audit, left, ignore=shutil.ignore_patterns("*-shm"))
        grown = len(_read(wal)) - len(old_wal)
        same = _read(wal).startswith(old_wal[:WAL_HEADER_BYTES])
        cut = written < 1 and grown > 0 and same and self.path.stat().st_mtime_ns == old_file
        if cut:
            with (left / wal.name).open("r+b") as torn:
                torn.truncate(len(old_wal) + int(grown * written))
        if cut or not published:
            _put_head(left, old_head)
        self._bury()
        self.audit = left

    def _bury(self) -> None:
        """Be rid of what died, whose files nobody looks at any more."""
        self.stop_all()
        shutil.rmtree(self.audit)

    def close(self) -> None:
        """End everything, and forget the host."""
        with suppress(LogUnavailable):
            self.stop_all()
        self._runner.close()
        self._folder.cleanup()


def _put_head(audit: Path, head: bytes) -> None:
    """Leave the head as it was before, or the one that the log says was published since."""
    (audit / SEALED_HEAD_NAME).unlink(missing_ok=True)
    notes = selected(find_log(audit), _PUBLISHED)
    if notes:
        ((origin, size, note),) = notes
        lines = head.decode().split("\n")
        if lines[0] != origin or int(lines[1]) < size:
            head = note.encode()
    if head:
        (audit / SEALED_HEAD_NAME).write_bytes(head)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
