"""Turn a record into what is stored: commitments, entry, sealed sections, wrapped keys.

This is the hot path's writer of the formats that `entry.py` defines and reads; a property test
holds the two to the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from binascii import b2a_base64
from collections.abc import Mapping
from functools import lru_cache
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
    parse_entry,
)
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.written import WrittenSection
from gateway.clock import random_bytes, uuid_text

DAY_US: Final = 86_400_000_000
DAYS_REMEMBERED_MAX: Final = 8
LAYOUTS_REMEMBERED_MAX: Final = 64

_NONCE_BYTES: Final = 12
_ZERO_NONCE: Final = bytes(_NONCE_BYTES)
_SCALARS: Final = frozenset({str, int, bool, type(None)})
_LISTS: Final = frozenset({list, tuple})
_SECTION_NAME: Final = re.compile(r"[a-z0-9_]{1,32}")
_CANONICAL: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")

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
        entry = parse_entry(self.entry)
        listed = ",".join([f'"{name}":"{text}"' for name, text in entry.commitments]).encode()
        id_text = uuid_text(self.record_id).encode()
        late = _entry_bytes(listed, id_text, Kind.LATE_OUTCOME, self.exchange, at_us=self.at_us)
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


class _Name(NamedTuple):
    """A section's name as each of the formats writes it."""

    text: str
    clear: bool
    committed: bytes
    context: bytes
    block: bytes
    listed: bytes


class _Layout(NamedTuple):
    """What all records with sections of the same names have in common.

    `wrapped` are the names of the sealed sections as they stand before their wrapped keys, and
    `random_bytes` are all salts, keys and the nonce together.
    """

    names: tuple[_Name, ...]
    wrapped: bytes
    clear_bytes: int
    random_bytes: int


def _name(text: str) -> _Name:
    if _SECTION_NAME.fullmatch(text) is None:
        raise EntryInvalid("a section's name is malformed")
    name = text.encode()
    clear = text in CLEAR_SECTIONS
    return _Name(
        text=text,
        clear=clear,
        committed=b"audit-section/v1\n%b\n" % name,
        context=b"\n" + name,
        block=bytes([len(name)]) + name + (b"\x01" if clear else b"\0"),
        listed=b'"%b":"' % name,
    )


@lru_cache(maxsize=LAYOUTS_REMEMBERED_MAX)
def _layout(names: tuple[str, ...]) -> _Layout:
    if len(names) > SECTIONS_MAX:
        raise EntryInvalid(f"a record has more than {SECTIONS_MAX} sections")
    ordered = tuple([_name(name) for name in sorted(names)])
    sealed = ",".join([name.text for name in ordered if not name.clear]).encode()
    clear_bytes = SALT_BYTES * sum(name.clear for name in ordered)
    keys_bytes = KEY_BYTES * sum(not name.clear for name in ordered)
    return _Layout(
        names=ordered,
        wrapped=bytes([len(sealed)]) + sealed if sealed else b"",
        clear_bytes=clear_bytes,
        random_bytes=clear_bytes + keys_bytes + (_NONCE_BYTES if sealed else 0),
    )


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
        record_id, kind, exchange = record.record_id, record.kind, record.exchange
        at_us, sections = record.at_us, record.sections
        _check_record(record_id, kind, exchange, at_us)
        names, wrapped_names, clear_bytes, random_count = _layout(tuple(sections))
        id_text = uuid_text(record_id).encode()
        random = random_bytes(random_count)
        next_salt, next_key = 0, clear_bytes
        listed: list[bytes] = []
        blocks: list[bytes] = []
        for text, clear, committed, context, block, listing in names:
            section = sections[text]
            if isinstance(section, SharedSection | WrittenSection):
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
                stored = AESGCM(encryption_key).encrypt(
                    _ZERO_NONCE, body, self._origin_line + id_text + context
                )
                blocks += (block, len(stored).to_bytes(4, "big"), stored)
            digest = b2a_base64(_sha256(committed + salt + body).digest(), newline=False)
            listed += (listing, digest[:43].translate(_URL_SAFE), b'",')
        entry = _entry_bytes(b"".join(listed)[:-1], id_text, kind, exchange, at_us=at_us)
        day = at_us // DAY_US
        return Sealed(
            record_id,
            kind,
            exchange,
            at_us,
            _sha256(b"\0" + entry).digest(),
            entry,
            b"".join(blocks),
            day,
            self._wrap(day, record_id, wrapped_names, random[clear_bytes:])
            if wrapped_names
            else None,
        )

    def _wrap(self, day: int, record_id: bytes, names: bytes, keys_and_nonce: bytes) -> bytes:
        """Wrap the section keys under the day's key; the layout is told at `unwrap_keys`."""
        cipher = self._day_ciphers.get(day)
        if cipher is None:
            if len(self._day_ciphers) >= DAYS_REMEMBERED_MAX:
                self._day_ciphers.clear()
            cipher = self._day_ciphers[day] = AESGCM(self._keys.day_key(day))
        nonce = keys_and_nonce[-_NONCE_BYTES:]
        # The context of `entry.wrapping_context`.
        context = b"%b%b\n%b" % (self._origin_line, record_id, names[1:])
        return names + nonce + cipher.encrypt(nonce, keys_and_nonce[:-_NONCE_BYTES], context)


def _check_record(record_id: bytes, kind: Kind, exchange: bytes | None, at_us: int) -> None:
    if len(record_id) != 16 or (exchange is not None and len(exchange) != 16):
        raise EntryInvalid("an identifier is not 16 bytes")
    if not 0 <= at_us <= INTEGER_MAX:
        raise EntryInvalid("a record's time is out of range")
    if exchange is None and kind.startswith("exchange."):
        raise EntryInvalid("a record of an exchange names it")


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


def _entry_bytes(
    listed: bytes, id_text: bytes, kind: Kind, exchange: bytes | None, *, at_us: int
) -> bytes:
    return b'{"c":{%b},"id":"%b","kind":"%b","t":%d,"v":1%b}' % (
        listed,
        id_text,
        kind.encode(),
        at_us,
        b"" if exchange is None else b',"x":"%b"' % uuid_text(exchange).encode(),
    )
