"""The Merkle tree against published vectors and a naive model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofInvalid,
    SubtreeHash,
    consistency_proof,
    edge_of,
    inclusion_proof,
    leaf_hash,
    node_hash,
    perfect_subtrees,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from tests.gateway.audit.records import VECTORS, unbase64, unhex

TREE5 = VECTORS["tree5"]
SMALL = [leaf_hash(bytes([value])) for value in range(130)]


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """Return MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def subtree_of(leaves: Sequence[bytes]) -> SubtreeHash:
    """Return a function that answers the naive hash of any part of these leaves."""
    return lambda start, end: naive_root(leaves[start:end])


def test_five_leaves_have_the_published_hashes_and_roots() -> None:
    """Leaf hashes and the roots of sizes 0 to 5 are those of the vectors."""
    leaves = [leaf_hash(entry.encode()) for entry in TREE5["entries"]]
    assert [leaf.hex() for leaf in leaves] == TREE5["leaf_hashes"]
    assert [root_of(leaves[:size]).hex() for size in range(6)] == TREE5["roots"]


def test_five_leaves_have_the_published_proofs() -> None:
    """The inclusion of 1 in 5 and the consistency of 3 with 5 are those of the vectors."""
    leaves = [unhex(text) for text in TREE5["leaf_hashes"]]
    roots = [unhex(text) for text in TREE5["roots"]]
    inclusion = inclusion_proof(1, 5, subtree_of(leaves))
    assert inclusion == unbase64(TREE5["inclusion_1_of_5"])
    assert verify_inclusion(leaves[1], 1, 5, inclusion) == roots[5]
    consistency = consistency_proof(3, 5, subtree_of(leaves))
    assert consistency == unbase64(TREE5["consistency_3_to_5"])
    verify_consistency(3, 5, roots[3], roots[5], consistency)


def test_every_small_proof_adds_up_to_the_published_hash() -> None:
    """All inclusion and consistency proofs of up to 130 leaves have the accumulated hashes."""
    expected = VECTORS["accumulated_plain"]
    known = {
        (start, end): naive_root(SMALL[start:end]) for end in range(131) for start in range(end + 1)
    }

    def subtree(start: int, end: int) -> bytes:
        return known[start, end]

    lines = {"inclusion_sha256": hashlib.sha256(), "consistency_sha256": hashlib.sha256()}
    for size in range(1, 131):
        for index in range(size):
            proof = inclusion_proof(index, size, subtree)
            line = "".join([f" {item.hex()}" for item in proof])
            lines["inclusion_sha256"].update(f"{index} {size}{line}\n".encode())
        for old in range(1, size + 1):
            proof = consistency_proof(old, size, subtree)
            line = "".join([f" {item.hex()}" for item in proof])
            lines["consistency_sha256"].update(f"{old} {size}{line}\n".encode())
    assert {name: line.hexdigest() for name, line in lines.items()} == {
        name: expected[name] for name in lines
    }


def test_every_valid_subtree_adds_up_to_the_published_hash() -> None:
    """All valid subtrees of up to 130 leaves have the hash of the Merkle tree certificates draft.

    A subtree [start, end) is valid where it is empty, or start is a multiple of the smallest power
    of two that is not below its size.
    """
    digest = hashlib.sha256()
    for end in range(131):
        for start in range(end + 1):
            if start == end or start % (1 << (end - start - 1).bit_length()) == 0:
                root = root_of(SMALL[start:end])
                digest.update(f"[{start}, {end}) {root.hex()}\n".encode())
    assert digest.hexdigest() == VECTORS["accumulated_subtree_hash_vector"]["sha256"]


@given(st.lists(st.binary(max_size=4), max_size=80))
def test_a_growing_frontier_has_the_naive_root(entries: list[bytes]) -> None:
    """Whatever the leaves, the frontier's root is the definition's (I5)."""
    leaves = [leaf_hash(entry) for entry in entries]
    frontier = Frontier()
    frontier.extend(leaves)
    assert frontier.root() == root_of(leaves) == naive_root(leaves)
    assert frontier.size == len(leaves)


@given(st.integers(1, 130), st.data())
def test_proofs_verify_and_no_other_proof_does(size: int, data: st.DataObject) -> None:
    """A proof made for one place verifies there; changed, cut or lengthened it does not (I6)."""
    leaves = SMALL[:size]
    root = naive_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, subtree_of(leaves))
    assert verify_inclusion(leaves[index], index, size, proof) == root
    with pytest.raises(ProofInvalid):
        verify_inclusion(leaves[index], index, size, [*proof, EMPTY_ROOT])
    if proof:
        with pytest.raises(ProofInvalid):
            verify_inclusion(leaves[index], index, size, proof[:-1])
        assert verify_inclusion(leaves[index], index, size, [EMPTY_ROOT, *proof[1:]]) != root
    old = data.draw(st.integers(1, size))
    joined = consistency_proof(old, size, subtree_of(leaves))
    verify_consistency(old, size, naive_root(leaves[:old]), root, joined)
    for wrong in ([*joined, EMPTY_ROOT], joined[:-1] if joined else [EMPTY_ROOT]):
        with pytest.raises(ProofInvalid):
            verify_consistency(old, size, naive_root(leaves[:old]), root, wrong)


