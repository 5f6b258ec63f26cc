"""Opening a log whatever its state: a frozen one too, so that somebody goes on saying why."""

from __future__ import annotations

from gateway.audit.freeze import FrozenStore
from gateway.audit.grants import Tagger
from gateway.audit.instances import Instance
from gateway.audit.keys import LogKeys
from gateway.audit.log import AuditLog, open_log
from gateway.audit.place import LogHome, directory_of, place_of
from gateway.audit.seal import Sealer
from gateway.audit.store import LogFrozen


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
