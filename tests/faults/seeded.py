"""Hosts with one bug each, of the kinds that no log may have; the model must find them all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from gateway.audit.entry import Kind
from gateway.audit.holds import read_holds
from gateway.audit.log import AuditLog
from gateway.audit.note import Checkpoint, Signer
from gateway.audit.place import Place
from gateway.audit.privacy.erasable import Selection, Tally, planned
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.reading.reader import snapshot
from gateway.audit.search.follow import Follower
from gateway.audit.sqlite import SqliteStore
from gateway.audit.store import Answer, Append, Claim, KeyChange, LogFrozen, Position
from gateway.audit.tree import SEALED_HEAD_NAME, write_sealed_head
from tests.faults.worlds import World
from tests.gateway.audit.records import record, selected, tampered

TRUE_UP_TO = 8


class _WrongSigner(Signer):
    """Signs another root than the tree's, once there are some records."""

    def sign(self, checkpoint: Checkpoint) -> str:
        """Sign it."""
        if checkpoint.size < TRUE_UP_TO:
            return super().sign(checkpoint)
        return super().sign(replace(checkpoint, root=hashlib.sha256(checkpoint.root).digest()))


class WrongRoot(World):
    """Its integrator signs wrong roots."""

    def make_integrator(self) -> Integrator:
        """Start it."""
        integrator = super().make_integrator()
        key = self.keys.signer(self.origin)._private_key
        integrator._signer = _WrongSigner(self.origin, key)
        return integrator


class EarlyAcknowledgement(World):
    """Its store acknowledges a batch, and stores it together with the next one."""

    def open_log(self, label: str) -> AuditLog:
        """Open it."""
        log = super().open_log(label)
        log._store.close()
        log._store = _EarlyStore(self.path, instance=log._instance.name)
        return log


class _EarlyStore(SqliteStore):
    _kept: Sequence[Append] = ()

    async def append(self, batch: Sequence[Append]) -> Sequence[Answer]:
        """Store what came before."""
        kept, self._kept = self._kept, batch
        if kept:
            await super().append(kept)
        (index,) = self._db.execute("SELECT next_index FROM audit_head").fetchone()
        return [Position(index + n, item.sealed.leaf_hash) for n, item in enumerate(batch)]


class ForgottenClaims(World):
    """Its store takes a claim whoever holds it."""

    def open_log(self, label: str) -> AuditLog:
        """Open it."""
        log = super().open_log(label)
        log._store.close()
        log._store = _CarelessStore(self.path, instance=log._instance.name)
        return log


class _CarelessStore(SqliteStore):
    def _take(self, claims: Iterable[Claim], now_us: int) -> None:
        super()._release([claim.key for claim in claims])
        super()._take(claims, now_us)


class SilentErasure(World):
    """It erases, and makes no record of it."""

    def erase(self, selection: Selection) -> Tally:
        """Erase from the newest shard."""
        tally = Tally()
        with snapshot(self.path) as db:
            holds = read_holds(db, self.keys.state_key())
            slots = list(
                planned(db, self.path, self.keys, selection, tally, holds=holds, agreements=())
            )
        for slot in slots:
            _overwrite(self.path, slot.change)
        return tally


def _overwrite(path: Place, change: KeyChange) -> None:
    if change.anew is None:
        tampered(path, "DELETE FROM audit_key WHERE leaf_index = ?", change.leaf_index)
    else:
        sql = "UPDATE audit_key SET wrapped = ? WHERE leaf_index = ?"
        tampered(path, sql, change.anew, change.leaf_index)


class EagerSweep(World):
    """Its sweeper closes whatever is open, also of those who live."""

    def sweep(self) -> int:
        """Close all."""
        still_open = selected(self.path, "SELECT exchange, intent_index FROM audit_open")
        for exchange, index in still_open:
            closing = record(Kind.INDETERMINATE, exchange, core={"intent": index})
            self.run(self.logs["first"].append(closing))
        return len(still_open)


class CredulousStart(World):
    """Where the head and the database contradict each other, it believes the database."""

    def open_log(self, label: str) -> AuditLog:
        """Open it."""
        try:
            return super().open_log(label)
        except LogFrozen:
            notes = selected(self.path, "SELECT note FROM audit_checkpoint ORDER BY size DESC")
            (self.audit / SEALED_HEAD_NAME).unlink()
            if notes:
                write_sealed_head(self.audit, notes[0][0])
            return super().open_log(label)


class SkippingIndex(World):
    """Its follower leaves a record out now and then, and says that it has been there."""

    def make_follower(self) -> Follower:
        """Start it."""
        return _SkippingFollower(self.path, keys=self.keys)


class _SkippingFollower(Follower):
    def step(self) -> bool:
        """Leave out the first of what is new."""
        row = self._db.execute("SELECT next_index FROM search_mark").fetchone()
        leaf = "SELECT leaf_hash FROM audit_record WHERE leaf_index = ?"
        if row is not None and (found := selected(self._path, leaf, row[0])):
            mark = "UPDATE search_mark SET next_index = next_index + 1, leaf_hash = ?"
            self._db.execute(mark, found[0])
        return super().step()


BUGS = {
    WrongRoot: "I5: (the head of size [0-9]+ signs another root|a start finds)",
    EarlyAcknowledgement: "I3: |I4: ",
    ForgottenClaims: "I4: ",
    SilentErasure: "I9: ",
    EagerSweep: "I8: ",
    CredulousStart: "I5: an old copy was taken for the log",
    SkippingIndex: "before the watermark is not found|I9: an erased person is found",
}
"""What the model says of each."""
