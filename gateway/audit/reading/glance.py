"""A quick look at many records at once, for whoever verifies a whole log.

It saves time only: `verify.check_rows` reads in full what is not seen to be whole here, and without
this module everything. Tests hold the two to the same verdicts; an auditor can do without.
"""

from __future__ import annotations

import hashlib
import re
import struct
from binascii import b2a_base64, hexlify
from collections.abc import Sequence
from functools import lru_cache
from operator import add
from typing import Final, NamedTuple

from gateway.audit.entry import (
    CLEAR_SECTIONS,
    ENTRY_BYTES_MAX,
    INTEGER_MAX,
    KIND_CODES,
    SALT_BYTES,
    EntryInvalid,
    Row,
)

FORMS_REMEMBERED_MAX: Final = 256

# What a commitment consists of, and how one of 32 bytes can end.
_COMMITMENT_CHARS: Final = 43
_WORD: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST: Final = b"AEIMQUYcgkosw048"
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_NO_UUID: Final = b"        -    -    -    -            "
_KINDS_BY_CODE: Final = {code: kind.value.encode() for kind, code in KIND_CODES.items()}
_LISTED_NAME: Final = re.compile(rb'"([a-z0-9_]{1,32})":"')
_DIGIT_PLACES: Final = [at for at, char in enumerate(_NO_UUID) if char == ord(" ")]

_sha256 = hashlib.sha256


class _Form(NamedTuple):
    """What entries of a kind, and blocks, with sections of the same names have in common.

    `marks` are the bytes of an entry that are the same in all, and where they are; `record_id`,
    `time` and `exchange` are where those begin. Of each section: where its commitment is, how its
    block begins, and, if clear, what its commitment begins with.
    """

    size: int
    marks: tuple[tuple[int, bytes], ...]
    record_id: int
    time: int
    exchange: int
    sections: tuple[tuple[int, bytes, bytes | None], ...]


class _Alike(NamedTuple):
    """Columns of records of one kind, whose entries are of one size."""

    record_ids: Sequence[bytes]
    exchanges: Sequence[bytes]
    times: Sequence[int]
    entries: Sequence[bytes]
    blocks: Sequence[bytes]


def glance(rows: Sequence[Row], first: int) -> tuple[bytes, int] | None:
    """Look at many records at once, numbered from `first` on; None where one is to be read in full.

    Nothing is parsed: records are held against the one form that they can have, which is what lets
    a core verify 100,000 of them a second. Answers the leaf hashes, joined, and how many sections
    are sealed, where each row has the next index and its entry's leaf hash,
    `parse_entry` takes the entry and gives the row's columns, and the sections are those which the
    entry names, the clear ones with their commitments.
    """
    try:
        columns = tuple(zip(*rows, strict=True))
        indices, record_ids, exchanges, kinds, times, hashes, entries, blocks = columns[:8]
        leaves = tuple([_sha256(b"\0" + entry).digest() for entry in entries])
        if hashes != leaves or indices != tuple(range(first, first + len(rows))):
            return None
        sizes = list(map(len, entries))
        if max(sizes) > ENTRY_BYTES_MAX:
            return None
        # Seldom are records of one kind and size not of one form; then they are read one by one.
        groups: dict[tuple[int, bool, int], list[int]] = {}
        named = [exchange is not None for exchange in exchanges]
        for at, alike in enumerate(zip(kinds, named, sizes, strict=True)):
            groups.setdefault(alike, []).append(at)
        sealed = 0
        for (kind, is_named, _), group in groups.items():
            theirs = (record_ids, exchanges, times, entries, blocks)
            columns_alike = _Alike(*[[column[at] for at in group] for column in theirs])
            found = _sealed_of_whole(kind, is_named, columns_alike)
            if found is None:
                return None
            sealed += found
    except (TypeError, ValueError, LookupError, struct.error):
        return None
    return b"".join(leaves), sealed