def test_impossible_proofs_are_refused() -> None:
    """Indices and sizes that cannot be, and consistency from size 0, are refused (I7)."""
    with pytest.raises(ProofInvalid):
        verify_inclusion(SMALL[0], 1, 1, [])
    with pytest.raises(ProofInvalid):
        verify_consistency(0, 3, EMPTY_ROOT, naive_root(SMALL[:3]), [])
    with pytest.raises(ProofInvalid):
        verify_consistency(2, 2, SMALL[0], SMALL[1], [])
    with pytest.raises(ValueError, match="not in the tree"):
        inclusion_proof(3, 3, subtree_of(SMALL))
    with pytest.raises(ValueError, match="between 1"):
        consistency_proof(0, 3, subtree_of(SMALL))


def corrupted(index: int, size: int, proof: list[bytes], root: bytes) -> dict[str, Corrupted]:
    """Return the ways in which others' suites corrupt a proof of inclusion (transparency-dev)."""
    other = leaf_hash(b"other")
    cases: dict[str, Corrupted] = {
        f"index {at}": (at, size, proof, root)
        for at in (index - 1, index + 1, index ^ 2, -1)
        if at != index
    }
    cases |= {
        f"size {of}": (index, of, proof, root)
        for of in (size * 2, size // 2, 0, -1)
        if of != size and len(inclusion_hashes(index, of)) != len(proof)
    }
    cases |= {
        "root": (index, size, proof, other),
        "empty root": (index, size, proof, EMPTY_ROOT),
        "behind": (index, size, [*proof, other], root),
        "before": (index, size, [other, *proof], root),
        "root behind": (index, size, [*proof, root], root),
        "root before": (index, size, [root, *proof], root),
    }
    for at in range(len(proof)):
        cases[f"changed {at}"] = (index, size, [*proof[:at], other, *proof[at + 1 :]], root)
        cases[f"missing {at}"] = (index, size, [*proof[:at], *proof[at + 1 :]], root)
        cases[f"between {at}"] = (index, size, [*proof[:at], other, *proof[at:]], root)
    return cases


Corrupted = tuple[int, int, list[bytes], bytes]


def inclusion_hashes(index: int, size: int) -> list[bytes]:
    """Return a proof's hashes, none where there can be no proof."""
    if not 0 <= index < size:
        return [b"impossible"] * 99
    return inclusion_proof(index, size, lambda _start, _end: EMPTY_ROOT)


def shows(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """Tell whether a proof leads from a leaf to a root."""
    try:
        return verify_inclusion(leaf, index, size, proof) == root
    except ProofInvalid:
        return False


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17])
def test_every_corruption_of_an_inclusion_proof_is_refused(size: int) -> None:
    """F20: index, size, root, and a hash changed, missing or added at any place (I6)."""
    leaves = SMALL[:size]
    root = naive_root(leaves)
    for index in range(size):
        proof = inclusion_proof(index, size, subtree_of(leaves))
        assert shows(leaves[index], index, size, proof, root)
        assert not shows(leaf_hash(b"other"), index, size, proof, root)
        for name, case in corrupted(index, size, proof, root).items():
            assert not shows(leaves[index], *case), (index, name)


@pytest.mark.parametrize("size", [2, 3, 4, 5, 7, 8, 9, 13, 16, 17])
def test_every_corruption_of_a_consistency_proof_is_refused(size: int) -> None:
    """F20: sizes, roots, swapped roots, and a hash changed, missing or added anywhere (I5, I7)."""
    other, new_root = leaf_hash(b"other"), naive_root(SMALL[:size])
    for old in range(1, size):
        old_root = naive_root(SMALL[:old])
        proof = consistency_proof(old, size, subtree_of(SMALL[:size]))
        cases = [
            (0, size, old_root, new_root, proof),
            (-1, size, old_root, new_root, proof),
            (size, old, old_root, new_root, proof),
            (old, size, other, new_root, proof),
            (old, size, old_root, other, proof),
            (old, size, new_root, old_root, proof),
            (old, size, old_root, new_root, []),
            (old, size, old_root, new_root, [*proof, other]),
            (old, size, old_root, new_root, [other, *proof]),
            (old, size, old_root, new_root, [*proof, new_root]),
        ]
        for at in range(len(proof)):
            changed, missing = [*proof], [*proof]
            changed[at] = other
            del missing[at]
            cases += [(old, size, old_root, new_root, wrong) for wrong in (changed, missing)]
        for case in cases:
            with pytest.raises(ProofInvalid):
                verify_consistency(*case)


def test_every_prefix_has_its_root_from_perfect_subtrees() -> None:
    """The root of any prefix of a tile is that of the leaves themselves."""
    leaves = [leaf_hash(bytes([at])) for at in range(256)]
    for count in (1, 2, 3, 7, 255, 256):
        subtrees = perfect_subtrees(b"".join(leaves[:count]))
        assert len(subtrees[0]) == count
        for size in range(count + 1):
            assert Frontier().root(edge_of(subtrees, size)) == root_of(leaves[:size])
