"""Proofs and receipts of a real log, checked by an auditor who has five files and one library."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from uuid import UUID

import pytest

from gateway.audit.entry import EntryInvalid, Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.log import AuditLog
from gateway.audit.merkle import open_receipt, read_receipt_key, verify_inclusion
from gateway.audit.note import Policy, check_consistency, open_checkpoint, read_unsigned
from gateway.audit.publishing import proofs
from gateway.audit.publishing.proofs import (
    checkpoint_of,
    find_place,
    prove_announcement,
    prove_consistency,
    prove_exchange,
    prove_index,
    receipt_of,
    records_of,
)
from gateway.audit.reading.reader import find_log
from gateway.audit.store import LogUnavailable
from gateway.audit.tiles import check_proved
from gateway.clock import new_uuid7
from tests.auditor import Auditor, new_auditor
from tests.gateway.audit.records import (
    ORIGIN,
    each_store,
    filled,
    integrated,
    intent,
    keys_in,
    record,
    selected,
    tampered,
    unbase64,
    using,
)

DIGEST = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"


class Told:
    """A log of 300 exchanges and one more, whose identifier is known; and its auditor."""

    def __init__(self, directory: Path) -> None:
        """Write the log, publish it, and set the auditor up."""
        self.directory = directory
        self.place = filled(directory, 150)
        self.exchange = new_uuid7()
        self.first_note = (directory / "audit" / "sealed-head").read_text()

        async def use(log: AuditLog) -> None:
            await log.append(intent(self.exchange))
            ending = record(
                Kind.OUTCOME,
                self.exchange,
                core={"status": 200},
                payload={"response_digest": DIGEST},
            )
            await log.append(ending)
            await asyncio.gather(*[log.append(intent(new_uuid7())) for _ in range(200)])

        using(directory, use)
        integrated(directory)
        self.note = (directory / "audit" / "sealed-head").read_text()
        self.keys = keys_in(directory)
        self.vkey = self.keys.signer(ORIGIN).verifier.vkey()
        self.policy = Policy.parse(f"log {self.vkey}\nquorum none\n")
        self.auditor: Auditor = new_auditor(directory / "auditor")

    def file(self, name: str, text: str) -> Path:
        """Write what the auditor was given."""
        path = self.directory / "auditor" / name
        path.write_text(text)
        return path


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Return a log that nobody changes."""
    return Told(tmp_path_factory.mktemp("told"))


def test_five_files_check_the_proof_of_an_exchange(told: Told) -> None:
    """Intent and outcome are shown to be in the log, with nothing else installed (I6)."""
    proofs = told.file("exchange.json", prove_exchange(told.place, told.exchange))
    done = told.auditor.verify("proof", proofs, "--vkey", told.vkey)

    assert (done.returncode, done.stderr) == (0, "")
    size = read_unsigned(told.note).size
    assert done.stdout.splitlines() == [
        f"exchange.intent at index 301 is in {ORIGIN} of size {size}",
        f"exchange.outcome at index 302 is in {ORIGIN} of size {size}",
        "verified",
    ]


