"""What the log gives outsiders of single records: proofs, openings of what is clear, receipts.

Everything is made against the published checkpoint: one that outsiders have never seen would show
nothing, and a rollback could take it back unseen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from gateway.audit.entry import (
    KIND_CODES,
    EntryInvalid,
    Kind,
    commitment_text,
    open_section,
    section_context,
    unpack_sections,
    unwrap_keys,
)
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.merkle import consistency_proof, inclusion_proof
from gateway.audit.note import format_consistency, format_proof, read_unsigned
from gateway.audit.place import LogHome, Place
from gateway.audit.publishing.published import Head, published_head
from gateway.audit.reading.reader import find_shards, snapshot
from gateway.audit.receipts import RECEIPT_KEY
from gateway.audit.search.opening import KINDS_BY_CODE, beginning_of
from gateway.audit.sqlite import Connection
from gateway.audit.store import LogUnavailable
from gateway.audit.tree import StoredTree

# How many records are looked through at a time for the next one of an exchange.
ROWS_PER_LOOK: Final = 100_000
# How long after an exchange began a late outcome may follow the record that closed it.
LATE_US_MAX: Final = 2 * 3_600_000_000

_COLUMNS: Final = "leaf_index, record_id, exchange, kind, leaf_hash, entry, sections"
_ENDINGS: Final = (Kind.LATE_OUTCOME, Kind.OUTCOME, Kind.INDETERMINATE, Kind.DENY, Kind.INTENT)
"""Kinds that a receipt is given for, what says most of how an exchange ended first."""


_ENDED: Final = (Kind.OUTCOME, Kind.LATE_OUTCOME)
_FOLLOWED: Final = (Kind.INTENT, Kind.PROGRESS)
"""Kinds after which an exchange that is not open any more has another record."""


class Located(NamedTuple):
    """A record as it lies in the log, at the index `place`."""

    place: int
    record_id: bytes
    exchange: bytes | None
    kind: Kind
    leaf_hash: bytes
    entry: bytes
    sections: bytes


def format_proved(
    records: Iterable[tuple[str, str | None, Mapping[str, Mapping[str, str]]]],
) -> str:
    """Return entries, their proofs and opened sections as `tiles.check_proved` reads them."""
    listed = [
        {"entry": entry, "proof": proof, **({"opened": opened} if opened else {})}
        for entry, proof, opened in records
    ]
    return json.dumps({"records": listed}, indent=1) + "\n"


def find_place(directory: LogHome, exchange: bytes) -> Place | None:
    """Return the shard that holds an exchange's records, the newest first; None if none does.

    Raises LogUnavailable where a shard cannot be read.
    """
    for place in reversed(find_shards(directory)):
        with snapshot(place) as db:
            if beginning_of(db, exchange) is not None:
                return place
    return None


def records_of(place: Place, exchange: bytes) -> list[Located]:
    """Return all records of an exchange in the order of the log, none if there are none.

    Raises LogUnavailable where the log cannot be read, or the exchange's end is missing from it.
    """
    with snapshot(place) as db:
        return _records_of(db, exchange)


def prove_exchange(place: Place, exchange: bytes) -> str:
    """Return the proved records of an exchange, as `tiles.check_proved` reads them.

    A record that no published checkpoint covers yet has no proof. Raises LookupError if the log
    has none of the exchange, LogUnavailable where it cannot be read.
    """
    head = published_head(place)
    with snapshot(place) as db:
        records = _records_of(db, exchange)
        if not records:
            raise LookupError("the log has no record of the exchange")
        return _proved(db, head, records)


def prove_index(place: Place, index: int) -> tuple[Located, str | None]:
    """Return a record and its tlog-proof, None if no published checkpoint covers it yet.

    Raises LookupError if the log has no such record, LogUnavailable where it cannot be read.
    """
    head = published_head(place)
    with snapshot(place) as db:
        record = _at(db, index)
        return record, _proof(db, head, record)


def prove_announcement(place: Place, public_text: str) -> str:
    """Return the proved record in which the log announces a receipt key, with its `core` opened.

    Raises LookupError where it announces no such key, LogUnavailable where it cannot be read.
    """
    index = find_announcement(place, public_text)
    if index is None:
        raise LookupError("the log does not announce this receipt key")
    head = published_head(place)
    with snapshot(place) as db:
        return _proved(db, head, [_at(db, index)], opened=("core",))


def find_announcement(place: Place, public_text: str) -> int | None:
    """Return the index of the record that announces a receipt key, or None; see LogUnavailable."""
    with snapshot(place) as db:
        # Nearly always the first record does; only a log that is older than its key is read on.
        first = db.execute("SELECT leaf_index, sections FROM audit_record WHERE leaf_index = 0")
        found = _announced(first, public_text)
        if found is not None:
            return found
        changes = db.execute(
            "SELECT leaf_index, sections FROM audit_record WHERE kind = ? ORDER BY leaf_index",
            (KIND_CODES[Kind.CHANGE],),
        )
        return _announced(changes, public_text)


def _announced(rows: Iterable[tuple[int, bytes]], public_text: str) -> int | None:
    for index, sections in rows:
        core = next((it.body for it in unpack_sections(sections) if it.name == "core"), b"{}")
        if json.loads(core).get(RECEIPT_KEY) == public_text:
            return index
    return None


def prove_consistency(place: Place, old_size: int, new_note: str) -> str:
    """Return the proof that the tree of `old_size` records grew into that of a checkpoint.

    It is made from the records as they are now: it verifies only if both checkpoints are of this
    log. Raises ValueError where the sizes cannot be, LogUnavailable where the log cannot be read.
    """
    new_size = read_unsigned(new_note).size
    with snapshot(place) as db:
        size = db.execute("SELECT size FROM audit_tree").fetchone()[0]
        if not 0 <= old_size <= new_size <= size:
            raise ValueError(f"the log has checkpoints of at most {size} records, the later larger")
        proof = consistency_proof(old_size, new_size, StoredTree(db).subtree) if old_size else []
        return format_consistency(old_size, proof, new_note)


def checkpoint_of(place: Place, size: int) -> str:
    """Return the published checkpoint of a size; raise LookupError if there is none of it."""
    head = published_head(place)
    with snapshot(place) as db:
        row = db.execute("SELECT note FROM audit_checkpoint WHERE size = ?", (size,)).fetchone()
    if row is None or head is None or size > head.size:
        raise LookupError(f"no checkpoint of {size} records was published")
    return str(row[0])


def receipt_of(
    place: Place, exchange: bytes, keys: LogKeys, *, kind: Kind | None = None
) -> str | None:
    """Return the receipt for how an exchange ended, or for its record of `kind`; None without one.

    The digests of its bodies are in it while they are known: their section may have been erased.
    Raises LogUnavailable where the log cannot be read.
    """
    with snapshot(place) as db:
        records = {record.kind: record for record in _records_of(db, exchange)}
        wanted = _ENDINGS if kind is None else (kind,)
        record = next((records[one] for one in wanted if one in records), None)
        if record is None:
            return None
        origin = str(db.execute("SELECT origin FROM audit_head").fetchone()[0])
        opened = [_payload(db, origin, it, keys) for it in records.values()]
    digests = {name: text for payload in opened for name, text in payload.items()}
    return keys.receipt_signer(origin).sign(
        exchange,
        record.kind,
        index=record.place,
        leaf_hash=record.leaf_hash,
        response_digest=digests.get("response_digest") if record.kind in _ENDED else None,
        request_digest=digests.get("request_digest"),
    )


def _payload(db: Connection, origin: str, record: Located, keys: LogKeys) -> Mapping[str, str]:
    """Return the digests in a record's sealed section, as far as its key was not erased."""
    sealed = next((it for it in unpack_sections(record.sections) if it.name == "payload"), None)
    row = db.execute(
        "SELECT kek_id, wrapped FROM audit_key WHERE leaf_index = ?", (record.place,)
    ).fetchone()
    day_key = keys.find_day_key(row[0]) if row is not None else None
    if sealed is None or day_key is None:
        return {}
    try:
        key = unwrap_keys(day_key, origin, record.record_id, row[1])["payload"]
        _, body = open_section(key, section_context(origin, record.record_id, "payload"), sealed[2])
    except (EntryInvalid, KeyError):  # told by verification; the receipt goes without digests
        return {}
    names = ("request_digest", "response_digest")
    return {name: item for name, item in json.loads(body).items() if name in names}


