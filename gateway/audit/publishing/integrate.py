"""The integrator: grows the tree over new records, then signs, commits and publishes its head."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from pysqlite3 import dbapi2 as sqlite

from gateway.audit.disk.doubt import is_in_doubt
from gateway.audit.freeze import freeze, frozen_reason
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.note import Checkpoint
from gateway.audit.place import LogHome, PostgresFailed, directory_of, place_of
from gateway.audit.rounds import Report, keep_at
from gateway.audit.sqlite import failure_of
from gateway.audit.store import LogFrozen, LogUnavailable
from gateway.audit.tiles import Tile, completed_tiles, subtree_root
from gateway.audit.tree import StoredTree, write_sealed_head
from gateway.audit.upkeep import Connection, open_upkeep
from gateway.clock import monotonic_s, system_time_us

INTERVAL_S: Final = 1.0
# Peers are alarmed by a log that falls silent: without growth the same head is published again.
HEARTBEAT_S: Final = 600.0
LEAVES_PER_STEP_MAX: Final = 65_536


class Integrator:
    """Brings new records into the tree; of several on one host, the leader alone works.

    Indices are fixed before integration, so doing a step again gives the same tiles and root, and
    a crash anywhere in it is harmless.
    """

    def __init__(
        self, home: LogHome, *, origin: str, keys: LogKeys, heartbeat_s: float = HEARTBEAT_S
    ) -> None:
        """Work on the log of this origin, which must be provisioned (`opened.open_log`).

        A head that has not grown for `heartbeat_s` is published again.
        """
        self._heartbeat_s = heartbeat_s
        self._published_s = monotonic_s()
        place = place_of(home, origin.rpartition("/")[2])
        self._directory = directory_of(place)
        self._origin = origin
        self._signer = keys.signer(origin)
        self._upkeep = open_upkeep(place)
        self.published_size = 0

    @property
    def _db(self) -> Connection:
        return self._upkeep.db

    async def run(self, stop: asyncio.Event, report: Report) -> None:
        """Step about once a second until `stop` is set; see `keep_at`."""

        async def work() -> None:
            while await asyncio.to_thread(self.step):
                pass

        await keep_at(work, stop, report, interval_s=INTERVAL_S)

    def step(self) -> bool:
        """Integrate what has come, and publish it; tell whether there may be more at once.

        Raises LogFrozen, after freezing the log for every process, where the stored tree
        contradicts itself; LogUnavailable where the store fails.
        """
        try:
            return self._lead_step()
        except sqlite.Error as broken:
            raise failure_of(broken, self._directory) from broken
        except PostgresFailed as broken:
            raise LogUnavailable(f"the audit tree cannot be grown: {broken}") from broken
        except OSError as broken:
            raise LogUnavailable(f"the audit log's head cannot be sealed: {broken}") from broken

    def close(self) -> None:
        """Give up the lead, and the connection."""
        self._upkeep.close()

    def _lead_step(self) -> bool:
        if not self._upkeep.lead():
            return False
        try:
            self._check_unfrozen()
            return self._step_or_freeze()
        finally:
            self._upkeep.rest()

    def _check_unfrozen(self) -> None:
        """Do nothing to a log that is frozen: what froze this host may be mended, and thawed."""
        reason = frozen_reason(self._directory)
        if reason is not None:  # a head that is published now might replace one that proves more
            raise LogFrozen(reason)
        if is_in_doubt(self._directory):
            raise LogUnavailable("nothing is signed until the store has recovered from an error")

    def _step_or_freeze(self) -> bool:
        """Step; a contradiction in the stored tree itself freezes it for every host, for good."""
        try:
            return self._step()
        except LogFrozen as contradiction:
            self._upkeep.rest()
            with self._upkeep.writing() as db:
                db.execute("UPDATE audit_head SET state = 'frozen'")
            freeze(self._directory, str(contradiction))
            raise

    def _step(self) -> bool:
        size, root = self._tree()
        if self.published_size > size:
            raise LogFrozen(f"the tree has shrunk from {self.published_size} to {size} records")
        if self.published_size < size:
            self._publish_again(size)
            if not self._upkeep.lead():  # to confirm may have ended the step
                return True
            size, root = self._tree()
        self._upkeep.extend()
        next_index: int = self._db.execute("SELECT next_index FROM audit_head").fetchone()[0]
        if next_index == size:
            if size and monotonic_s() - self._published_s >= self._heartbeat_s:
                self._publish_again(size)
                self._note_published(size)
            return False
        new_size = min(next_index, size + LEAVES_PER_STEP_MAX)
        # Reading and hashing need no lock: what is read was committed, and is never changed.
        growth = _Growth(self._db)
        if growth.root(size) != root:
            raise LogFrozen(f"the stored root of size {size} is not the root of the log's records")
        tiles = growth.complete(size, new_size)
        head = Checkpoint(origin=self._origin, size=new_size, root=growth.root(new_size))
        note = self._signer.sign(head)
        self._commit(size, head, note, tiles)
        self._publish(note, new_size)
        return bool(new_size < next_index)

    def _tree(self) -> tuple[int, bytes]:
        size, root = self._db.execute("SELECT size, root FROM audit_tree").fetchone()
        return size, root

    def _commit(self, size: int, head: Checkpoint, note: str, tiles: Sequence[Tile]) -> None:
        now_us = system_time_us()
        with self._upkeep.writing() as db:
            db.executemany(
                "INSERT INTO audit_tile VALUES (?, ?, ?, ?)",
                [(tile.level, tile.index, tile.root, tile.hashes) for tile in tiles],
            )
            # What the sealed head covers is known once it is written, so it trails by a step.
            changed = db.execute(
                "UPDATE audit_tree SET size = ?, root = ?, published_size = ?,"
                " published_at = ? WHERE size = ?",
                (head.size, head.root, self.published_size, now_us, size),
            )
            if changed.rowcount != 1:
                raise LogUnavailable("another integrator is at work")
            db.execute(
                "INSERT INTO audit_checkpoint VALUES (?, ?, NULL, ?)",
                (head.size, note, now_us),
            )

    def _publish_again(self, size: int) -> None:
        """Publish what an earlier leader committed and did not live to publish."""
        note = self._db.execute(
            "SELECT note FROM audit_checkpoint WHERE size = ?", (size,)
        ).fetchone()
        if note is None:
            raise LogFrozen(f"the checkpoint of size {size} is missing from the log")
        self._upkeep.confirm()
        self._publish(note[0], size)

    def _note_published(self, size: int) -> None:
        """Keep when a head was published that no step has replaced since."""
        with self._upkeep.writing() as db:
            db.execute(
                "UPDATE audit_tree SET published_size = ?, published_at = ?",
                (size, system_time_us()),
            )

    def _publish(self, note: str, size: int) -> None:
        """Seal the head, outside of the database and whole."""
        write_sealed_head(self._directory, note)
        if not self.published_size:
            self._upkeep.note_sealed()
        self.published_size, self._published_s = size, monotonic_s()


class _Growth:
    """The stored tree with the tiles that one step completes laid over it."""

    def __init__(self, db: Connection) -> None:
        self._stored = StoredTree(db)
        self._fresh: dict[tuple[int, int], bytes] = {}

    def complete(self, size: int, new_size: int) -> list[Tile]:
        tiles: list[Tile] = []
        for tile in completed_tiles(size, new_size, self._hashes):
            self._fresh[tile.level + 1, tile.index] = tile.root
            tiles.append(tile)
        return tiles

    def root(self, size: int) -> bytes:
        return subtree_root(0, size, self._hashes)

    def _hashes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        fresh = [self._fresh.get((level, at)) for at in range(first, first + count)]
        known = next((at for at, item in enumerate(fresh) if item is not None), count)
        stored = self._stored.hashes(level, first, known) if known else []
        return [*stored, *[item for item in fresh[known:] if item is not None]]
