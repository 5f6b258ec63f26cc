"""Watch a log from outside: every checkpoint it publishes must extend the one seen before (I5).

What was seen is kept as the checkpoint itself, so that a monitor goes on where it was stopped.
Nothing of the log's records is read but hashes: C2SP tlog-tiles serves those to everybody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.audit.merkle import HASH_BYTES, ProofInvalid, consistency_proof, verify_consistency
from gateway.audit.note import Checkpoint, NoteInvalid, NotWitnessed, Policy
from gateway.audit.tiles import TILE_BITS, TILE_WIDTH, subtree_root, tile_path

CHECKPOINT_PATH: Final = "checkpoint"

Fetch = Callable[[str], Awaitable[bytes | None]]
"""Answers what lies at a path below the log's prefix, None where there is nothing."""


class NotServed(Exception):
    """What a log must serve is not there, or not whole: nothing can be told."""


class Contradicted(Exception):
    """A log contradicts a checkpoint that it signed before: it forked, or was rolled back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A checkpoint that was found to extend the one seen before it, if there was one."""

    note: str
    checkpoint: Checkpoint


async def look(fetch: Fetch, policy: Policy, known_note: str | None) -> Seen:
    """Fetch the newest checkpoint, and check that it extends the one that is known.

    Raises:
        NotServed: checkpoint, tiles or witnesses are not there; a later look may find them.
        NoteInvalid: the checkpoint does not satisfy the policy.
        Contradicted: it does, and does not extend the known one, which satisfied it too.
    """
    content = await fetch(CHECKPOINT_PATH)
    if content is None:
        raise NotServed("there is no checkpoint")
    try:
        note = content.decode()
    except UnicodeDecodeError:
        raise NoteInvalid("a checkpoint is not text") from None
    try:
        seen = Seen(note=note, checkpoint=policy.open(note))
    except NotWitnessed as waiting:
        raise NotServed(str(waiting)) from None
    if known_note is not None:
        await check_extends(fetch, policy.open(known_note), seen.checkpoint)
    return seen


async def check_extends(fetch: Fetch, known: Checkpoint, newest: Checkpoint) -> None:
    """Check that one checkpoint extends another by the hashes that the log serves.

    Raises:
        NotServed: the tiles for it are not there.
        Contradicted: it does not.
    """
    if newest.origin != known.origin:
        raise Contradicted(f"{newest.origin} is another log than {known.origin}")
    if newest.size < known.size:
        raise Contradicted(f"a log of {known.size} records is of {newest.size} now: a rollback")
    try:
        if known.size:
            proof = await _consistency(fetch, known.size, newest.size)
            verify_consistency(known.size, newest.size, known.root, newest.root, proof)
    except ProofInvalid as invalid:
        raise Contradicted(
            f"the checkpoint of {newest.size} records does not extend that of {known.size}, which"
            f" the same log signed: {invalid}"
        ) from None


async def _consistency(fetch: Fetch, old: int, new: int) -> Sequence[bytes]:
    """Compute a proof from tiles, each fetched when it turns out to be needed."""
    tiles = _Tiles(new)
    while True:
        try:
            return consistency_proof(
                old, new, lambda start, end: subtree_root(start, end, tiles.hashes)
            )
        except _Needed as needed:
            await tiles.bring(fetch, needed.level, needed.number)


class _Needed(Exception):
    """A tile that was not fetched yet."""

    def __init__(self, level: int, number: int) -> None:
        super().__init__()
        self.level = level
        self.number = number


class _Tiles:
    """The tiles of a tree of one size, as far as they were fetched."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._fetched: dict[tuple[int, int], bytes] = {}

    def hashes(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """Answer as `tiles.LevelHashes`; what is asked for at once lies in one tile."""
        number, at = divmod(first, TILE_WIDTH)
        tile = self._fetched.get((level, number))
        if tile is None:
            raise _Needed(level, number)
        return [tile[i * HASH_BYTES : (i + 1) * HASH_BYTES] for i in range(at, at + count)]

    async def bring(self, fetch: Fetch, level: int, number: int) -> None:
        width = min(TILE_WIDTH, (self._size >> (level * TILE_BITS)) - number * TILE_WIDTH)
        path = tile_path(level, number, width)
        content = await fetch(path)
        if content is None and width < TILE_WIDTH:
            # A log may drop a partial tile once the full one is there (tlog-tiles, "partial").
            content = await fetch(tile_path(level, number))
        if content is None or len(content) < width * HASH_BYTES:
            raise NotServed(f"{path} is not there, or not whole")
        self._fetched[level, number] = content
