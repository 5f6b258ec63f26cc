"""What a log gives out besides its checkpoints, and the command that checks what it gave.

Tiles are those of C2SP tlog-tiles: their paths, and the tree's hashes computed from stored ones.
Proved records are entries with their proofs, in one JSON text; receipts are signed promises. `run`
is the command of an auditor, who has this module and four others (docs/verifying-the-log.md).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.audit.entry import (
    SALT_BYTES,
    Entry,
    EntryInvalid,
    Kind,
    commit,
    commitment_text,
    parse_entry,
)
from gateway.audit.merkle import (
    EMPTY_ROOT,
    CannotTell,
    ProofInvalid,
    Receipt,
    ReceiptInvalid,
    leaf_hash,
    node_hash,
    open_receipt,
    read_base64url,
    read_json_object,
    read_receipt_key,
    read_receipt_keys,
    root_of,
    split_point,
)
from gateway.audit.note import (
    Checkpoint,
    NoteInvalid,
    Policy,
    Verifier,
    check_consistency,
    check_proof,
)

TILE_BITS: Final = 8
TILE_WIDTH: Final = 1 << TILE_BITS

# A tree has fewer than 2**63 leaves, so that no tile is higher than this or has a larger index.
LEVEL_MAX: Final = 7
INDEX_MAX: Final = 2 ** (63 - TILE_BITS) - 1
PROVED_RECORDS_MAX: Final = 1_024
# What announces the key of receipts as `receipt_key` in its `core`.
ANNOUNCING: Final = frozenset({Kind.OPEN, Kind.CHANGE})

_TILE_PATH: Final = re.compile(
    r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?", re.ASCII
)

# Answers `count` hashes of tile level `level` from `first` on. A hash of level 0 is a leaf hash;
# one of level l + 1 is the root of a full tile of level l.
LevelHashes = Callable[[int, int, int], Sequence[bytes]]


class Proved(NamedTuple):
    """A record that a checkpoint was shown to cover, and those of its sections that were shown."""

    place: int
    entry: Entry
    leaf_hash: bytes
    checkpoint: Checkpoint
    sections: Mapping[str, dict[str, object]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Tile:
    """A full tile: 256 hashes of its level, and their root."""

    level: int
    index: int
    root: bytes
    hashes: bytes


class TileName(NamedTuple):
    """Which tile a path names; `level` is None for a bundle of entries."""

    level: int | None
    number: int
    width: int


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a hash tile; a width below 256 names a partial one."""
    return f"tile/{level}/{_index_path(index)}{_width_suffix(width)}"


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of an entry bundle."""
    return f"tile/entries/{_index_path(index)}{_width_suffix(width)}"


def parse_tile_path(unverified: str) -> TileName | None:
    """Return what a path below the log's prefix names, or None where it is no tile's only name."""
    found = _TILE_PATH.fullmatch(unverified)
    if found is None:
        return None
    kind, groups, width_text = found.groups()
    name = TileName(
        None if kind == "entries" else int(kind),
        int(groups.replace("x", "").replace("/", "")),
        TILE_WIDTH if width_text is None else int(width_text),
    )
    if (name.level or 0) > LEVEL_MAX or name.number > INDEX_MAX or not 0 < name.width <= TILE_WIDTH:
        return None
    # One tile has one path: what has another spelling would be kept twice by every cache.
    canonical = (
        entries_path(name.number, name.width)
        if name.level is None
        else tile_path(name.level, name.number, name.width)
    )
    return name if canonical == unverified else None


def tile_paths(size: int) -> Iterator[str]:
    """Yield the path of every hash tile of a tree of `size` leaves; empty tiles are not served."""
    level, hashes = 0, size
    while hashes:
        full, partial = divmod(hashes, TILE_WIDTH)
        for index in range(full):
            yield tile_path(level, index)
        if partial:
            yield tile_path(level, full, partial)
        level, hashes = level + 1, full


def entry_bundle(entries: Sequence[bytes]) -> bytes:
    """Return an entry bundle: each entry after its length in two bytes, big-endian."""
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def subtree_root(start: int, end: int, hashes: LevelHashes) -> bytes:
    """Return the hash over the leaves [start, end), `start` being where RFC 6962 would split."""
    size = end - start
    if size == 0:
        return EMPTY_ROOT
    if size & (size - 1):
        middle = start + split_point(size)
        return node_hash(subtree_root(start, middle, hashes), subtree_root(middle, end, hashes))
    level, within = divmod(size.bit_length() - 1, TILE_BITS)
    return root_of(hashes(level, start >> (level * TILE_BITS), 1 << within))


def completed_tiles(old_size: int, new_size: int, hashes: LevelHashes) -> Iterator[Tile]:
    """Yield the tiles that become full as the tree grows, each level before the next one.

    The caller makes a yielded tile's root known to `hashes` before it asks for the next tile.
    """
    level, old, new = 0, old_size, new_size
    while new >= TILE_WIDTH:
        old, new = old >> TILE_BITS, new >> TILE_BITS
        for index in range(old, new):
            row = hashes(level, index << TILE_BITS, TILE_WIDTH)
            yield Tile(level, index, root_of(row), b"".join(row))
        level += 1


def check_proved(unverified: str, policy: Policy) -> list[Proved]:
    """Return the records of a JSON text of entries with their tlog-proofs, which show each.

    Raises CannotTell where a proof is still to come, else NoteInvalid, ProofInvalid, EntryInvalid,
    or ReceiptInvalid where the text is none of this kind.
    """
    listed = read_json_object(unverified.encode()).get("records")
    if not isinstance(listed, list) or not 1 <= len(listed) <= PROVED_RECORDS_MAX:
        raise ReceiptInvalid("not a list of records with their proofs")
    proved: list[Proved] = []
    for record in listed:
        known = record if isinstance(record, dict) else {}
        entry, proof = known.get("entry"), known.get("proof", 0)
        if not isinstance(entry, str) or not isinstance(proof, str | None):
            raise ReceiptInvalid("not a record with its proof")
        if proof is None:
            raise CannotTell("no checkpoint covered the record yet when the proof was asked for")
        leaf, parsed = leaf_hash(entry.encode()), parse_entry(entry.encode())
        index, checkpoint = check_proof(proof, leaf, policy)
        opened = _opened(parsed, known.get("opened", {}))
        proved.append(Proved(index, parsed, leaf, checkpoint, opened))
    return proved


def _opened(entry: Entry, openings: object) -> dict[str, dict[str, object]]:
    """Return the sections that are shown as salt and text, once they have their commitments."""
    committed, sections = dict(entry.commitments), dict[str, dict[str, object]]()
    for name, shown in openings.items() if isinstance(openings, dict) else ():
        salt, body = (
            shown.get(part) if isinstance(shown, dict) else 0 for part in ("salt", "body")
        )
        if not isinstance(salt, str) or not isinstance(body, str):
            raise ReceiptInvalid("not an opened section")
        salted = read_base64url(salt)
        # Of another length, it could take over a part of the text (audit-log.md, 2.3).
        if len(salted) != SALT_BYTES:
            raise EntryInvalid(f"the salt of the section {name} is not {SALT_BYTES} bytes")
        commitment = commit(name, salted, body.encode())
        if commitment_text(commitment) != committed.get(name):
            raise EntryInvalid(f"the section {name} does not have its commitment")
        sections[name] = read_json_object(body.encode())
    return sections


def check_kept(receipt: Receipt, proved: Iterable[Proved]) -> Proved:
    """Return the record that a receipt promised; raise ProofInvalid if it is not among `proved`.

    A signed receipt whose record is not in the log at its index is evidence against the log.
    """
    for record in proved:
        what = (record.checkpoint.origin, record.place, record.leaf_hash)
        promised = (receipt.origin, receipt.place, receipt.leaf_hash)
        said = (record.entry.exchange, record.entry.kind)
        if what == promised and said == (receipt.exchange, receipt.kind):
            return record
    raise ProofInvalid("the record that the receipt promises is not among those that are proved")


def full_upper_tiles(roots: Sequence[bytes], size: int) -> dict[tuple[int, int], list[bytes]]:
    """Return the hashes of every full tile above level 0 of a tree of `size` leaves.

    They are named by level and number; `roots` are those of the full tiles of level 0.
    """
    rows: dict[tuple[int, int], list[bytes]] = {}
    level, span, below = 1, TILE_WIDTH, list(roots)
    while len(below) >= TILE_WIDTH:
        span *= TILE_WIDTH
        above = [
            below[first : first + TILE_WIDTH]
            for first in range(0, len(below) - TILE_WIDTH + 1, TILE_WIDTH)
        ]
        rows |= {(level, number): row for number, row in enumerate(above[: size // span])}
        below, level = [root_of(row) for row in above], level + 1
    return rows


def _index_path(index: int) -> str:
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    return "/".join(reversed(groups))


def _width_suffix(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"


def run(words: Sequence[str]) -> int:
    """Check what a log gave out; return 0 where it holds, 1 where not, 2 where it cannot be told.

    Standard output has what was shown, a sentence a line; standard error why it was not.
    """
    code, told = examine(words)
    (sys.stderr if code else sys.stdout).write("".join([f"{line}\n" for line in told]))
    return code


def examine(words: Sequence[str]) -> tuple[int, list[str]]:
    """Return what `run` returns, and the sentences that it writes."""
    parser = argparse.ArgumentParser(prog="verify", description=run.__doc__)
    parser.add_argument("what", choices=("proof", "receipt", "consistency"))
    parser.add_argument("file", help="proofs, a receipt, or a proof of consistency")
    for option, told in _OPTIONS.items():
        parser.add_argument(option, help=told)
    asked = parser.parse_args(words)
    checks = {"proof": _proof_shows, "receipt": _receipt_shows, "consistency": _consistency_shows}
    try:
        return 0, [*checks[asked.what](_read(asked.file), asked), "verified"]
    except CannotTell as unclear:
        return 2, [f"cannot tell: {unclear}"]
    except ValueError as invalid:
        return 1, [f"INVALID: {invalid}"]


_OPTIONS: Final = {
    "--vkey": "the log's key, as its publisher gives it",
    "--policy": "file of the logs and witnesses to trust (C2SP tlog-policy)",
    "--entry": "proof: file of the entry, where the proof is a tlog-proof",
    "--old": "consistency: file of the earlier checkpoint",
    "--jwks": "receipt: file of the receipt keys, as a JWK Set",
    "--announced": "receipt: file in which the log proves that it announced its receipt key",
    "--key": "receipt: the one key, as the x of its JWK",
    "--proof": "receipt: file of the exchange's proofs, to see whether the receipt was kept",
}


def _proof_shows(text: str, asked: argparse.Namespace) -> list[str]:
    policy = _policy(asked)
    if asked.entry is None:
        return [_told(record) for record in check_proved(text, policy)]
    entry = _read(asked.entry).encode()
    parsed, leaf = parse_entry(entry), leaf_hash(entry)
    return [
        _told(Proved(index, parsed, leaf, head))
        for index, head in [check_proof(text, leaf, policy)]
    ]


def _receipt_shows(text: str, asked: argparse.Namespace) -> list[str]:
    receipt = _open(text.strip(), asked)
    promised = f"{receipt.origin} promised {receipt.kind} at index {receipt.place}"
    if asked.proof is None:
        return [f"{promised}; without --proof nobody can tell whether it is there"]
    return [promised, _told(check_kept(receipt, check_proved(_read(asked.proof), _policy(asked))))]


def _open(text: str, asked: argparse.Namespace) -> Receipt:
    """Return a receipt, opened with the keys that were given or that its log itself announces."""
    if asked.announced is None:
        return open_receipt(text, _given_keys(asked))
    announced = [
        (it.checkpoint.origin, str(it.sections.get("core", {}).get("receipt_key")))
        for it in check_proved(_read(asked.announced), _policy(asked))
        if it.entry.kind in ANNOUNCING
    ]
    keys = [(origin, read_receipt_key(public)) for origin, public in announced]
    receipt = open_receipt(text, [key for _, key in keys])
    # A policy may trust several logs, and none of them speaks for another.
    return open_receipt(text, [key for origin, key in keys if origin == receipt.origin])


def _given_keys(asked: argparse.Namespace) -> Iterable[bytes]:
    try:
        return [read_receipt_key(asked.key)] if asked.key else read_receipt_keys(_read(asked.jwks))
    except ReceiptInvalid as unusable:
        raise CannotTell(f"the receipt's keys are not usable: {unusable}") from None


def _consistency_shows(text: str, asked: argparse.Namespace) -> list[str]:
    old, new = check_consistency(_read(asked.old), text, _policy(asked))
    return [f"{new.origin} of size {new.size} extends what it was at size {old.size}"]


def _told(record: Proved) -> str:
    head = record.checkpoint
    return f"{record.entry.kind} at index {record.place} is in {head.origin} of size {head.size}"


def _policy(asked: argparse.Namespace) -> Policy:
    try:
        if asked.policy is not None:
            return Policy.parse(_read(asked.policy))
        return Policy(logs=(Verifier.parse(asked.vkey or ""),))
    except NoteInvalid as unusable:
        raise CannotTell(f"give a usable --vkey or --policy: {unusable}") from None


def _read(path: str | None) -> str:
    if path is None:
        raise CannotTell("a file is not given that this check needs")
    try:
        return Path(path).read_bytes().decode()
    except (OSError, UnicodeDecodeError) as unreadable:
        raise CannotTell(f"{path} cannot be read: {unreadable}") from None
