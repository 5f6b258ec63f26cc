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
# What is around an entry's time, by the code of its kind and by whether it names an exchange.
_NO_UUID: Final = b"        -    -    -    -            "
_TAILS: Final = {
    (code, named): (
        b'%b","kind":"%b","t":' % (_NO_UUID, kind.value.encode()),
        b',"v":1%b' % (b',"x":"%b"}' % _NO_UUID if named else b"}"),
    )
    for kind, code in KIND_CODES.items()
    for named in (False, True)
}
_LISTED_NAME: Final = re.compile(rb'"([a-z0-9_]{1,32})":"')
_DIGIT_PLACES: Final = [at for at, char in enumerate(_NO_UUID) if char == ord(" ")]

_sha256 = hashlib.sha256


class _Form(NamedTuple):
    """What entries and blocks with sections of the same names have in common.

    `marks` are the bytes of an entry that are no commitments, and where they are. Of each section:
    where its commitment is, how its block begins, and, if clear, what its commitment begins with.
    """

    marks: tuple[tuple[int, bytes], ...]
    sections: tuple[tuple[int, bytes, bytes | None], ...]


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
        heads, tails = zip(*[entry.split(b'},"id":"') for entry in entries], strict=True)
        if max(map(len, entries)) > ENTRY_BYTES_MAX:
            return None
        if not _are_of_columns(tails, record_ids, exchanges, kinds, times):
            return None
        sealed = _sealed_of_whole(heads, blocks)
    except (TypeError, ValueError, LookupError, struct.error):
        return None
    return None if sealed is None else (b"".join(leaves), sealed)


def _are_of_columns(
    tails: Sequence[bytes],
    record_ids: Sequence[bytes],
    exchanges: Sequence[bytes | None],
    kinds: Sequence[int],
    times: Sequence[int],
) -> bool:
    """Tell whether this is what follows the commitments in entries with these columns."""
    if set(map(type, times)) != {int} or min(times) < 0 or max(times) > INTEGER_MAX:
        return False
    groups: dict[tuple[int, bool, int], list[int]] = {}
    for at, (kind, exchange, tail) in enumerate(zip(kinds, exchanges, tails, strict=True)):
        groups.setdefault((kind, exchange is not None, len(tail)), []).append(at)
    for (kind, is_named, size), group in groups.items():
        before, after = _TAILS[kind, is_named]
        shown = [times[at] for at in group]
        digits = size - len(before) - len(after)
        # Of numbers in between, each has as many digits as the least and the greatest.
        if {len(b"%d" % min(shown)), len(b"%d" % max(shown))} != {digits}:
            return False
        expected = bytearray((before + b" " * digits + after) * len(group))
        _put_columns(expected, size, len(before), b"".join([b"%d" % at_us for at_us in shown]))
        _put_uuids(expected, size, 0, [record_ids[at] for at in group])
        if is_named:
            named = [exchanges[at] or b"" for at in group]
            _put_uuids(expected, size, size - len(_NO_UUID) - 2, named)
        if expected != b"".join([tails[at] for at in group]):
            return False
    return True


def _put_columns(texts: bytearray, size: int, start: int, values: bytes) -> None:
    """Put values of the same length, joined, into texts of `size` bytes, joined."""
    width = len(values) * size // len(texts)
    for place in range(width):
        texts[start + place :: size] = values[place::width]


def _put_uuids(texts: bytearray, size: int, start: int, identifiers: Sequence[bytes]) -> None:
    """Put identifiers as entries write them: the first digit of all, then their second one."""
    if set(map(len, identifiers)) != {16}:
        raise ValueError("an identifier is not 16 bytes")
    digits = hexlify(b"".join(identifiers))
    for digit, place in enumerate(_DIGIT_PLACES):
        texts[start + place :: size] = digits[digit::32]


def _sealed_of_whole(heads: Sequence[bytes], blocks: Sequence[bytes]) -> int | None:
    """Return how many sections are sealed, or None unless clear ones have their commitments."""
    groups: dict[tuple[int, bytes], list[tuple[bytes, bytes]]] = {}
    for head, block in zip(heads, blocks, strict=True):
        # Seldom are two lists of names alike in these; then the records are read one by one.
        groups.setdefault((len(head), head[-50:-46]), []).append((head, block))
    sealed = 0
    for group in groups.values():
        alike, their_blocks = zip(*group, strict=True)
        form = _form_of(tuple(_LISTED_NAME.findall(alike[0])))
        if not _are_of_form(form, alike, their_blocks):
            return None
        sealed += len(group) * sum(prefix is None for _, _, prefix in form.sections)
    return sealed


def _are_of_form(form: _Form, heads: Sequence[bytes], blocks: Sequence[bytes]) -> bool:
    count, size = len(heads), len(heads[0])
    joined = b"".join(heads)
    if size != len(form.marks) + _COMMITMENT_CHARS * len(form.sections):
        return False
    if any(joined[at::size] != mark * count for at, mark in form.marks):
        return False
    positions = [0] * count
    for at, header, prefix in form.sections:
        texts = [head[at : at + _COMMITMENT_CHARS] for head in heads]
        width = len(header) + (4 if prefix is None else SALT_BYTES + 4)
        placed = zip(blocks, positions, strict=True)
        begun = b"".join([block[start : start + width] for block, start in placed])
        if len(begun) != width * count or any(
            begun[place::width] != header[place : place + 1] * count for place in range(len(header))
        ):
            return False
        starts = [start + width for start in positions]
        positions = list(map(add, starts, _lengths(begun, width)))
        if prefix is None:
            if not _could_be_commitments(b"".join(texts)):
                return False
            continue
        digests = [
            _sha256(prefix + block[start - 4 - SALT_BYTES : start - 4] + block[start:end]).digest()
            for block, start, end in zip(blocks, starts, positions, strict=True)
        ]
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


def _could_be_commitments(joined: bytes) -> bool:
    return not (
        joined.translate(None, _WORD) or joined[42::_COMMITMENT_CHARS].translate(None, _LAST)
    )


@lru_cache(maxsize=FORMS_REMEMBERED_MAX)
def _form_of(names: tuple[bytes, ...]) -> _Form:
    if list(names) != sorted(set(names)):
        raise EntryInvalid("an entry's sections are not in order")
    sections: list[tuple[int, bytes, bytes | None]] = []
    head = b'{"c":{'
    for name in names:
        clear = name.decode() in CLEAR_SECTIONS
        head += b'%b"%b":"' % (b"," if sections else b"", name)
        header = b"%c%b%c" % (len(name), name, clear)
        sections.append((len(head), header, b"audit-section/v1\n%b\n" % name if clear else None))
        head += b'%b"' % (b" " * _COMMITMENT_CHARS)
    marks = tuple((at, head[at : at + 1]) for at in range(len(head)) if head[at] != ord(" "))
    return _Form(marks, tuple(sections))
