"""Records about the log itself: its beginning, failures of its store, a clock that jumped."""

from __future__ import annotations

from enum import StrEnum

from gateway.audit.entry import Kind, Record
from gateway.audit.note import Verifier
from gateway.audit.receipts import ReceiptSigner
from gateway.clock import new_uuid7, system_time_us


class Incident(StrEnum):
    """What happened; the value stands in the `core` of the record, as `incident` [contract]."""

    IO_ERROR = "io_error"
    DISK_FULL = "disk_full"
    DISK_FREE = "disk_free"
    CLOCK_STEP = "clock_step"


def incident_record(what: Incident, **facts: int | str) -> Record:
    """Return the `log.incident` record of something that has just been noticed."""
    return Record(
        record_id=new_uuid7(),
        kind=Kind.INCIDENT,
        exchange=None,
        at_us=system_time_us(),
        sections={"core": {"incident": what.value, **facts}},
    )


def opening_record(verifier: Verifier, receipts: ReceiptSigner, **more: object) -> Record:
    """Return the first record of a shard: its origin, its keys, and `more` about how it began."""
    known = {"origin": verifier.name, "vkey": verifier.vkey(), **receipts.announced()}
    return Record(
        record_id=new_uuid7(),
        kind=Kind.OPEN,
        exchange=None,
        at_us=system_time_us(),
        sections={"core": {**known, **more}},
    )