def _proved(
    db: Connection, head: Head | None, records: Sequence[Located], *, opened: Sequence[str] = ()
) -> str:
    listed = []
    for record in records:
        sections = {
            it.name: {"salt": commitment_text(it.salt), "body": it.body.decode()}
            for it in unpack_sections(record.sections)
            if it.name in opened and it.salt is not None
        }
        listed.append((record.entry.decode("ascii"), _proof(db, head, record), sections))
    return format_proved(listed)


def _proof(db: Connection, head: Head | None, record: Located) -> str | None:
    if head is None or record.place >= head.size:
        return None
    hashes = inclusion_proof(record.place, head.size, StoredTree(db).subtree)
    return format_proof(record.place, hashes, head.note)


def _at(db: Connection, index: int) -> Located:
    row = db.execute(
        f"SELECT {_COLUMNS} FROM audit_record WHERE leaf_index = ?",  # noqa: S608 - constants
        (index,),
    ).fetchone()
    if row is None:
        raise LookupError(f"the log has no record at index {index}")
    return _located(row)


def _records_of(db: Connection, exchange: bytes) -> list[Located]:
    index = beginning_of(db, exchange)
    first = None if index is None else _at(db, index)
    records = [] if first is None else [first]
    is_open = db.execute("SELECT 1 FROM audit_open WHERE exchange = ?", (exchange,)).fetchone()
    # What an open exchange has done meanwhile is not looked for: it may be anywhere in the rows.
    following = _next_of(db, first) if first is not None and not is_open else None
    while following is not None:
        records.append(following)
        following = _next_of(db, following)
    return records


