"""Recorded decisions, each with what its record keeps of its inputs, for replay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateway.audit.entry import (
    KIND_CODES,
    EntryInvalid,
    Kind,
    StoredSection,
    commit,
    commitment_text,
    open_section,
    parse_entry,
    section_context,
    unpack_sections,
    unwrap_keys,
)
from gateway.audit.privacy.keyed import BODY_MS_MAX, ROWS_PER_READ, SKEW_MS, Connection, Opener

UUID_BYTES: Final = 16

_KINDS: Final = (KIND_CODES[Kind.INTENT], KIND_CODES[Kind.DENY])
_ROWS: Final = """
SELECT r.leaf_index, r.record_id, r.exchange, r.t, r.entry, r.sections, k.kek_id, k.wrapped
FROM audit_record AS r LEFT JOIN audit_key AS k ON k.leaf_index = r.leaf_index
WHERE r.record_id > ? AND r.record_id < ? AND r.kind IN (?, ?)
ORDER BY r.record_id LIMIT ?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One recorded decision: the clear section, and the sealed ones; None stands for an erased one.

    `fault` says that the record is not as it was written; then there are no sections, and perhaps
    no `exchange`.
    """

    leaf_index: int
    exchange: bytes | None
    at_us: int
    core: Mapping[str, Any]
    sections: Mapping[str, Mapping[str, Any] | None]
    fault: str | None = None


def decided(db: Connection, opener: Opener, *, from_us: int, until_us: int) -> Iterator[Decided]:
    """Yield the decisions on record from one system time until before another.

    A record with a fault is told too where it lies near that time: its own is not to be trusted.
    """
    after = _id_at(from_us // 1_000 - SKEW_MS)
    end = _id_at(until_us // 1_000 + BODY_MS_MAX)
    while True:
        rows = db.execute(_ROWS, (after, end, *_KINDS, ROWS_PER_READ)).fetchall()
        for row in rows:
            one = _read(row, opener)
            if one.fault is not None or from_us <= one.at_us < until_us:
                yield one
        if len(rows) < ROWS_PER_READ:
            return
        after = rows[-1][1]


def _id_at(at_ms: int) -> bytes:
    """Return the least identifier of a millisecond: they are UUIDv7 (RFC 9562, section 5.7)."""
    return min(max(at_ms, 0), (1 << 48) - 1).to_bytes(6, "big")


def _read(row: tuple[Any, ...], opener: Opener) -> Decided:
    index, record_id, exchange, at_us, entry, block, day, wrapped = row
    sections: dict[str, Mapping[str, Any] | None] = {}
    fault = None
    try:
        committed = _committed(entry, (record_id, exchange, at_us))
        kek = opener.day_key(day) if wrapped is not None else None
        keys = unwrap_keys(kek, opener.origin, record_id, wrapped) if kek else {}
        for section in unpack_sections(block):
            key = keys.get(section.name)
            context = section_context(opener.origin, record_id, section.name)
            sections[section.name] = _opened(section, key, context, committed)
    except EntryInvalid as invalid:
        fault, sections = str(invalid), {}
    core = sections.pop("core", None) or {}
    return Decided(
        leaf_index=index,
        exchange=exchange if exchange is not None and len(exchange) == UUID_BYTES else None,
        at_us=at_us,
        core=core,
        sections=sections,
        fault=fault,
    )


def _committed(entry: bytes, row: tuple[bytes, bytes, int]) -> dict[str, str]:
    """Return the commitments of an entry; EntryInvalid where its row says other than it."""
    parsed = parse_entry(entry)
    if (parsed.record_id, parsed.exchange, parsed.at_us) != row:
        raise EntryInvalid("the row is not that of its entry")
    return dict(parsed.commitments)


def _opened(
    section: StoredSection, key: bytes | None, context: bytes, committed: Mapping[str, str]
) -> Mapping[str, Any] | None:
    """Return a section's content, None where it is erased; EntryInvalid if it was changed."""
    if section.salt is not None:
        salt, body = section.salt, section.body
    elif key is not None:
        salt, body = open_section(key, context, section.body)
    else:
        return None
    if commitment_text(commit(section.name, salt, body)) != committed.get(section.name):
        raise EntryInvalid(f"the section {section.name} is not the one that was recorded")
    content: Mapping[str, Any] = orjson.loads(body)
    return content
