"""The Merkle tree of RFC 6962: hashes, roots, proofs, and receipts that promise a leaf its place.

This is one of the five modules an auditor needs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.audit.entry import INTEGER_MAX, KINDS_BY_TEXT, Kind, commitment_text

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
RECEIPT_TYPE: Final = "exchange-receipt+jws"
RECEIPT_CHARS_MAX: Final = 4_096
RECEIPT_KEYS_MAX: Final = 64

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)

# Answers the hash of the subtree over the leaves [start, end).
SubtreeHash = Callable[[int, int], bytes]


class ProofInvalid(ValueError):
    """A proof does not show what it is said to show."""


class ReceiptInvalid(ValueError):
    """Text is not a receipt, or its key did not sign it."""


class CannotTell(Exception):
    """What a check stands on is missing, so that it can tell neither way."""


class Receipt(NamedTuple):
    """A log's signed promise about one record of an exchange (audit-log.md, section 2.12).

    The record lies at the index `place` with `leaf_hash`, and a checkpoint covers it at most
    `delay_s` seconds after `issued_at_s` (seconds since 1970). The digests are RFC 9530's, of the
    bodies that were released and received, where they are known.
    """

    origin: str
    exchange: bytes
    kind: Kind
    place: int
    leaf_hash: bytes
    issued_at_s: int
    delay_s: int
    response_digest: str | None = None
    request_digest: str | None = None


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def split_point(size: int) -> int:
    """Return the largest power of two below `size`, which must be at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root of the tree over these leaf or subtree hashes.

    Level by level: what has no neighbour goes up as it is, which is where the tree splits.
    """
    row = list(hashes)
    if not row:
        return EMPTY_ROOT
    sha256 = hashlib.sha256
    while len(row) > 1:
        pairs, alone = iter(row), row[-1:] if len(row) & 1 else []
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs)]  # noqa: B905 - an odd last one waits
        row += alone
    return row[0]


class Frontier:
    """The right edge of a growing tree: the perfect subtrees that make it up, largest first."""

    __slots__ = ("_edge", "size")

    def __init__(self) -> None:
        """Begin with the empty tree."""
        self.size = 0
        self._edge: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Append one leaf hash; as many subtrees merge as the size has trailing one bits."""
        edge, size = self._edge, self.size
        while size & 1:
            leaf = node_hash(edge.pop(), leaf)
            size >>= 1
        edge.append(leaf)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes in order."""
        for leaf in leaves:
            self.add(leaf)

    def root(self, rest: Sequence[bytes] = ()) -> bytes:
        """Return the root over all leaves added so far, and over `rest`.

        Those are smaller perfect subtrees that follow the leaves, largest first.
        """
        edge = [*self._edge, *rest]
        if not edge:
            return EMPTY_ROOT
        root = edge[-1]
        for left in reversed(edge[:-1]):
            root = node_hash(left, root)
        return root


def perfect_subtrees(leaves: bytes) -> list[list[bytes]]:
    """Return the hashes of the perfect subtrees over leaf hashes, by height, leaves first."""
    row = [leaves[at : at + HASH_BYTES] for at in range(0, len(leaves), HASH_BYTES)]
    rows = [row]
    sha256 = hashlib.sha256
    while len(row) > 1:
        pairs = iter(row)
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs)]  # noqa: B905 - an odd last one waits
        rows.append(row)
    return rows


def edge_of(rows: Sequence[Sequence[bytes]], count: int) -> list[bytes]:
    """Return the perfect subtrees that make up the first `count` leaves, largest first.

    `rows` are those of `perfect_subtrees`, over at least as many leaves.
    """
    edge, at = [], 0
    for height in range(count.bit_length() - 1, -1, -1):
        if count >> height & 1:
            edge.append(rows[height][at >> height])
            at += 1 << height
    return edge


def inclusion_proof(index: int, size: int, subtree: SubtreeHash) -> list[bytes]:
    """Return the hashes that lead from leaf `index` to the root of `size` leaves, leaf first."""
    if not 0 <= index < size:
        raise ValueError("the leaf is not in the tree")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split_point(end - start)
        if index < middle:
            proof.append(subtree(middle, end))
            end = middle
        else:
            proof.append(subtree(start, middle))
            start = middle
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that the proof leads to (RFC 9162, section 2.1.3.2).

    Raises ProofInvalid where the proof has not the length that this index and size need. The
    caller compares the root with one it trusts.
    """
    if not 0 <= index < size:
        raise ProofInvalid("the index is not below the size")
    node, last, root = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofInvalid("the proof is too long")
        if node & 1 or node == last:
            root = node_hash(sibling, root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofInvalid("the proof is too short")
    return root


def consistency_proof(old: int, new: int, subtree: SubtreeHash) -> list[bytes]:
    """Return the hashes that show the tree of `old` leaves to be a prefix of that of `new`."""
    if not 0 < old <= new:
        raise ValueError("the old size is not between 1 and the new size")
    proof: list[bytes] = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + split_point(end - start)
        if old <= middle:
            proof.append(subtree(middle, end))
            end = middle
        else:
            proof.append(subtree(start, middle))
            start, whole = middle, False
    if not whole:
        proof.append(subtree(start, end))
    return proof[::-1]


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Raise ProofInvalid unless the proof joins both roots (RFC 9162, section 2.1.4.2).

    An old size of 0 is refused: every tree extends the empty one, and nothing is shown by it.
    """
    if not 0 < old <= new:
        raise ProofInvalid("the old size is not between 1 and the new size")
    if old == new:
        if proof or old_root != new_root:
            raise ProofInvalid("two roots of one size differ")
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        raise ProofInvalid("the proof is empty")
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofInvalid("the proof is too long")
        if node & 1 or node == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        node, last = node >> 1, last >> 1
    if last or first != old_root or second != new_root:
        raise ProofInvalid("the proof does not join the two roots")


def key_thumbprint(public_bytes: bytes) -> str:
    """Return the name of an Ed25519 key: the SHA-256 thumbprint of its JWK (RFC 7638, RFC 8037)."""
    jwk = f'{{"crv":"Ed25519","kty":"OKP","x":"{commitment_text(public_bytes)}"}}'
    return commitment_text(hashlib.sha256(jwk.encode()).digest())


def open_receipt(unverified: str, keys: Iterable[bytes]) -> Receipt:
    """Return the receipt of a compact JWS (RFC 7515) that one of the Ed25519 `keys` signed.

    Raises CannotTell if it is none of theirs, ReceiptInvalid for everything else. ``EdDSA`` is what
    libraries wrote before RFC 9864 named the algorithm.
    """
    parts = unverified.split(".")
    if len(unverified) > RECEIPT_CHARS_MAX or len(parts) != 3:
        raise ReceiptInvalid("not a compact JWS")
    header, claims = (read_json_object(read_base64url(part)) for part in parts[:2])
    if header.get("typ") != RECEIPT_TYPE or header.get("alg") not in ("Ed25519", "EdDSA"):
        raise ReceiptInvalid("not a receipt by its header")
    if not header.keys() <= {"typ", "alg", "kid"}:
        raise ReceiptInvalid("a receipt's header has other members than its own")
    key = next((one for one in keys if key_thumbprint(one) == header.get("kid")), None)
    if key is None:
        raise CannotTell("the receipt's key is not among those given")
    try:
        signed = f"{parts[0]}.{parts[1]}".encode()
        Ed25519PublicKey.from_public_bytes(key).verify(read_base64url(parts[2]), signed)
    except InvalidSignature as wrong:
        raise ReceiptInvalid("the receipt's signature is wrong") from wrong
    return _receipt_of(claims)


def read_receipt_keys(text: str) -> tuple[bytes, ...]:
    """Return the Ed25519 keys of a JWK Set (RFC 7517); raise ReceiptInvalid if it is none."""
    listed = read_json_object(text.encode()).get("keys")
    if not isinstance(listed, list) or len(listed) > RECEIPT_KEYS_MAX:
        raise ReceiptInvalid("not a JWK Set")
    return tuple(
        read_receipt_key(jwk["x"])
        for jwk in listed
        if isinstance(jwk, dict) and jwk.get("crv") == "Ed25519" and isinstance(jwk.get("x"), str)
    )


def read_receipt_key(text: str) -> bytes:
    """Return the 32 bytes of an Ed25519 key, written as the `x` of its JWK."""
    key = read_base64url(text)
    if len(key) != HASH_BYTES:
        raise ReceiptInvalid("not the base64url of 32 bytes")
    return key


def _receipt_of(claims: Mapping[str, object]) -> Receipt:
    texts = [claims.get(name) for name in ("iss", "x", "k", "lh")]
    origin, exchange, kind, leaf = (item if isinstance(item, str) else "" for item in texts)
    if not origin or not _UUID.fullmatch(exchange) or kind not in KINDS_BY_TEXT:
        raise ReceiptInvalid("a receipt names its log, its exchange and a kind of record")
    numbers = [claims.get(name) for name in ("i", "iat", "mmd")]
    index, issued_at_s, delay_s = (item if type(item) is int else -1 for item in numbers)
    if min(index, issued_at_s, delay_s) < 0 or max(index, issued_at_s, delay_s) > INTEGER_MAX:
        raise ReceiptInvalid("a receipt's index or time is out of range")
    return Receipt(
        origin,
        bytes.fromhex(exchange.replace("-", "")),
        KINDS_BY_TEXT[kind],
        index,
        read_receipt_key(leaf),  # a leaf hash has the length of a key
        issued_at_s,
        delay_s,
        _digest_of(claims, "rd"),
        _digest_of(claims, "qd"),
    )


def _digest_of(claims: Mapping[str, object], name: str) -> str | None:
    digest = claims.get(name)
    if digest is not None and not isinstance(digest, str):
        raise ReceiptInvalid("a receipt's digest is no text")
    return digest


def read_json_object(text: bytes) -> dict[str, object]:
    """Return a JSON object whose members are named once each; raise ReceiptInvalid."""
    try:
        value = json.loads(text.decode(), object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as malformed:
        raise ReceiptInvalid("not strict JSON") from malformed
    if not isinstance(value, dict):
        raise ReceiptInvalid("not a JSON object")
    return value


def _once_each(members: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("a member is repeated")
    return value


def read_base64url(text: str) -> bytes:
    """Decode the canonical spelling without padding (RFC 7515, section 2)."""
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as malformed:
        raise ReceiptInvalid("not base64url") from malformed
    if commitment_text(value) != text:
        raise ReceiptInvalid("not the canonical base64url")
    return value
