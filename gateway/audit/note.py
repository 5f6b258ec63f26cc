"""Signed notes and checkpoints: C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.audit.merkle import HASH_BYTES

NOTE_BYTES_MAX: Final = 65_536
SIGNATURES_MAX: Final = 64
SIZE_MAX: Final = 2**63 - 1

ED25519_NOTE: Final = 0x01
ED25519_COSIGNATURE: Final = 0x04

_NAME: Final = re.compile(r"[^\s+]+")
_SIGNATURE_LINE: Final = re.compile("\u2014 ([^ \n+]+) ([A-Za-z0-9+/]+={0,2})")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}", re.ASCII)


class NoteInvalid(ValueError):
    """Bytes are not a note, a checkpoint or a key, or a known key's signature is wrong."""


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
    text, lines = _split_note(note)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    signed: set[str] = set()
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
        signed.add(verifier.name)
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


def format_proof(index: int, proof: Sequence[bytes], checkpoint_note: str) -> str:
    """Return the text of an offline proof of inclusion (C2SP tlog-proof)."""
    hashes = "".join([f"{_base64(item)}\n" for item in proof])
    return f"c2sp.org/tlog-proof@v1\nindex {index}\n{hashes}\n{checkpoint_note}"


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
