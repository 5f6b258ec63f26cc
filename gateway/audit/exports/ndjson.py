"""Records with their openings and all the hashes that prove them, as lines of JSON.

The format is told, and checked, in `exported.py`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping

import orjson

from gateway.audit.exports.selection import Opening, Picked
from gateway.audit.tree import StoredTree


def ndjson_lines(
    head: Mapping[str, object], picks: Iterable[Picked], tree: StoredTree, size: int, note: str
) -> Iterator[bytes]:
    """Yield the lines of an export that the checkpoint `note` of `size` records covers.

    `head` says which log it is of (`origin`), and what was asked for.
    """
    for line in gap_lines(head, picks, tree, size, note):
        if isinstance(line, bytes):
            yield line
        else:
            sections = sections_of(line)
            entry = line.entry.decode()
            yield _line({"index": line.index, "entry": entry, "sections": sections})


def gap_lines(
    head: Mapping[str, object], picks: Iterable[Picked], tree: StoredTree, size: int, note: str
) -> Iterator[bytes | Picked]:
    """Yield the lines of an export, and the records themselves where their lines belong."""
    yield _line(head)
    position = 0
    for picked in picks:
        yield from _gap(tree, position, picked.index)
        yield picked
        position = picked.index + 1
    yield from _gap(tree, position, size)
    yield _line({"checkpoint": note})


def sections_of(picked: Picked) -> dict[str, object]:
    """Return a record's sections as an export shows them: open ones with their salts."""
    return {
        name: {"salt": b64encode(section.salt).decode(), "body": section.body.decode()}
        if isinstance(section, Opening)
        else section
        for name, section in picked.sections.items()
    }


def gaps(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the perfect subtrees of a growing tree that cover the leaves from `start` to `end`."""
    while start < end:
        aligned = start & -start or 1 << 62
        count = min(aligned, 1 << ((end - start).bit_length() - 1))
        yield start, start + count
        start += count


def _gap(tree: StoredTree, start: int, end: int) -> Iterator[bytes]:
    for first, last in gaps(start, end):
        node = b64encode(tree.subtree(first, last)).decode()
        yield _line({"from": first, "to": last, "hash": node})


def _line(value: Mapping[str, object]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
