"""Turn a record into what is stored: commitments, entry, sealed sections, wrapped keys.

This is the hot path's writer of the formats that `entry.py` defines and reads; a property test
holds the two to the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from binascii import b2a_base64, hexlify
from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple, cast

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.audit.entry import (
    CLEAR_SECTIONS,
    INTEGER_MAX,
    KEY_BYTES,
    SALT_BYTES,
    SECTION_BYTES_MAX,
    SECTIONS_MAX,
    EntryInvalid,
    Kind,
    Record,
    canonical,
    derive_section_keys,
)
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.written import WrittenSection
from gateway.clock import random_bytes, uuid_text

DAY_US: Final = 86_400_000_000
DAYS_REMEMBERED_MAX: Final = 8
LAYOUTS_REMEMBERED_MAX: Final = 128

_NONCE_BYTES: Final = 12
_ZERO_NONCE: Final = bytes(_NONCE_BYTES)
_SCALARS: Final = frozenset({str, int, bool, type(None)})
_LISTS: Final = frozenset({list, tuple})
_SECTION_NAME: Final = re.compile(r"[a-z0-9_]{1,32}")
_CANONICAL: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
# Where the hyphens of a UUID's text stand (RFC 9562, section 4).
_UUID_PARTS: Final = Struct("8s4s4s4s12s")

_sha256 = hashlib.sha256


class Sealed(NamedTuple):
    """A record ready to be stored; nothing about it can be refused for its form any more."""

    record_id: bytes
    kind: Kind
    exchange: bytes | None
    at_us: int
    leaf_hash: bytes
    entry: bytes
    sections: bytes
    day: int
    wrapped_keys: bytes | None

    @property
    def stored_bytes(self) -> int:
        """Return about how much room the record takes in a batch."""
        return len(self.entry) + len(self.sections) + 128

    def as_late(self) -> Sealed:
        """Return the outcome as `exchange.late_outcome`: its exchange is already closed."""
        # Nothing before the kind can look like it: names and commitments hold no quotation marks.
        late = self.entry.replace(_kind_member(self.kind), _kind_member(Kind.LATE_OUTCOME), 1)
        leaf_hash = _sha256(b"\0" + late).digest()
        return self._replace(kind=Kind.LATE_OUTCOME, entry=late, leaf_hash=leaf_hash)


class SharedSection(dict[str, object]):
    """A section that stands unchanged in many records, so that its bytes are made only once.

    Whoever makes one never changes it afterwards.
    """

    __slots__ = ("_body",)
    _body: bytes

    def body(self) -> bytes:
        """Return the canonical bytes; raises EntryInvalid for what a section may not hold."""
        try:
            return self._body
        except AttributeError:
            self._body = _canonical_bytes(dict(self))
            return self._body


class _Part(NamedTuple):
    """A section of a layout: its name as each of the formats writes it."""

    name: str
    clear: bool
    committed: bytes
    context: bytes
    block: bytes


class _Layout(NamedTuple):
    """What all records of a kind with sections of the same names have in common.

    `entry` is a template, to be filled with the base64 of each commitment, the record's id and
    time and, if it is of an exchange, that one's id. `wrapped` are the names of the sealed sections
    as they stand before their wrapped keys, `wrapping` as they end the context of those, and
    `random_bytes` are all salts, keys and the nonce together.
    """

    parts: tuple[_Part, ...]
    entry: bytes
    wrapped: bytes
    wrapping: bytes
    clear_bytes: int
    random_bytes: int


def _part(text: str) -> _Part:
    if _SECTION_NAME.fullmatch(text) is None:
        raise EntryInvalid("a section's name is malformed")
    name = text.encode()
    clear = text in CLEAR_SECTIONS
    return _Part(
        name=text,
        clear=clear,
        committed=b"audit-section/v1\n%b\n" % name,
        context=b"\n" + name,
        block=bytes([len(name)]) + name + (b"\x01" if clear else b"\0"),
    )


@lru_cache(maxsize=LAYOUTS_REMEMBERED_MAX)
def _layout(kind: Kind, of_exchange: bool, *names: str) -> _Layout:
    if not of_exchange and kind.startswith("exchange."):
        raise EntryInvalid("a record of an exchange names it")
    if len(names) > SECTIONS_MAX:
        raise EntryInvalid(f"a record has more than {SECTIONS_MAX} sections")
    parts = tuple([_part(name) for name in sorted(names)])
    sealed = ",".join([part.name for part in parts if not part.clear]).encode()
    clear_bytes = SALT_BYTES * sum(part.clear for part in parts)
    keys_bytes = KEY_BYTES * sum(not part.clear for part in parts)
    # 32 bytes in base64 are 43 characters and their padding, which no commitment is written with.
    listed = ",".join([f'"{part.name}":"%.43b"' for part in parts]).encode()
    exchange = b',"x":"%b"' if of_exchange else b""
    return _Layout(
        parts=parts,
        entry=b'{"c":{%b},"id":"%%b",%b,"t":%%d,"v":1%b}' % (listed, _kind_member(kind), exchange),
        wrapped=bytes([len(sealed)]) + sealed if sealed else b"",
        wrapping=b"\n" + sealed,
        clear_bytes=clear_bytes,
        random_bytes=clear_bytes + keys_bytes + (_NONCE_BYTES if sealed else 0),
    )


def _kind_member(kind: Kind) -> bytes:
    """Return how an entry tells its kind."""
    return b'"kind":"%b"' % kind.encode()


class Sealer:
    """Seals the records of one log."""

    def __init__(self, origin: str, keys: LogKeys) -> None:
        """Seal for the log named `origin`, with the keys of the day each record is made."""
        self._origin_line = origin.encode() + b"\n"
        self._keys = keys
        keys.prepare()
        self._day_ciphers: dict[int, AESGCM] = {}

    def seal(self, record: Record) -> Sealed:
        """Return the stored form of a record.

        Raises EntryInvalid for a record that could not be stored or verified, so that a bad
        record fails here, alone, and never inside a batch.
        """
        record_id, exchange, at_us = record.record_id, record.exchange, record.at_us
        if len(record_id) != 16 or (exchange is not None and len(exchange) != 16):
            raise EntryInvalid("an identifier is not 16 bytes")
        if not 0 <= at_us <= INTEGER_MAX:
            raise EntryInvalid("a record's time is out of range")
        kind, sections = record.kind, record.sections
        layout = _layout(kind, exchange is not None, *sections)
        parts, entry_form, wrapped, wrapping, clear_bytes, random_count = layout
        id_text = b"-".join(_UUID_PARTS.unpack(hexlify(record_id)))
        place = self._origin_line + id_text
        random = random_bytes(random_count)
        next_salt, next_key = 0, clear_bytes
        filled: list[bytes | int] = []
        blocks: list[bytes] = []
        for name, clear, committed, context, block in parts:
            section = sections[name]
            if type(section) is SharedSection or type(section) is WrittenSection:
                body = section.body()
            else:
                body = _canonical_bytes(section)
            if clear:
                salt = random[next_salt : next_salt + SALT_BYTES]
                next_salt += SALT_BYTES
                blocks += (block, salt, len(body).to_bytes(4, "big"), body)
            else:
                salt, encryption_key = derive_section_keys(random[next_key : next_key + KEY_BYTES])
                next_key += KEY_BYTES
                stored = AESGCM(encryption_key).encrypt(_ZERO_NONCE, body, place + context)
                blocks += (block, len(stored).to_bytes(4, "big"), stored)
            filled.append(b2a_base64(_sha256(committed + salt + body).digest()))
        filled += (id_text, at_us)
        if exchange is not None:
            filled.append(uuid_text(exchange).encode())
        # Of an entry's characters only its commitments' can be those that the alphabets differ in.
        entry = (entry_form % tuple(filled)).translate(_URL_SAFE)
        leaf_hash = _sha256(b"\0" + entry).digest()
        day, keys = at_us // DAY_US, None
        if wrapped:
            nonce, context = random[-_NONCE_BYTES:], self._origin_line + record_id + wrapping
            keys = self._day_cipher(day).encrypt(nonce, random[clear_bytes:-_NONCE_BYTES], context)
            keys = wrapped + nonce + keys  # as `unwrap_keys` reads them
        return Sealed(
            record_id, kind, exchange, at_us, leaf_hash, entry, b"".join(blocks), day, keys
        )

    def _day_cipher(self, day: int) -> AESGCM:
        """Return what wraps the section keys of a day's records."""
        cipher = self._day_ciphers.get(day)
        if cipher is None:
            if len(self._day_ciphers) >= DAYS_REMEMBERED_MAX:
                self._day_ciphers.clear()
            cipher = self._day_ciphers[day] = AESGCM(self._keys.day_key(day))
        return cipher


def _canonical_bytes(section: Mapping[str, object]) -> bytes:
    """Return what `entry.canonical` returns, faster where the section is flat."""
    if type(section) is not dict or not _is_flat(section):
        return canonical(dict(section))
    try:
        body = orjson.dumps(section, option=_CANONICAL)
    except (orjson.JSONEncodeError, TypeError) as refused:
        raise EntryInvalid("a section holds what JSON cannot carry") from refused
    if len(body) > SECTION_BYTES_MAX:
        raise EntryInvalid(f"a section is longer than {SECTION_BYTES_MAX} bytes")
    return body


def _is_flat(section: dict[str, object]) -> bool:
    """Tell whether orjson may be trusted: text keys in ASCII, plain scalars, lists of those.

    Sets of types are compared rather than values walked: that costs a third.
    """
    try:
        if not "".join(section).isascii():
            return False
    except TypeError:
        return False
    kinds = set(map(type, section.values()))
    if _SCALARS.issuperset(kinds):
        return True
    inside: set[type] = set()
    for value in section.values():
        if type(value) in _LISTS:
            inside.update(map(type, cast("list[object]", value)))
    return _SCALARS.issuperset(inside) and _SCALARS.issuperset(kinds - _LISTS)
