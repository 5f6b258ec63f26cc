"""Policies of logs and witnesses (C2SP tlog-policy), and proofs as text, against the vectors."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.merkle import EMPTY_ROOT, ProofInvalid, leaf_hash
from gateway.audit.note import (
    ED25519_COSIGNATURE,
    Checkpoint,
    NoteInvalid,
    Policy,
    Signer,
    Verifier,
    check_consistency,
    check_proof,
    format_consistency,
    format_proof,
)
from tests.gateway.audit.records import ORIGIN, VECTORS, unbase64, unhex

KEYS = VECTORS["keys"]
TREE5 = VECTORS["tree5"]
NOTE: str = TREE5["checkpoint"]
LOG = f"log {KEYS['log_vkey']} https://gateway.example/\n"
WITNESS = f"witness B {KEYS['witness_vkey']}\n"
LEAVES = [leaf_hash(entry.encode()) for entry in TREE5["entries"]]


def other_witness(number: int, name: str = "w.example") -> str:
    """Return the vkey of a witness that has signed nothing."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    public = key.public_key().public_bytes_raw()
    return Verifier(name=name, algorithm=ED25519_COSIGNATURE, public_bytes=public).vkey()


C, D = f"witness C {other_witness(1)}\n", f"witness D {other_witness(2)}\n"


def head(size: int) -> str:
    """Return the checkpoint of the first leaves of the tree, signed by the log of the vectors."""
    signer = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(unhex(KEYS["log_seed_hex"])))
    return signer.sign(Checkpoint(origin=ORIGIN, size=size, root=unhex(TREE5["roots"][size])))


@pytest.mark.parametrize(
    ("quorum", "holds"),
    [
        ("quorum none\n", True),
        ("quorum B\n", True),
        ("quorum C\n", False),
        ("group g any B C D\nquorum g\n", True),
        ("group g 2 B C D\nquorum g\n", False),
        ("group g all B\nquorum g\n", True),
        ("group g any C D\ngroup h 1 g B\nquorum h\n", True),
        ("group g any C D\ngroup h all g B\nquorum h\n", False),
    ],
)
def test_a_quorum_is_enforced(quorum: str, holds: bool) -> None:
    """A checkpoint holds where the witnesses that the quorum asks for have cosigned it (I7)."""
    policy = Policy.parse(f"# who is trusted\n\n \t{LOG}{WITNESS}{C}{D}{quorum}")

    if holds:
        assert policy.open(NOTE).size == 5
    else:
        with pytest.raises(NoteInvalid, match="quorum"):
            policy.open(NOTE)


def test_the_log_s_own_signature_is_needed() -> None:
    """A witness vouches for a log that has signed, and for no other."""
    cosigned = "\n".join(line for line in NOTE.split("\n") if f"\u2014 {ORIGIN}" not in line)
    policy = Policy.parse(f"{LOG}{WITNESS}quorum B\n")

    with pytest.raises(NoteInvalid, match="the log has not signed"):
        policy.open(cosigned)


@pytest.mark.parametrize(
    "text",
    [
        "",
        LOG,
        "quorum none\n",
        f"{LOG}quorum B\n",
        f"{LOG}{LOG}quorum none\n",
        f"{LOG}quorum none\nquorum none\n",
        f"{LOG}{WITNESS}{WITNESS.replace('B', 'E', 1)}quorum B\n",
        f"{LOG}{WITNESS}{C.replace('C', 'B', 1)}quorum B\n",
        f"{LOG}{WITNESS}group B any B\nquorum B\n",
        f"{LOG}{WITNESS}group none any B\nquorum none\n",
        f"{LOG}{WITNESS}group g any none\nquorum g\n",
        f"{LOG}{WITNESS}group g 2 B\nquorum g\n",
        f"{LOG}{WITNESS}group g 0 B\nquorum g\n",
        f"{LOG}{WITNESS}group g 01 B\nquorum g\n",
        f"{LOG}{WITNESS}group g any B B\nquorum g\n",
        f"{LOG}{WITNESS}group g any B\ngroup h any g B\nquorum h\n",
        f"{LOG}{WITNESS}group g any\nquorum none\n",
        f"{LOG}{WITNESS}quorum g\ngroup g any B\n",
        f"{LOG}mirror x\nquorum none\n",
        f"log {KEYS['witness_vkey']}\nquorum none\n",
        f"{LOG}witness L {KEYS['log_vkey']}\nquorum none\n",
        f"{LOG}\rquorum none\n",
        f"{LOG}quorum none\n" + "#\n" * 2_000,
    ],
)
def test_other_policies_are_refused(text: str) -> None:
    """Whatever a policy leaves open or says twice, it is none."""
    with pytest.raises(NoteInvalid):
        Policy.parse(text)


