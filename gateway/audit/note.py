"""Signed notes, and what is shown with them: the C2SP formats that an auditor reads.

These are signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof and tlog-policy, and the proof
of consistency as tlog-witness carries it. This is one of the five modules an auditor needs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.audit.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    ProofInvalid,
    verify_consistency,
    verify_inclusion,
)

NOTE_BYTES_MAX: Final = 65_536
SIGNATURES_MAX: Final = 64
SIZE_MAX: Final = 2**63 - 1
# A tree of 2^63 leaves has no longer proof.
PROOF_HASHES_MAX: Final = 64
# tlog-policy asks for room for 32 logs, 32 witnesses and 32 groups at least.
POLICY_LINES_MAX: Final = 1_024

ED25519_NOTE: Final = 0x01
ED25519_COSIGNATURE: Final = 0x04

_NAME: Final = re.compile(r"[^\s+]+")
_SIGNATURE_LINE: Final = re.compile("\u2014 ([^ \n+]+) ([A-Za-z0-9+/]+={0,2})")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_PROOF_HEADER: Final = "c2sp.org/tlog-proof@v1"
_NOBODY: Final = "none"
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}", re.ASCII)


class NoteInvalid(ValueError):
    """Bytes are not a note, a checkpoint or a key, or a known key's signature is wrong."""


class NotWitnessed(NoteInvalid):
    """The log signed the note, and too few witnesses have yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A log's size and root at some moment (C2SP tlog-checkpoint)."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the checkpoint of exactly three lines; extension lines are refused."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise NoteInvalid("a checkpoint has exactly three lines")
        origin, size, root_text, _ = lines
        root = _unbase64(root_text)
        if not _NAME.fullmatch(origin) or not _SIZE.fullmatch(size) or len(root) != HASH_BYTES:
            raise NoteInvalid("a checkpoint's origin, size or root is malformed")
        if int(size) > SIZE_MAX:
            raise NoteInvalid("a checkpoint's size is beyond 63 bits")
        return cls(origin=origin, size=int(size), root=root)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """A public key that may have signed a note, under its name (C2SP signed-note)."""

    name: str
    algorithm: int
    public_bytes: bytes

    @property
    def key_id(self) -> bytes:
        """Return the first 4 bytes of the hash over name and key."""
        seed = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public_bytes
        return hashlib.sha256(seed).digest()[:4]

    def vkey(self) -> str:
        """Return the key as text: name, id and key joined by plus signs."""
        key = _base64(bytes([self.algorithm]) + self.public_bytes)
        return f"{self.name}+{self.key_id.hex()}+{key}"

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Return the key that a vkey names; raise NoteInvalid unless its id fits its bytes."""
        name, _, rest = vkey.partition("+")
        id_text, _, key_text = rest.partition("+")
        key = _unbase64(key_text)
        if not _NAME.fullmatch(name) or not _KEY_ID.fullmatch(id_text) or len(key) != 33:
            raise NoteInvalid("not a verifier key")
        if key[0] not in (ED25519_NOTE, ED25519_COSIGNATURE):
            raise NoteInvalid("a verifier key of an unknown algorithm")
        verifier = cls(name=name, algorithm=key[0], public_bytes=key[1:])
        if verifier.key_id.hex() != id_text:
            raise NoteInvalid("a verifier key's id does not fit its bytes")
        return verifier

    def accepts(self, signature: bytes, text: str) -> bool:
        """Tell whether this key made `signature` over the note's text."""
        message = text.encode()
        if self.algorithm == ED25519_COSIGNATURE:  # C2SP tlog-cosignature: time, then signature
            time_s = int.from_bytes(signature[:8], "big")
            message = f"cosignature/v1\ntime {time_s}\n".encode() + message
            signature = signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public_bytes).verify(signature, message)
        except InvalidSignature:
            return False
        return True


class Signer:
    """A log's private key; it signs checkpoints and nothing else."""

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        """Bind the key to the log's origin."""
        self._private_key = private_key
        public_bytes = private_key.public_key().public_bytes_raw()
        self.verifier = Verifier(name=name, algorithm=ED25519_NOTE, public_bytes=public_bytes)

    def sign(self, checkpoint: Checkpoint) -> str:
        """Return the signed note of a checkpoint of this log."""
        if checkpoint.origin != self.verifier.name:
            raise NoteInvalid("a log signs its own checkpoints only")
        text = checkpoint.text()
        signature = self.verifier.key_id + self._private_key.sign(text.encode())
        return f"{text}\n\u2014 {self.verifier.name} {_base64(signature)}\n"


def open_note(note: str, verifiers: Iterable[Verifier]) -> tuple[str, frozenset[str]]:
    """Return a note's text and the names of the known keys that signed it.

    Keys that are not known are passed over; a known key whose signature is wrong, or a note that
    no known key signed, raises NoteInvalid (C2SP signed-note, "verifying").
    """
    text, signed = open_signed(note, verifiers)
    return text, frozenset(verifier.name for verifier in signed)


