"""Records of the log: their sections, the commitments to them, and the entry that is the leaf.

Worked values of every format are in `tests/vectors/audit-log-vectors.json`, and the life of an
entry is told in `gateway/audit/README.md`. This is one of the five modules an auditor needs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# An entry bundle writes its entries' lengths in two bytes (C2SP tlog-tiles).
ENTRY_BYTES_MAX: Final = 65_535
SECTION_BYTES_MAX: Final = 65_536
SECTIONS_MAX: Final = 8
DEPTH_MAX: Final = 8
# Integers that every JSON implementation can hold (RFC 8785, section 3.2.2.3).
INTEGER_MAX: Final = 2**53 - 1
SALT_BYTES: Final = 16
KEY_BYTES: Final = 32
NAMES_REMEMBERED_MAX: Final = 64
"""Section names that are known to be ones: all records have some of the same few."""

# What names no person stays readable for the life of the shard; every other section is sealed
# with a key of its own, so that it can be erased.
CLEAR_SECTIONS: Final = frozenset({"core", "peer"})

# The key of a section encrypts one message only, so a constant nonce is never repeated under it.
_NONCE: Final = bytes(12)
# The inner and outer padding of HMAC-SHA256, for keys of 32 bytes and a block of 64 (RFC 2104).
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
_INNER_REST: Final = b"\x36" * 32
_OUTER_REST: Final = b"\x5c" * 32
_SECTION_NAME: Final = re.compile(r"[a-z0-9_]{1,32}")
_COMMITMENT: Final = r'"[a-z0-9_]{1,32}":"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"'
_UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ENTRY: Final = re.compile(
    rf'\{{"c":\{{((?:{_COMMITMENT}(?:,{_COMMITMENT})*)?)\}},"id":"({_UUID})",'
    rf'"kind":"([a-z_.]{{1,64}})","t":(0|[1-9][0-9]{{0,15}}),"v":1(?:,"x":"({_UUID})")?\}}',
    re.ASCII,
)


_sha256 = hashlib.sha256


class EntryInvalid(ValueError):
    """Bytes are not an entry or a section block, or a record cannot become one."""


class Kind(StrEnum):
    """What a record is about."""

    INTENT = "exchange.intent"
    OUTCOME = "exchange.outcome"
    INDETERMINATE = "exchange.indeterminate"
    LATE_OUTCOME = "exchange.late_outcome"
    DENY = "decision.deny"
    TRAFFIC_REFUSED = "traffic.refused"
    ACCESS = "log.access"
    CHANGE = "admin.change"
    OPEN = "log.open"
    INCIDENT = "log.incident"
    PROGRESS = "exchange.progress"
    ERASURE = "log.erasure"
    EXPORT = "log.export"
    SEAL = "log.seal"


# How a kind is written in the `kind` column; numbers are never given to another kind.
KIND_CODES: Final[Mapping[Kind, int]] = {kind: code for code, kind in enumerate(Kind, start=1)}
KINDS_BY_TEXT: Final[Mapping[str, Kind]] = {kind.value: kind for kind in Kind}


@dataclass(slots=True, kw_only=True)
class Record:
    """One thing to be written down; nobody changes it, though it is not frozen (decision 8).

    `record_id` is a UUIDv7 from `gateway.clock`; `at_us` is system time in microseconds (decision
    time belongs in `core`). Sections hold strings, booleans, integers within +/-(2^53-1), None,
    lists and objects with ASCII keys, and no floats.
    """

    record_id: bytes
    kind: Kind
    exchange: bytes | None
    at_us: int
    sections: Mapping[str, Mapping[str, object]]


class Entry(NamedTuple):
    """The leaf of one record: who, when and what kind, and commitments to its sections."""

    record_id: bytes
    kind: Kind
    exchange: bytes | None
    at_us: int
    commitments: tuple[tuple[str, str], ...]  # name, base64url; in name order


class StoredSection(NamedTuple):
    """A section as it lies in the store: clear with its salt, or sealed (`salt` is None)."""

    name: str
    salt: bytes | None
    body: bytes


def canonical(value: Mapping[str, object]) -> bytes:
    """Return the RFC 8785 bytes of a section; raise EntryInvalid for what it may not hold."""
    _check_value(value, 1)
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        body = text.encode()
    except (TypeError, ValueError) as refused:  # a lone surrogate is a ValueError
        raise EntryInvalid("a section holds what JSON cannot carry") from refused
    if len(body) > SECTION_BYTES_MAX:
        raise EntryInvalid(f"a section is longer than {SECTION_BYTES_MAX} bytes")
    return body


def commit(name: str, salt: bytes, body: bytes) -> bytes:
    """Return the 32-byte commitment to a section; no two (name, salt, body) share an input."""
    return hashlib.sha256(b"audit-section/v1\n%b\n%b%b" % (name.encode(), salt, body)).digest()


def commitment_text(commitment: bytes) -> str:
    """Return a commitment as the entry writes it: base64url without padding."""
    return base64.urlsafe_b64encode(commitment).rstrip(b"=").decode()


def format_entry(entry: Entry) -> bytes:
    """Return the canonical bytes of an entry (RFC 8785): what the leaf hash covers."""
    commitments = ",".join([f'"{name}":"{text}"' for name, text in entry.commitments])
    exchange = f',"x":"{_uuid_text(entry.exchange)}"' if entry.exchange else ""
    return (
        f'{{"c":{{{commitments}}},"id":"{_uuid_text(entry.record_id)}",'
        f'"kind":"{entry.kind.value}","t":{entry.at_us},"v":1{exchange}}}'
    ).encode()


def parse_entry(unverified: bytes) -> Entry:
    """Return the entry that has exactly these canonical bytes; raise EntryInvalid otherwise."""
    try:
        found = _ENTRY.fullmatch(unverified.decode("ascii"))
    except UnicodeDecodeError:
        found = None
    if found is None or len(unverified) > ENTRY_BYTES_MAX:
        raise EntryInvalid("not the canonical bytes of an entry")
    listed, record_id, kind_text, at_us, exchange = found.groups()
    kind = KINDS_BY_TEXT.get(kind_text)
    if kind is None or int(at_us) > INTEGER_MAX:
        raise EntryInvalid("an entry of an unknown kind or time")
    pairs = [pair[1:-1].split('":"') for pair in listed.split(",")] if listed else []
    names = [name for name, _ in pairs]
    if names != sorted(set(names)):
        raise EntryInvalid("an entry's sections are not in order")
    return Entry(
        bytes.fromhex(record_id.replace("-", "")),
        kind,
        bytes.fromhex(exchange.replace("-", "")) if exchange else None,
        int(at_us),
        tuple((name, text) for name, text in pairs),
    )


def derive_section_keys(key: bytes) -> tuple[bytes, bytes]:
    """Return the salt and the encryption key that come from a section's own 32-byte key.

    Each is HMAC-SHA256 (RFC 2104) of its name, written out: four hashes cost a third of two calls
    of `hmac.digest`, and every sealed section of every record needs both.
    """
    inner, outer = key.translate(_INNER) + _INNER_REST, key.translate(_OUTER) + _OUTER_REST
    salt = _sha256(outer + _sha256(inner + b"audit-salt/v1").digest()).digest()[:SALT_BYTES]
    return salt, _sha256(outer + _sha256(inner + b"audit-enc/v1").digest()).digest()


def encryption_key(key: bytes) -> bytes:
    """Return the second of `derive_section_keys` alone, for who opens and checks no commitment."""
    inner, outer = key.translate(_INNER) + _INNER_REST, key.translate(_OUTER) + _OUTER_REST
    return _sha256(outer + _sha256(inner + b"audit-enc/v1").digest()).digest()


def section_context(origin: str, record_id: bytes, name: str) -> bytes:
    """Return the additional data that ties a sealed section to its place in one log."""
    return f"{origin}\n{_uuid_text(record_id)}\n{name}".encode()


def open_section(key: bytes, context: bytes, sealed: bytes) -> tuple[bytes, bytes]:
    """Return the (salt, body) of a sealed section; raise EntryInvalid if it was changed."""
    salt, opening_key = derive_section_keys(key)
    return salt, _decrypted(opening_key, context, sealed)


def open_body(key: bytes, context: bytes, sealed: bytes) -> bytes:
    """Return the body of a sealed section without its salt; raise EntryInvalid if it was changed.

    For who only reads it: half of what the keys cost is the salt.
    """
    return _decrypted(encryption_key(key), context, sealed)


def _decrypted(opening_key: bytes, context: bytes, sealed: bytes) -> bytes:
    try:
        return AESGCM(opening_key).decrypt(_NONCE, sealed, context)
    except InvalidTag as changed:
        raise EntryInvalid("a sealed section does not open with its key") from changed


def unwrap_keys(
    kek: bytes | AESGCM, origin: str, record_id: bytes, wrapped: bytes
) -> dict[str, bytes]:
    """Return the keys of a record's sealed sections, by name; raise EntryInvalid if changed.

    `wrapped` is a length and the names joined by commas, a 12-byte nonce, and the AES-256-GCM of
    their 32-byte keys in that order. An erased section's name and key are no longer among them.
    Who unwraps many gives the cipher of the day's key, which costs more to make than to use.
    """
    cipher = kek if isinstance(kek, AESGCM) else AESGCM(kek)
    names_end = 1 + (wrapped[0] if wrapped else 0)
    names = wrapped[1:names_end]
    nonce, sealed = wrapped[names_end : names_end + 12], wrapped[names_end + 12 :]
    try:
        context = wrapping_context(origin, record_id, names)
        keys = cipher.decrypt(nonce, sealed, context)
    except (InvalidTag, ValueError) as changed:
        raise EntryInvalid("the wrapped keys do not open") from changed
    listed = names.decode().split(",")
    return {name: keys[at * KEY_BYTES : (at + 1) * KEY_BYTES] for at, name in enumerate(listed)}


def wrapping_context(origin: str, record_id: bytes, names: bytes) -> bytes:
    """Return the additional data that ties wrapped keys to their record."""
    return b"%b\n%b\n%b" % (origin.encode(), record_id, names)


def pack_sections(sections: tuple[StoredSection, ...] | list[StoredSection]) -> bytes:
    """Return the stored block: per section a length and name, a salt or none, a length and body."""
    parts: list[bytes] = []
    for name, salt, body in sections:
        salted = b"\0" if salt is None else b"\x01" + salt
        parts.append(
            b"%c%b%b%b%b" % (len(name), name.encode(), salted, len(body).to_bytes(4, "big"), body)
        )
    return b"".join(parts)


def unpack_sections(block: bytes) -> tuple[StoredSection, ...]:
    """Return the sections of a stored block; raise EntryInvalid unless every byte has its place."""
    sections: list[StoredSection] = []
    position, end = 0, len(block)
    while position < end:
        name_end = position + 1 + block[position]
        name = _section_name(block[position + 1 : name_end])
        if name_end >= end:
            raise EntryInvalid("a section block is cut short")
        salted, salt, salt_end = block[name_end], None, name_end + 1
        if salted:
            if salted > 1:
                raise EntryInvalid("a section block is malformed")
            salt_end += SALT_BYTES
            salt = block[name_end + 1 : salt_end]
        body_start = salt_end + 4
        body_end = body_start + int.from_bytes(block[salt_end:body_start], "big")
        if body_start > end or body_end > end:
            raise EntryInvalid("a section block is cut short")
        sections.append(StoredSection(name, salt, block[body_start:body_end]))
        position = body_end
    return tuple(sections)


@lru_cache(maxsize=NAMES_REMEMBERED_MAX)
def _section_name(unverified: bytes) -> str:
    """Return the name of a section; raise EntryInvalid for what is none."""
    name = unverified.decode("latin-1")
    if _SECTION_NAME.fullmatch(name) is None:
        raise EntryInvalid("a section block is malformed")
    return name


class Row(NamedTuple):
    """A record as it is stored, with its wrapped section keys if it has any left."""

    leaf_index: int
    record_id: bytes
    exchange: bytes | None
    kind: int
    at_us: int
    leaf_hash: bytes
    entry: bytes
    sections: bytes
    day: int | None = None
    wrapped_keys: bytes | None = None


class Sections(NamedTuple):
    """A record's sealed sections: how many were opened, which have no key any more, how many no
    key was given for.
    """

    opened: int
    erased: tuple[str, ...]
    unopened: int


def check_row(row: Row, keys: Mapping[str, bytes] | None, origin: str) -> Sections:
    """Hold a record's columns and sections against its entry; raise EntryInvalid where they differ.

    `keys` are those that its sealed sections have left, by name, or None where nobody knows them.
    """
    entry = parse_entry(row.entry)
    columns = (row.record_id, row.exchange, row.kind, row.at_us)
    if columns != (entry.record_id, entry.exchange, KIND_CODES[entry.kind], entry.at_us):
        raise EntryInvalid("a column says other than the entry")
    sections = unpack_sections(row.sections)
    if [section.name for section in sections] != [name for name, _ in entry.commitments]:
        raise EntryInvalid("the sections are not those that the entry names")
    opened = unopened = 0
    erased: list[str] = []
    for (name, salt, body), (_, committed) in zip(sections, entry.commitments, strict=True):
        if salt is not None:
            opening = salt, body
        elif keys is None:
            unopened += 1
            continue
        elif name not in keys:
            erased.append(name)
            continue
        else:
            opened += 1
            opening = open_section(keys[name], section_context(origin, row.record_id, name), body)
        if commitment_text(commit(name, *opening)) != committed:
            raise EntryInvalid(f"the section {name} does not have its commitment")
    return Sections(opened, tuple(erased), unopened)


def _uuid_text(identifier: bytes) -> str:
    text = identifier.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _check_value(value: object, depth: int) -> None:
    if isinstance(value, bool | str) or value is None:
        return
    if isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            raise EntryInvalid("an integer is beyond 2^53-1")
    elif depth > DEPTH_MAX:
        raise EntryInvalid(f"a section is nested deeper than {DEPTH_MAX}")
    elif isinstance(value, dict):
        for name, item in value.items():
            if not (isinstance(name, str) and name.isascii()):
                raise EntryInvalid("a key is not ASCII text")
            _check_value(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_value(item, depth + 1)
    else:
        raise EntryInvalid(f"a section may not hold a {type(value).__name__}")