@given(st.text())
def test_any_text_is_a_policy_or_the_module_s_own_error(text: str) -> None:
    """The parsers of policies and proofs are total."""
    policy = Policy.parse(f"{LOG}quorum none\n")
    for parse in (
        Policy.parse,
        lambda it: Policy.parse(f"{LOG}{WITNESS}group {it}\nquorum none\n"),
        lambda it: check_proof(it, EMPTY_ROOT, policy),
        lambda it: check_proof(f"c2sp.org/tlog-proof@v1\n{it}\n\n{NOTE}", EMPTY_ROOT, policy),
        lambda it: check_consistency(NOTE, f"old 5\n{it}\n\n{NOTE}", policy),
    ):
        try:
            parse(text)
        except (NoteInvalid, ProofInvalid):
            continue


def test_the_published_proof_shows_the_published_entry() -> None:
    """The tlog-proof of the vectors holds where its witness is asked for; extra data is not."""
    policy = Policy.parse(f"{LOG}{WITNESS}quorum B\n")
    proof: str = TREE5["tlog_proof"]

    assert check_proof(proof, LEAVES[1], policy) == (1, policy.open(NOTE))
    extra = proof.replace("@v1\n", "@v1\nextra AAAA\n")
    assert check_proof(extra, LEAVES[1], policy)[0] == 1


def test_a_changed_proof_shows_nothing() -> None:
    """F20: another leaf, index, hash or size, and a proof cut or lengthened, fail (I6)."""
    policy = Policy.parse(f"{LOG}quorum none\n")
    proof: str = TREE5["tlog_proof"]
    lines = proof.split("\n")
    changed = [
        proof.replace("index 1", "index 2"),
        proof.replace("index 1", "index 01"),
        proof.replace("index 1", "index -1"),
        proof.replace("\n5\n", "\n4\n"),
        proof.replace(lines[2], lines[3]),
        proof.replace(lines[2] + "\n", ""),
        proof.replace(lines[2], lines[2] + "\n" + lines[2]),
        proof.replace(lines[2], "AAAA"),
        proof.replace("@v1", "@v2"),
        proof.replace("\n\n", "\n", 1),
        format_proof(1, [], head(3)),
    ]

    with pytest.raises(ProofInvalid):
        check_proof(proof, LEAVES[2], policy)
    for text in changed:
        with pytest.raises((NoteInvalid, ProofInvalid)):
            check_proof(text, LEAVES[1], policy)


def test_a_checkpoint_extends_an_earlier_one() -> None:
    """The published proof joins sizes 3 and 5; one size joins itself, and all extend none (I5)."""
    policy = Policy.parse(f"{LOG}quorum none\n")
    hashes = unbase64(TREE5["consistency_3_to_5"])
    old, new = check_consistency(head(3), format_consistency(3, hashes, NOTE), policy)

    assert (old.size, new.size) == (3, 5)
    check_consistency(NOTE, format_consistency(5, [], NOTE), policy)
    check_consistency(head(0), format_consistency(0, [], NOTE), policy)


def test_a_fork_is_told() -> None:
    """F20: a head that does not extend the earlier one is refused with every proof (I5)."""
    policy = Policy.parse(f"{LOG}quorum none\n")
    signer = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(unhex(KEYS["log_seed_hex"])))
    fork = signer.sign(Checkpoint(origin=ORIGIN, size=5, root=EMPTY_ROOT))
    hashes = unbase64(TREE5["consistency_3_to_5"])

    for old, proof in (
        (head(3), format_consistency(3, hashes, fork)),
        (head(3), format_consistency(4, hashes, NOTE)),
        (head(3), format_consistency(3, hashes[:-1], NOTE)),
        (NOTE, format_consistency(5, [], fork)),
        (NOTE, format_consistency(5, [], head(3))),
        (head(0), format_consistency(0, hashes, NOTE)),
    ):
        with pytest.raises(ProofInvalid):
            check_consistency(old, proof, policy)