def open_signed(note: str, verifiers: Iterable[Verifier]) -> tuple[str, frozenset[Verifier]]:
    """Return a note's text and the known keys that signed it, as `open_note` does."""
    text, lines = _split_note(note)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    signed: set[Verifier] = set()
    for line in lines:
        found = _SIGNATURE_LINE.fullmatch(line)
        if found is None:
            raise NoteInvalid("a signature line is malformed")
        signature = _unbase64(found[2])
        if len(signature) < 5:
            raise NoteInvalid("a signature is too short")
        verifier = known.get((found[1], signature[:4]))
        if verifier is None:
            continue
        if not verifier.accepts(signature[4:], text):
            raise NoteInvalid(f"the signature of {verifier.name} is wrong")
        signed.add(verifier)
    if not signed:
        raise NoteInvalid("no known key signed the note")
    return text, frozenset(signed)


def open_checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """Return the checkpoint of a note that the log itself signed."""
    text, _ = open_note(note, [verifier])
    checkpoint = Checkpoint.parse(text)
    if checkpoint.origin != verifier.name:
        raise NoteInvalid("a checkpoint of another log")
    return checkpoint


def read_unsigned(unverified_note: str) -> Checkpoint:
    """Return what a note claims, its signatures unchecked."""
    return Checkpoint.parse(_split_note(unverified_note)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Whose signatures make a checkpoint valid (C2SP tlog-policy).

    One of `logs` must have signed it, and `quorum` must have witnessed it: a witness, a group with
    its threshold and members, or nobody (``none``).
    """

    logs: tuple[Verifier, ...]
    witnesses: Mapping[str, Verifier] = field(default_factory=dict)
    groups: Mapping[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    quorum: str = _NOBODY

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the policy of a file; raise NoteInvalid unless it is one, and names a log."""
        if len(text) > NOTE_BYTES_MAX or text.count("\n") > POLICY_LINES_MAX:
            raise NoteInvalid("a policy is too long")
        if any(ord(one) < 0x20 and one not in "\n\t" for one in text) or "\x7f" in text:
            raise NoteInvalid("a policy holds a control character")
        reading = _PolicyReading()
        for line in text.split("\n"):
            words = [word for word in re.split("[ \t]+", line) if word]
            if words and not words[0].startswith("#"):
                reading.take(*words)
        if reading.quorum is None or not reading.logs:
            raise NoteInvalid("a policy names a log and a quorum")
        return cls(
            logs=tuple(reading.logs),
            witnesses=reading.witnesses,
            groups=reading.groups,
            quorum=reading.quorum,
        )

    def open(self, note: str) -> Checkpoint:
        """Return the checkpoint of a note that satisfies it; raise NoteInvalid, NotWitnessed."""
        text, signed = open_signed(note, (*self.logs, *self.witnesses.values()))
        checkpoint = Checkpoint.parse(text)
        if not any(log in signed and log.name == checkpoint.origin for log in self.logs):
            raise NoteInvalid("the log has not signed the checkpoint")
        if self.quorum != _NOBODY and not self._witnessed(self.quorum, signed):
            raise NotWitnessed(f"the quorum {self.quorum} has not witnessed the checkpoint")
        return checkpoint

    def _witnessed(self, name: str, signed: frozenset[Verifier]) -> bool:
        if name in self.witnesses:
            return self.witnesses[name] in signed
        threshold, members = self.groups[name]
        return sum(self._witnessed(member, signed) for member in members) >= threshold


class _PolicyReading:
    """What the lines of a policy have defined so far."""

    def __init__(self) -> None:
        self.logs: list[Verifier] = []
        self.witnesses: dict[str, Verifier] = {}
        self.groups: dict[str, tuple[int, tuple[str, ...]]] = {}
        self.quorum: str | None = None
        self._members: set[str] = set()

    def take(self, what: str, *words: str) -> None:
        if what == "log" and 1 <= len(words) <= 2:
            self.logs.append(self._key(words[0], ED25519_NOTE, self.logs))
        elif what == "witness" and 2 <= len(words) <= 3:
            known = self.witnesses.values()
            self.witnesses[self._new(words[0])] = self._key(words[1], ED25519_COSIGNATURE, known)
        elif what == "group" and len(words) >= 3:
            self._group(words[0], words[1], words[2:])
        elif what == "quorum" and len(words) == 1 and self.quorum is None:
            self.quorum = words[0] if words[0] == _NOBODY else self._known(words[0])
        else:
            raise NoteInvalid(f"a policy has no such line: {what}")

    def _group(self, name: str, threshold: str, members: tuple[str, ...]) -> None:
        for member in members:
            # A witness must count for a quorum in one way only.
            if self._known(member) in self._members:
                raise NoteInvalid(f"{member} is a member of a policy's groups twice")
            self._members.add(member)
        words = {"any": "1", "all": str(len(members))}
        found = _SIZE.fullmatch(words.get(threshold, threshold))
        if found is None or not 1 <= int(found[0]) <= len(members):
            raise NoteInvalid(f"the threshold of a policy's group {name} cannot be")
        self.groups[self._new(name)] = int(found[0]), members

    def _known(self, name: str) -> str:
        if name not in self.witnesses and name not in self.groups:
            raise NoteInvalid(f"a policy uses {name} before it defines it")
        return name

    def _new(self, name: str) -> str:
        if name in self.witnesses or name in self.groups or name == _NOBODY:
            raise NoteInvalid(f"a policy defines {name} twice")
        return name

    def _key(self, vkey: str, algorithm: int, known: Iterable[Verifier]) -> Verifier:
        verifier = Verifier.parse(vkey)
        if verifier.algorithm != algorithm:
            raise NoteInvalid(f"the key of {verifier.name} is not for this use")
        if any(verifier.public_bytes == other.public_bytes for other in known):
            raise NoteInvalid(f"the key of {verifier.name} is in a policy twice")
        return verifier


def format_proof(index: int, proof: Sequence[bytes], checkpoint_note: str) -> str:
    """Return the text of an offline proof of inclusion (C2SP tlog-proof)."""
    return f"{_PROOF_HEADER}\nindex {index}\n{_hash_lines(proof)}\n{checkpoint_note}"


def check_proof(proof: str, leaf: bytes, policy: Policy) -> tuple[int, Checkpoint]:
    """Return the index at which a tlog-proof shows `leaf` to be, and in which checkpoint.

    Raises NoteInvalid, or ProofInvalid where the hashes do not lead to the checkpoint's root.
    """
    header, _, rest = proof.partition("\n")
    if header != _PROOF_HEADER:
        raise NoteInvalid("not a tlog-proof")
    if rest.startswith("extra "):  # it is not authenticated, so nothing is read from it
        rest = rest.partition("\n")[2]
    index, hashes, note = _read_hashes(rest, "index")
    checkpoint = policy.open(note)
    if verify_inclusion(leaf, index, checkpoint.size, hashes) != checkpoint.root:
        raise ProofInvalid("the proof does not lead to the checkpoint's root")
    return index, checkpoint


def format_consistency(old_size: int, proof: Sequence[bytes], checkpoint_note: str) -> str:
    """Return a proof of consistency as tlog-witness's add-checkpoint request carries it."""
    return f"old {old_size}\n{_hash_lines(proof)}\n{checkpoint_note}"


def check_consistency(old_note: str, proof: str, policy: Policy) -> tuple[Checkpoint, Checkpoint]:
    """Return two checkpoints, the later of which `proof` shows to extend the earlier one.

    Raises NoteInvalid, or ProofInvalid where it does not.
    """
    old_size, hashes, note = _read_hashes(proof, "old")
    old, new = policy.open(old_note), policy.open(note)
    if old.size != old_size or old.origin != new.origin:
        raise ProofInvalid("the proof is of another checkpoint")
    if old.size == 0:  # every tree extends the empty one
        if hashes or old.root != EMPTY_ROOT:
            raise ProofInvalid("the empty tree needs no proof")
    else:
        verify_consistency(old.size, new.size, old.root, new.root, hashes)
    return old, new


def _hash_lines(hashes: Sequence[bytes]) -> str:
    return "".join([f"{_base64(item)}\n" for item in hashes])


def _read_hashes(text: str, word: str) -> tuple[int, list[bytes], str]:
    """Read a number after its word, the hashes below it, and the note behind the empty line."""
    head, blank, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    said, _, number = first.partition(" ")
    if not blank or said != word or not _SIZE.fullmatch(number) or len(lines) > PROOF_HASHES_MAX:
        raise NoteInvalid("a proof is malformed")
    hashes = [_unbase64(line) for line in lines]
    if any(len(item) != HASH_BYTES for item in hashes):
        raise NoteInvalid("a proof's hash is not of 32 bytes")
    return int(number), hashes, note


def _split_note(note: str) -> tuple[str, list[str]]:
    if len(note) > NOTE_BYTES_MAX:
        raise NoteInvalid("a note is too long")
    if any(ord(character) < 0x20 and character != "\n" for character in note):
        raise NoteInvalid("a note holds a control character")
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise NoteInvalid("a note has no signatures")
    lines = signatures[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise NoteInvalid("a note has too many signatures")
    return text + "\n", lines


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _unbase64(text: str) -> bytes:
    """Decode the canonical spelling only: what is decoded must encode to the same text."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as malformed:
        raise NoteInvalid("not base64") from malformed
    if _base64(value) != text:
        raise NoteInvalid("not the canonical base64")
    return value