def _next_of(db: Connection, last: Located) -> Located | None:
    """Return the next record of the exchange of `last`, which is not open; None after its last.

    Raises LogUnavailable where there must be one and is none: what is shown is never shortened.
    """
    if last.kind not in (*_FOLLOWED, Kind.INDETERMINATE) or last.exchange is None:
        return None
    end: int = db.execute("SELECT next_index FROM audit_head").fetchone()[0]
    late_us = int.from_bytes(last.exchange[:6], "big") * 1_000 + LATE_US_MAX
    for start in range(last.place + 1, end, ROWS_PER_LOOK):
        row = db.execute(
            f"SELECT {_COLUMNS} FROM audit_record"  # noqa: S608 - constants
            " WHERE leaf_index >= ? AND leaf_index < ? AND exchange = ?"
            " ORDER BY leaf_index LIMIT 1",
            (start, start + ROWS_PER_LOOK, last.exchange),
        ).fetchone()
        if row is not None:
            return _located(row)
        began = db.execute("SELECT t FROM audit_record WHERE leaf_index = ?", (start,)).fetchone()
        if last.kind is Kind.INDETERMINATE and began is not None and began[0] > late_us:
            return None
    if last.kind in _FOLLOWED:
        raise LogUnavailable("the log does not hold how the exchange ended")
    return None


def _located(row: tuple[int, bytes, bytes | None, int, bytes, bytes, bytes]) -> Located:
    index, record_id, exchange, kind, leaf_hash, entry, sections = row
    code = KINDS_BY_CODE[kind]
    return Located(index, record_id, exchange, code, leaf_hash, entry, sections)
