"""Proofs and receipts over HTTP: for auditors, on record; the receipt key for everybody."""

from __future__ import annotations

import pytest

from gateway.audit.entry import Kind
from gateway.audit.merkle import open_receipt, read_receipt_keys
from gateway.audit.note import Policy
from gateway.audit.tiles import check_kept, check_proved
from gateway.clock import new_uuid7, uuid_text
from tests.control_listener import ORIGIN, Control
from tests.gateway.control.test_exchanges import denial, readings
from tests.gateway.control.test_published import publish

BASE = "/audit/v1"


@pytest.fixture
def exchange(control: Control) -> bytes:
    """Return a refused exchange that the log holds, and has published."""
    identifier = new_uuid7()
    control.written.append(denial(identifier))
    publish(control, 1)
    return identifier


def test_a_refused_exchange_has_proof_and_receipt(control: Control, exchange: bytes) -> None:
    """What is promised of it is at its place in the published checkpoint (I6)."""
    path = f"{BASE}/exchanges/{uuid_text(exchange)}"
    proof, receipt, keys = control.get(
        f"{path}/proof", f"{path}/receipt?kind=decision.deny", f"{BASE}/receipt-keys"
    )
    policy = Policy(logs=(control.keys.signer(ORIGIN).verifier,))
    proved = check_proved(proof.text, policy)
    opened = open_receipt(receipt.text, read_receipt_keys(keys.text))

    assert check_kept(opened, proved) == proved[0]
    assert opened.kind is Kind.DENY
    types = [answer.headers["content-type"] for answer in (proof, receipt, keys)]
    assert types == ["application/json", "application/jose", "application/jwk-set+json"]
    assert receipt.headers["cache-control"] == proof.headers["cache-control"] == "no-store"


def test_who_asks_is_on_record(control: Control, exchange: bytes) -> None:
    """A proof is a reading of the log; without its record nothing is shown."""
    path = f"{BASE}/exchanges/{uuid_text(exchange)}/proof?use=verify_lawfulness"
    control.get(path)
    recorded = readings(control)[0]
    assert (recorded["verb"], recorded["use"]) == ("prove", "verify_lawfulness")
    assert recorded["exchange"] == uuid_text(exchange)
    control.log_fails = True
    (refused,) = control.get(path)
    assert refused.status_code == 503


def test_strangers_get_no_proof_of_an_exchange(control: Control, exchange: bytes) -> None:
    """Whether there was an exchange is for auditors; nobody learns it from a refusal."""
    for what in ("proof", "receipt"):
        known, unknown = control.get(
            f"{BASE}/exchanges/{uuid_text(exchange)}/{what}",
            f"{BASE}/exchanges/{uuid_text(new_uuid7())}/{what}",
            secret=None,
        )
        assert known.status_code == unknown.status_code == 401


def test_what_the_log_does_not_have_is_not_found(control: Control, exchange: bytes) -> None:
    """An unknown exchange, a record that it has not, an unknown shard."""
    known, unknown = uuid_text(exchange), uuid_text(new_uuid7())
    for path in (
        f"exchanges/{unknown}/proof",
        f"exchanges/{unknown}/receipt",
        f"exchanges/{known}/receipt?kind=exchange.outcome",
        "receipt-keys/announced?shard=1999",
    ):
        (answer,) = control.get(f"{BASE}/{path}")
        assert answer.status_code == 404, path


def test_everybody_can_tie_the_receipt_key_to_the_log(control: Control, exchange: bytes) -> None:
    """The log's first record announces the key, is proved, and names nobody."""
    keys, announced, same = control.get(
        f"{BASE}/receipt-keys",
        f"{BASE}/receipt-keys/announced",
        f"{BASE}/receipt-keys/announced?shard=2026",
        secret=None,
    )
    verifier = control.keys.signer(ORIGIN).verifier
    (shown,) = check_proved(announced.text, Policy(logs=(verifier,)))

    assert shown.entry.kind is Kind.OPEN
    assert shown.sections["core"] == {
        "origin": ORIGIN,
        "vkey": verifier.vkey(),
        "receipt_key": keys.json()["keys"][0]["x"],
    }
    assert same.text == announced.text
