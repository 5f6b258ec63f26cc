"""Signed notes and checkpoints against published vectors, and against anything else."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.note import (
    Checkpoint,
    NoteInvalid,
    Signer,
    Verifier,
    format_proof,
    open_checkpoint,
    open_note,
    read_unsigned,
)
from tests.gateway.audit.records import ORIGIN, VECTORS, unbase64, unhex

KEYS = VECTORS["keys"]
NOTE: str = VECTORS["tree5"]["checkpoint"]
LOG = Verifier.parse(KEYS["log_vkey"])
WITNESS = Verifier.parse(KEYS["witness_vkey"])


def signer() -> Signer:
    """Return the signer of the vectors."""
    return Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(unhex(KEYS["log_seed_hex"])))


def test_the_published_key_signs_the_published_checkpoint() -> None:
    """Key, signature and text are byte for byte those of the vectors."""
    assert signer().verifier == LOG
    assert LOG.vkey() == KEYS["log_vkey"]
    root = unhex(VECTORS["tree5"]["roots"][5])
    note = signer().sign(Checkpoint(origin=ORIGIN, size=5, root=root))
    assert note == "\n".join(NOTE.split("\n")[:5]) + "\n"


def test_the_published_note_opens_with_either_key() -> None:
    """The log's signature and the witness's cosignature both verify."""
    known = "ecf2079be467a955fd7ca78b2a84ab0e793eb07303763f8d6b7bbbb6d17dc8e0"
    assert hashlib.sha256(NOTE.encode()).hexdigest() == known
    _, signed = open_note(NOTE, [LOG, WITNESS])
    assert signed == {LOG.name, WITNESS.name}
    assert open_checkpoint(NOTE, LOG) == read_unsigned(NOTE)
    assert open_checkpoint(NOTE, LOG).size == 5


def test_a_note_without_a_known_signature_is_refused() -> None:
    """Nobody known, or somebody known whose signature is wrong, opens nothing."""
    with pytest.raises(NoteInvalid, match="no known key"):
        open_note(NOTE, [])
    with pytest.raises(NoteInvalid, match="is wrong"):
        open_note(NOTE.replace("\n5\n", "\n6\n"), [LOG])
    other = Verifier(name="other.example/log", algorithm=1, public_bytes=LOG.public_bytes)
    foreign = Signer(other.name, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    note = foreign.sign(Checkpoint(origin=other.name, size=1, root=bytes(32)))
    with pytest.raises(NoteInvalid, match="no known key"):
        open_checkpoint(note, LOG)
    with pytest.raises(NoteInvalid, match="its own"):
        foreign.sign(Checkpoint(origin=ORIGIN, size=1, root=bytes(32)))


def test_a_proof_file_is_the_published_one() -> None:
    """The offline proof has the published text."""
    tree5 = VECTORS["tree5"]
    proof = format_proof(1, unbase64(tree5["inclusion_1_of_5"]), NOTE)
    assert proof == tree5["tlog_proof"]


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n05\n{'A' * 43}=\n",
        f"{ORIGIN}\n5\n{'A' * 43}=\nextension\n",
        f"{ORIGIN}\n5\n{'A' * 42}B=\n",
        f"{ORIGIN}\n5\n{'A' * 43}=",
        f"two words\n5\n{'A' * 43}=\n",
        f"{ORIGIN}\n9999999999999999999\n{'A' * 43}=\n",
        f"{ORIGIN}\n5\nAAAA\n",
    ],
)
def test_other_spellings_of_a_checkpoint_are_refused(text: str) -> None:
    """Only the canonical spelling of a checkpoint is one."""
    with pytest.raises(NoteInvalid):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "note",
    [
        NOTE + "\n",
        NOTE[:-1],
        NOTE.replace("\u2014", "-"),
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("5v7F", "5v\t7F"),
        NOTE + "\u2014 x AA==\n",
        NOTE + "\u2014 x AAAAAAAAAAB=\n",
        NOTE + "\u2014 x AAAAAAAA\n" * 65,
        NOTE + "x" * 70_000,
    ],
)
def test_other_spellings_of_a_note_are_refused(note: str) -> None:
    """A note has text, a blank line and well-formed signature lines, within limits."""
    with pytest.raises(NoteInvalid):
        open_note(note, [LOG])


def test_other_spellings_of_a_key_are_refused() -> None:
    """A key's id must fit its bytes, and its algorithm must be known."""
    for vkey in ("", "a+b", KEYS["log_vkey"].replace("618c", "618d"), "x+00000000+AAAA"):
        with pytest.raises(NoteInvalid):
            Verifier.parse(vkey)
    unknown = Verifier(name="x", algorithm=9, public_bytes=bytes(32)).vkey()
    with pytest.raises(NoteInvalid, match="unknown algorithm"):
        Verifier.parse(unknown)


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_survives_its_text(size: int, root: bytes) -> None:
    """parse(text(x)) is x, and a signed note opens to it."""
    checkpoint = Checkpoint(origin=ORIGIN, size=size, root=root)
    assert Checkpoint.parse(checkpoint.text()) == checkpoint
    assert open_checkpoint(signer().sign(checkpoint), LOG) == checkpoint


@given(st.text())
def test_any_text_is_a_value_or_the_modules_own_error(text: str) -> None:
    """The parsers are total."""
    for parse in (Checkpoint.parse, Verifier.parse, read_unsigned):
        try:
            parse(text)
        except NoteInvalid:
            continue
