"""Opening a log: held to its heads first, and a frozen one too, so that somebody says why."""

from __future__ import annotations

from gateway.audit.attach import open_store
from gateway.audit.disk.instances import Instance
from gateway.audit.disk.room import Limits
from gateway.audit.freeze import FrozenStore
from gateway.audit.grants import Tagger
from gateway.audit.incident import opening_record
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.lifecycle.start import check_start
from gateway.audit.log import AuditLog
from gateway.audit.place import LogHome, directory_of, place_of
from gateway.audit.seal import Sealer
from gateway.audit.store import LogFrozen


def open_log(
    home: LogHome, *, origin: str, instance: str, keys: LogKeys, limits: Limits | None = None
) -> AuditLog:
    """Open the log of `origin` in its home, made with its first record if it is not there.

    Every process opens its own. `instance` says which one in what operators read. Raises
    LogFrozen where the log contradicts a signed head, or is gone though there was one, which
    freezes it for all other processes too, and LogUnavailable where it cannot be opened.
    """
    verifier, receipts = keys.signer(origin).verifier, keys.receipt_signer(origin)
    shard = origin.rpartition("/")[2]
    place = place_of(home, shard)
    directory_of(place).mkdir(mode=0o700, parents=True, exist_ok=True)
    check_start(place, verifier, begun=keys.begun() is not None)
    sealer = Sealer(origin, keys)
    opening = sealer.seal(opening_record(verifier, receipts))
    store, present = open_store(place, origin, opening, sealer, label=instance)
    # Not before: whoever dies while the first log is made leaves none that was lost.
    keys.note_begun(shard)
    return AuditLog(
        store,
        sealer,
        path=place,
        instance=present,
        tagger=Tagger(keys.state_key()),
        receipts=receipts,
        limits=limits or Limits(),
    )


def open_even_frozen(home: LogHome, *, origin: str, instance: str, keys: LogKeys) -> AuditLog:
    """Open a log as `open_log` does; a frozen one refuses everything, and its files stay as is.

    A gateway on such a log goes on answering, with 503. Raises LogUnavailable where the log cannot
    be opened.
    """
    try:
        return open_log(home, origin=origin, instance=instance, keys=keys)
    except LogFrozen as frozen:
        place = place_of(home, origin.rpartition("/")[2])
        log = AuditLog(
            FrozenStore(frozen),
            Sealer(origin, keys),
            path=place,
            instance=Instance(directory_of(place), label=instance),
            tagger=Tagger(keys.state_key()),
            receipts=keys.receipt_signer(origin),
        )
        log.refuse(frozen)
        return log