def test_five_files_check_a_tlog_proof(told: Told) -> None:
    """A proof in the C2SP form goes with its entry; under a policy, its quorum is enforced."""
    located, proof = prove_index(told.place, 77)
    assert proof is not None
    entry = told.file("entry-77", located.entry.decode())
    other = told.file("entry-78", prove_index(told.place, 78)[0].entry.decode())
    file = told.file("77.tlog-proof", proof)
    policy = told.file("policy", f"log {told.vkey}\nquorum none\n")
    witness = "witness W w.example+e01a087e+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"
    vkey = witness.split()[2].replace("w.example", "gateway.dept-b.example/witness")
    strict = told.file("strict", f"log {told.vkey}\nwitness W {vkey}\nquorum W\n")

    assert told.auditor.verify("proof", file, "--entry", entry, "--policy", policy).returncode == 0
    for words in (("--entry", other, "--policy", policy), ("--entry", entry, "--policy", strict)):
        done = told.auditor.verify("proof", file, *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("INVALID: ")


@each_store
def test_a_proof_stands_on_its_own(tmp_path: Path) -> None:
    """Leaf hash, index, hashes and checkpoint are all that a verifier needs (I6)."""
    path = filled(tmp_path, 140)
    verifier = keys_in(tmp_path).signer(ORIGIN).verifier
    for index in (0, 100, 280):
        proof, _, note = (prove_index(path, index)[1] or "").partition("\n\n")
        first, at, *hashes = proof.split("\n")
        assert (first, at) == ("c2sp.org/tlog-proof@v1", f"index {index}")
        head = open_checkpoint(note, verifier)
        of_index = "SELECT leaf_hash FROM audit_record WHERE leaf_index = ?"
        leaf = selected(path, of_index, index)
        assert verify_inclusion(leaf[0][0], index, head.size, unbase64(hashes)) == head.root


@each_store
def test_a_record_beyond_the_newest_checkpoint_has_no_proof_yet(tmp_path: Path) -> None:
    """What no checkpoint covers cannot be proved."""
    path = filled(tmp_path, 1)

    async def use(log: AuditLog) -> None:
        await log.append(intent())

    using(tmp_path, use)
    assert prove_index(path, 3)[1] is None


def test_five_files_check_a_receipt_and_that_it_was_kept(told: Told) -> None:
    """Signature, key as the log announces it, and the record at its place (I6)."""
    receipt = receipt_of(told.place, told.exchange, told.keys)
    assert receipt is not None
    signer = told.keys.receipt_signer(ORIGIN)
    file = told.file("receipt.jws", receipt + "\n")
    jwks = told.file("jwks.json", json.dumps({"keys": [signer.jwk()]}))
    proofs = told.file("exchange.json", prove_exchange(told.place, told.exchange))
    announced = told.file("announced.json", prove_announcement(told.place, signer.public_text))
    key, vkey = ("--key", signer.public_text), ("--vkey", told.vkey)

    for words in (
        ("--jwks", jwks),
        key,
        ("--announced", announced, *vkey),
        (*key, "--proof", proofs, *vkey),
    ):
        done = told.auditor.verify("receipt", file, *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert ("exchange.outcome at index 302 is in" in done.stdout) == ("--proof" in words)


def test_a_receipt_of_another_record_was_not_kept(told: Told) -> None:
    """F20: a promise whose record is not at its place is evidence against the log (I6)."""
    broken = told.keys.receipt_signer(ORIGIN).sign(
        told.exchange, Kind.OUTCOME, index=303, leaf_hash=bytes(32)
    )
    file = told.file("broken.jws", broken)
    proofs = told.file("exchange.json", prove_exchange(told.place, told.exchange))
    words = ("--key", told.keys.receipt_signer(ORIGIN).public_text, "--proof", proofs)
    done = told.auditor.verify("receipt", file, *words, "--vkey", told.vkey)

    assert done.returncode == 1
    assert "not among those that are proved" in done.stderr


def test_a_receipt_of_another_kind_was_not_kept(told: Told) -> None:
    """F20: who was promised an outcome is not served by an intent at its place (I6)."""
    first = records_of(told.place, told.exchange)[0]
    broken = told.keys.receipt_signer(ORIGIN).sign(
        told.exchange, Kind.OUTCOME, index=first.place, leaf_hash=first.leaf_hash
    )
    file = told.file("other-kind.jws", broken)
    proofs = told.file("exchange.json", prove_exchange(told.place, told.exchange))
    words = ("--key", told.keys.receipt_signer(ORIGIN).public_text, "--proof", proofs)
    done = told.auditor.verify("receipt", file, *words, "--vkey", told.vkey)

    assert done.returncode == 1
    assert "not among those that are proved" in done.stderr


def test_a_log_announces_its_own_key_and_no_other_log_s(told: Told) -> None:
    """F20: where two logs are trusted, the one cannot promise what the other never did."""
    signer = told.keys.receipt_signer(ORIGIN)
    other = "gateway.dept-b.example/audit/2026"
    foreign = told.keys.receipt_signer(other).sign(
        told.exchange, Kind.OUTCOME, index=302, leaf_hash=bytes(32)
    )
    vkey = LogKeys(told.directory / "other-keys").signer(other).verifier.vkey()
    policy = told.file("both", f"log {told.vkey}\nlog {vkey}\nquorum none\n")
    announced = told.file("announced.json", prove_announcement(told.place, signer.public_text))
    words = ("--announced", announced, "--policy", policy)
    own = told.file("receipt.jws", receipt_of(told.place, told.exchange, told.keys) or "")

    assert told.auditor.verify("receipt", own, *words).returncode == 0
    done = told.auditor.verify("receipt", told.file("foreign.jws", foreign), *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "not among those given" in done.stderr


def test_a_salt_of_another_length_is_none(told: Told) -> None:
    """F20: a salt cannot lend bytes to the text after it, though the commitment stays the same."""
    public = told.keys.receipt_signer(ORIGIN).public_text
    known = json.loads(prove_announcement(told.place, public))
    shown = known["records"][0]["opened"]["core"]
    salted = urlsafe_b64decode(shown["salt"] + "==") + shown["body"][:1].encode()
    shown["salt"] = urlsafe_b64encode(salted).decode().rstrip("=")
    shown["body"] = shown["body"][1:]

    with pytest.raises(EntryInvalid, match="salt of the section core"):
        check_proved(json.dumps(known), told.policy)


def test_a_changed_announcement_is_seen(told: Told) -> None:
    """F20: who puts another receipt key into the log's first record is found out."""
    public = told.keys.receipt_signer(ORIGIN).public_text
    forged = prove_announcement(told.place, public).replace(public, "A" * 43)
    announced = told.file("forged.json", forged)
    file = told.file("receipt.jws", receipt_of(told.place, told.exchange, told.keys) or "")
    done = told.auditor.verify("receipt", file, "--announced", announced, "--vkey", told.vkey)

    assert done.returncode == 1
    assert "commitment" in done.stderr


def test_five_files_check_that_a_checkpoint_extends_another(told: Told) -> None:
    """What was published first is a prefix of what was published last (I5)."""
    old = told.file("old", told.first_note)
    size = read_unsigned(told.first_note).size
    proof = told.file("consistency", prove_consistency(told.place, size, told.note))
    short = told.file("short", prove_consistency(told.place, size - 1, told.note))
    vkey = ("--vkey", told.vkey)

    done = told.auditor.verify("consistency", proof, "--old", old, *vkey)
    assert (done.returncode, done.stderr) == (0, "")
    assert told.auditor.verify("consistency", short, "--old", old, *vkey).returncode == 1


def test_what_cannot_be_told_is_exit_2(told: Told) -> None:
    """Without file, key or proof, or with another's key, it is neither yes nor no."""
    receipt = told.file("receipt.jws", receipt_of(told.place, told.exchange, told.keys) or "")
    to_come = told.file("new.json", '{"records": [{"entry": "{}", "proof": null}]}')
    binary = told.directory / "auditor" / "binary"
    binary.write_bytes(b"\xff")

    for words in (
        ("proof", told.directory / "nothing", "--vkey", told.vkey),
        ("proof", binary, "--vkey", told.vkey),
        ("proof", to_come, "--vkey", told.vkey),
        ("proof", to_come),
        ("proof", to_come, "--policy", receipt),
        ("receipt", receipt),
        ("receipt", receipt, "--key", "AAAA"),
        ("receipt", receipt, "--key", "A" * 43),
        ("consistency", receipt, "--vkey", told.vkey),
        ("unknown", receipt),
        (),
    ):
        assert told.auditor.verify(*words).returncode == 2, words


def test_every_changed_byte_of_proved_records_is_seen(told: Told) -> None:
    """F20: no byte of entry, index, hash or checkpoint can be another one."""
    text = prove_exchange(told.place, told.exchange)
    shown = [(it.place, it.leaf_hash) for it in check_proved(text, told.policy)]
    values = [text.index(value) for value in ("exchange.intent", "index 301", ORIGIN)]
    start, end = text.index("tlog-proof@v1"), text.index('",\n', text.index("tlog-proof@v1"))

    for at in (*values, *range(start, min(end, len(text)), 7)):
        if text[at] in '\\"n':
            continue
        other = "B" if text[at] != "B" else "C"
        with pytest.raises(ValueError, match=r"."):
            check_proved(text[:at] + other + text[at + 1 :], told.policy)
    assert shown == [(it.place, it.leaf_hash) for it in check_proved(text, told.policy)]


def test_an_exchange_is_found_in_its_shard(told: Told) -> None:
    """Every record of it, from a log of any length; an unknown one is nowhere."""
    directory = told.directory / "audit"

    assert find_place(directory, told.exchange) == told.place == find_log(directory)
    assert find_place(directory, UUID(int=0).bytes) is None
    assert [it.kind for it in records_of(told.place, told.exchange)] == [Kind.INTENT, Kind.OUTCOME]
    with pytest.raises(LookupError):
        prove_exchange(told.place, new_uuid7())
    assert receipt_of(told.place, new_uuid7(), told.keys) is None


def test_however_far_away_an_end_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An intent and its progress are never shown as if that were all (I8); nor is a loss hidden."""
    exchange, closed = new_uuid7(), new_uuid7()

    async def use(log: AuditLog) -> None:
        endings = [(exchange, Kind.OUTCOME), (closed, Kind.INDETERMINATE)]
        for kind in (Kind.INTENT, Kind.PROGRESS, None):
            for one, ending in endings:
                await log.append(record(kind or ending, one, core={"status": 200}))
            await asyncio.gather(*[log.append(intent()) for _ in range(20)])
        await log.append(record(Kind.LATE_OUTCOME, closed, core={"status": 200}))

    using(tmp_path, use)
    place, keys = integrated(tmp_path), keys_in(tmp_path)
    monkeypatch.setattr(proofs, "ROWS_PER_LOOK", 5)
    key = read_receipt_key(keys.receipt_signer(ORIGIN).public_text)

    assert [it.kind for it in records_of(place, exchange)][1:] == [Kind.PROGRESS, Kind.OUTCOME]
    assert open_receipt(receipt_of(place, exchange, keys) or "", [key]).kind is Kind.OUTCOME
    assert len(json.loads(prove_exchange(place, exchange))["records"]) == 3
    assert [it.kind for it in records_of(place, closed)][2:] == [
        Kind.INDETERMINATE,
        Kind.LATE_OUTCOME,
    ]
    lost = records_of(place, exchange)[-1].place
    tampered(place, "DELETE FROM audit_record WHERE leaf_index = ?", lost)
    with pytest.raises(LogUnavailable, match="how the exchange ended"):
        prove_exchange(place, exchange)


def test_a_receipt_has_digests_while_they_are_known(told: Told, tmp_path: Path) -> None:
    """What was released is in the receipt until its section is erased (I9)."""
    key = read_receipt_key(told.keys.receipt_signer(ORIGIN).public_text)
    receipt = open_receipt(receipt_of(told.place, told.exchange, told.keys) or "", [key])
    assert (receipt.kind, receipt.response_digest) == (Kind.OUTCOME, DIGEST)
    first = receipt_of(told.place, told.exchange, told.keys, kind=Kind.INTENT)
    assert open_receipt(first or "", [key])[2:4] == (Kind.INTENT, 301)

    exchange = new_uuid7()

    async def use(log: AuditLog) -> None:
        payload: dict[str, object] = {"response_digest": DIGEST}
        await log.append(intent(exchange))
        await log.append(record(Kind.OUTCOME, exchange, core={"status": 200}, payload=payload))

    using(tmp_path, use)
    place, keys = integrated(tmp_path), keys_in(tmp_path)
    tampered(place, "DELETE FROM audit_key")
    erased = receipt_of(place, exchange, keys)
    key = read_receipt_key(keys.receipt_signer(ORIGIN).public_text)
    assert open_receipt(erased or "", [key]).response_digest is None


def test_consistency_is_of_published_checkpoints(told: Told) -> None:
    """Any published one joins the last; sizes that cannot be are refused (I5)."""
    sizes = [row[0] for row in selected(told.place, "SELECT size FROM audit_checkpoint")]

    for size in sizes:
        proof = prove_consistency(told.place, size, told.note)
        check_consistency(checkpoint_of(told.place, size), proof, told.policy)
    for size in (-1, read_unsigned(told.note).size + 1):
        with pytest.raises(ValueError, match="at most"):
            prove_consistency(told.place, size, told.note)
    with pytest.raises(LookupError):
        checkpoint_of(told.place, 7)
