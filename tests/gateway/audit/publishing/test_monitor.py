"""Watching a log by what it serves: growth passes, and every contradiction is found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.merkle import leaf_hash, root_of
from gateway.audit.note import Checkpoint, NoteInvalid, Policy, Signer
from gateway.audit.publishing.monitor import Contradicted, NotServed, check_extends, look
from gateway.audit.tiles import TILE_WIDTH, tile_path
from tests.gateway.audit.records import ORIGIN
from tests.gateway.audit.test_note_policies import other_witness

SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
POLICY = Policy(logs=(SIGNER.verifier,))
LEAVES = [leaf_hash(b"%d" % number) for number in range(66_000)]
SIZES = (0, 1, 2, 255, 256, 257, 511, 512, 513, 700, 65_535, 65_536, 65_537, 66_000)


def head_of(leaves: Sequence[bytes]) -> Checkpoint:
    """Return the checkpoint of a tree."""
    return Checkpoint(origin=ORIGIN, size=len(leaves), root=root_of(leaves))


class Log:
    """What a log serves: its checkpoint and its tiles."""

    def __init__(self, leaves: Sequence[bytes], signer: Signer = SIGNER) -> None:
        """Publish a tree."""
        self.note = signer.sign(head_of(leaves))
        self.files = {"checkpoint": self.note.encode()}
        self.asked: list[str] = []
        row, level = list(leaves), 0
        while row:
            tiles = [row[at : at + TILE_WIDTH] for at in range(0, len(row), TILE_WIDTH)]
            for number, tile in enumerate(tiles):
                self.files[tile_path(level, number, len(tile))] = b"".join(tile)
            row, level = [root_of(tile) for tile in tiles if len(tile) == TILE_WIDTH], level + 1

    async def fetch(self, path: str) -> bytes | None:
        """Serve a file."""
        self.asked.append(path)
        return self.files.get(path)


@pytest.fixture(scope="module")
def logs() -> dict[int, Log]:
    """Return a log at each of its sizes."""
    return {size: Log(LEAVES[:size]) for size in SIZES}


def test_a_growing_log_passes(logs: dict[int, Log]) -> None:
    """Whatever the two sizes, edges of tiles included, a few tiles show that it grew (I5)."""
    for old in SIZES:
        for new in (size for size in SIZES if size >= old):
            logs[new].asked.clear()
            seen = asyncio.run(look(logs[new].fetch, POLICY, logs[old].note))
            assert seen.checkpoint.size == new
            assert len(logs[new].asked) <= 8, (old, new)


def test_the_first_look_trusts_the_signature_alone(logs: dict[int, Log]) -> None:
    """Without a state there is nothing to compare with; no tile is asked for."""
    log = Log(LEAVES[:700])
    assert asyncio.run(look(log.fetch, POLICY, None)).note == log.note
    assert log.asked == ["checkpoint"]


def test_a_full_tile_serves_for_a_partial_one(logs: dict[int, Log]) -> None:
    """A log may have dropped a partial tile once the full one was there."""
    log = Log(LEAVES[:700])
    log.files["tile/0/002"] = log.files.pop("tile/0/002.p/188") + bytes(68 * 32)
    assert asyncio.run(look(log.fetch, POLICY, logs[513].note)).checkpoint.size == 700


@pytest.mark.parametrize("changed", [0, 1, 255, 256, 500])
def test_a_fork_is_found(logs: dict[int, Log], changed: int) -> None:
    """F12, F20: a log that changed a record since, and signs its new history, is found out (I5)."""
    leaves = list(LEAVES[:700])
    leaves[changed] = leaf_hash(b"changed")
    with pytest.raises(Contradicted, match="does not extend"):
        asyncio.run(look(Log(leaves).fetch, POLICY, logs[513].note))


def test_a_removed_record_and_another_root_of_one_size_are_found(logs: dict[int, Log]) -> None:
    """F20: history with a hole, and two histories of one length, contradict what was said (I5)."""
    shorter = [*LEAVES[:300], *LEAVES[301:701]]
    swapped = [*LEAVES[:511], LEAVES[512], LEAVES[511]]
    for known, leaves in ((513, shorter), (513, swapped)):
        with pytest.raises(Contradicted):
            asyncio.run(look(Log(leaves).fetch, POLICY, logs[known].note))


def test_a_rollback_is_found(logs: dict[int, Log]) -> None:
    """F11: a log that was restored from a backup serves a smaller checkpoint than was seen."""
    with pytest.raises(Contradicted, match="rollback"):
        asyncio.run(look(logs[257].fetch, POLICY, logs[513].note))


def test_tiles_that_do_not_fit_show_nothing(logs: dict[int, Log]) -> None:
    """F20: a changed tile proves nothing, whoever changed it."""
    log = Log(LEAVES[:700])
    tile = bytearray(log.files["tile/0/002.p/188"])
    tile[40] ^= 1
    log.files["tile/0/002.p/188"] = bytes(tile)
    with pytest.raises(Contradicted):
        asyncio.run(look(log.fetch, POLICY, logs[513].note))


def test_what_is_not_there_is_no_contradiction(logs: dict[int, Log]) -> None:
    """A missing checkpoint, a missing or cut tile and missing witnesses can come later."""
    gone, cut = Log(LEAVES[:700]), Log(LEAVES[:700])
    del gone.files["tile/0/002.p/188"]
    cut.files["tile/0/002.p/188"] = b"short"
    for log in (gone, cut):
        with pytest.raises(NotServed, match=r"tile/0/002\.p/188"):
            asyncio.run(look(log.fetch, POLICY, logs[513].note))
    log = Log(LEAVES[:1])
    witness = Policy.parse(
        f"log {SIGNER.verifier.vkey()}\nwitness W {other_witness(1)}\nquorum W\n"
    )
    with pytest.raises(NotServed, match="quorum"):
        asyncio.run(look(log.fetch, witness, None))
    del log.files["checkpoint"]
    with pytest.raises(NotServed, match="no checkpoint"):
        asyncio.run(look(log.fetch, POLICY, None))


def test_another_log_s_checkpoint_is_refused(logs: dict[int, Log]) -> None:
    """Who is not a log of the policy is nobody, and one of its logs is not the other."""
    other = Signer("other.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    note = other.sign(Checkpoint(origin="other.example/log", size=1, root=LEAVES[0]))
    log = Log(LEAVES[:1])
    for content in (note.encode(), b"\xff"):
        log.files["checkpoint"] = content
        with pytest.raises(NoteInvalid):
            asyncio.run(look(log.fetch, POLICY, None))
    head = head_of(LEAVES[:1])
    another = Checkpoint(origin="other.example/log", size=1, root=head.root)
    with pytest.raises(Contradicted, match="another log"):
        asyncio.run(check_extends(log.fetch, another, head))