def _sealed_of_whole(kind: int, is_named: bool, alike: _Alike) -> int | None:
    """Return how many sections are sealed, or None unless all is as the columns and entries say."""
    record_ids, exchanges, times, entries, blocks = alike
    low, high = min(times), max(times)
    if set(map(type, times)) != {int} or low < 0 or high > INTEGER_MAX:
        return None
    # Of numbers in between, each has as many digits as the least and the greatest.
    digits = len(b"%d" % low)
    if digits != len(b"%d" % high):
        return None
    names = _LISTED_NAME.findall(entries[0][: entries[0].index(b"}")])
    form = _form_of(tuple(names), kind, is_named, digits)
    joined = b"".join(entries)
    count, size = len(entries), form.size
    if len(joined) != count * size or any(
        joined[at::size] != mark * count for at, mark in form.marks
    ):
        return None
    shown = b"".join([b"%d" % at_us for at_us in times])
    if any(
        joined[form.time + place :: size] != shown[place::digits] for place in range(digits)
    ) or not _are_uuids(joined, size, form.record_id, record_ids):
        return None
    if is_named and not _are_uuids(joined, size, form.exchange, exchanges):
        return None
    if not _are_of_form(form, joined, entries, blocks):
        return None
    return count * sum(prefix is None for _, _, prefix in form.sections)


def _are_uuids(joined: bytes, size: int, start: int, identifiers: Sequence[bytes]) -> bool:
    """Tell whether entries of one size, joined, write these identifiers from `start` on."""
    if set(map(len, identifiers)) != {16}:
        return False
    digits = hexlify(b"".join(identifiers))
    return all(
        joined[start + place :: size] == digits[digit::32]
        for digit, place in enumerate(_DIGIT_PLACES)
    )


def _are_of_form(
    form: _Form, joined: bytes, entries: Sequence[bytes], blocks: Sequence[bytes]
) -> bool:
    """Tell whether sections are those which the entries name, clear ones with their commitments."""
    count, size = len(entries), form.size
    positions = [0] * count
    for at, header, prefix in form.sections:
        width = len(header) + (4 if prefix is None else SALT_BYTES + 4)
        begun = b"".join(
            [block[start : start + width] for block, start in zip(blocks, positions, strict=True)]
        )
        if len(begun) != width * count or any(
            begun[place::width] != header[place : place + 1] * count for place in range(len(header))
        ):
            return False
        starts = [start + width for start in positions]
        positions = list(map(add, starts, _lengths(begun, width)))
        if prefix is None:
            columns = [joined[at + place :: size] for place in range(_COMMITMENT_CHARS)]
            if b"".join(columns).translate(None, _WORD) or columns[-1].translate(None, _LAST):
                return False
            continue
        digests = [
            _sha256(prefix + block[start - 4 - SALT_BYTES : start - 4] + block[start:end]).digest()
            for block, start, end in zip(blocks, starts, positions, strict=True)
        ]
        texts = [entry[at : at + _COMMITMENT_CHARS] for entry in entries]
        # A zero byte behind a digest makes the base64 of the next one begin anew, after an A.
        encoded = b2a_base64(b"\0".join([*digests, b""]), newline=False).translate(_URL_SAFE)
        if encoded != b"A".join([*texts, b""]):
            return False
    return positions == list(map(len, blocks))


def _lengths(begun: bytes, width: int) -> tuple[int, ...]:
    """Return the last four bytes of each `width` bytes, as numbers."""
    joined = bytearray(len(begun) // width * 4)
    for place in range(4):
        joined[place::4] = begun[width - 4 + place :: width]
    return struct.unpack(f">{len(joined) // 4}I", joined)


@lru_cache(maxsize=FORMS_REMEMBERED_MAX)
def _form_of(names: tuple[bytes, ...], kind: int, is_named: bool, digits: int) -> _Form:
    if list(names) != sorted(set(names)):
        raise EntryInvalid("an entry's sections are not in order")
    sections: list[tuple[int, bytes, bytes | None]] = []
    text = b'{"c":{'
    for name in names:
        clear = name.decode() in CLEAR_SECTIONS
        text += b'%b"%b":"' % (b"," if sections else b"", name)
        header = b"%c%b%c" % (len(name), name, clear)
        sections.append((len(text), header, b"audit-section/v1\n%b\n" % name if clear else None))
        text += b'%b"' % (b" " * _COMMITMENT_CHARS)
    text += b'},"id":"'
    record_id = len(text)
    text += b'%b","kind":"%b","t":' % (_NO_UUID, _KINDS_BY_CODE[kind])
    time = len(text)
    text += b'%b,"v":1' % (b" " * digits)
    exchange = len(text) + len(b',"x":"')
    text += b',"x":"%b"}' % _NO_UUID if is_named else b"}"
    marks = tuple((at, text[at : at + 1]) for at in range(len(text)) if text[at] != ord(" "))
    return _Form(len(text), marks, record_id, time, exchange, tuple(sections))
