"""Receipts: made here, opened here and by another library, and refused if anything is changed."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OKPKey

from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.merkle import (
    CannotTell,
    ReceiptInvalid,
    key_thumbprint,
    open_receipt,
    read_receipt_key,
    read_receipt_keys,
)
from gateway.audit.receipts import MERGE_DELAY_S, ReceiptSigner, announcement
from gateway.clock import new_uuid7, system_time_us, uuid_text
from tests.gateway.audit.records import ORIGIN

EXCHANGE = new_uuid7()
LEAF = bytes(range(32))
DIGEST = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"


def signer(seed: int = 7) -> ReceiptSigner:
    """Return a receipt key."""
    return ReceiptSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def signed(seed: int = 7) -> str:
    """Return a receipt."""
    return signer(seed).sign(
        EXCHANGE, Kind.OUTCOME, index=12, leaf_hash=LEAF, response_digest=DIGEST
    )


KEY = read_receipt_key(signer().public_text)


def forged(header: dict[str, object], claims: object) -> str:
    """Return a JWS of our own key with another header or other claims."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (header, claims)
    ]
    text = b".".join(parts)
    signature = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32).sign(text)
    return f"{text.decode()}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


HEADER: dict[str, object] = {
    "alg": "Ed25519",
    "kid": key_thumbprint(KEY),
    "typ": "exchange-receipt+jws",
}
CLAIMS: dict[str, object] = {
    "iss": ORIGIN,
    "x": uuid_text(EXCHANGE),
    "k": "exchange.outcome",
    "i": 12,
    "lh": base64.urlsafe_b64encode(LEAF).rstrip(b"=").decode(),
    "iat": 1,
    "mmd": 60,
}


def test_a_receipt_says_what_was_promised() -> None:
    """It names log, exchange, kind, place, leaf hash and digest, and the merge delay (I6)."""
    before_s = system_time_us() // 1_000_000
    receipt = open_receipt(signed(), [KEY])

    assert receipt[:5] == (ORIGIN, EXCHANGE, Kind.OUTCOME, 12, LEAF)
    assert before_s <= receipt.issued_at_s <= system_time_us() // 1_000_000
    assert receipt.delay_s == MERGE_DELAY_S == 60
    assert (receipt.response_digest, receipt.request_digest) == (DIGEST, None)


def test_another_library_verifies_a_receipt() -> None:
    """Any JOSE library does, by the key as it is served."""
    key = OKPKey.import_key(dict[str, str | list[str]](signer().jwk()))
    opened = jws.deserialize_compact(signed(), key, algorithms=["Ed25519"])

    assert opened.headers() == HEADER
    assert json.loads(opened.payload)["x"] == uuid_text(EXCHANGE)
    assert key.thumbprint() == HEADER["kid"]


def test_every_changed_character_is_seen() -> None:
    """F20: no character of a receipt can be another one."""
    receipt = signed()
    for at, character in enumerate(receipt):
        other = "B" if character != "B" else "C"
        with pytest.raises((ReceiptInvalid, CannotTell)):
            open_receipt(receipt[:at] + other + receipt[at + 1 :], [KEY])


def test_another_key_can_tell_nothing() -> None:
    """Without the key of the receipt it is neither true nor false."""
    with pytest.raises(CannotTell):
        open_receipt(signed(), [read_receipt_key(signer(8).public_text)])
    with pytest.raises(ReceiptInvalid, match="signature"):
        open_receipt(signed()[:-86] + signed(8)[-86:], [KEY])


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        (HEADER | {"alg": "none"}, CLAIMS),
        (HEADER | {"typ": "JWT"}, CLAIMS),
        (HEADER | {"crit": ["b64"]}, CLAIMS),
        (HEADER, CLAIMS | {"iss": ""}),
        (HEADER, CLAIMS | {"x": "1"}),
        (HEADER, CLAIMS | {"k": "exchange.other"}),
        (HEADER, CLAIMS | {"i": -1}),
        (HEADER, CLAIMS | {"i": 2**53}),
        (HEADER, CLAIMS | {"i": True}),
        (HEADER, CLAIMS | {"iat": 1.5}),
        (HEADER, CLAIMS | {"lh": "AAAA"}),
        (HEADER, CLAIMS | {"rd": 1}),
        (HEADER, {name: value for name, value in CLAIMS.items() if name != "mmd"}),
        (HEADER, [CLAIMS]),
    ],
)
def test_what_is_signed_must_be_a_receipt(header: dict[str, object], claims: object) -> None:
    """A signature of the right key over anything else is no receipt."""
    assert open_receipt(forged(HEADER, CLAIMS), [KEY]).place == 12
    with pytest.raises(ReceiptInvalid):
        open_receipt(forged(header, claims), [KEY])


@given(st.text())
def test_any_text_is_a_receipt_or_a_refusal(text: str) -> None:
    """The readers of receipts and of keys are total."""
    for read in (
        lambda it: open_receipt(it, [KEY]),
        lambda it: open_receipt(f"{it}.{it}.{it}", [KEY]),
        read_receipt_keys,
        read_receipt_key,
    ):
        try:
            read(text)
        except (ReceiptInvalid, CannotTell):
            continue


def test_keys_are_read_from_a_set() -> None:
    """A JWK Set is what is served; keys of other kinds in it are passed over."""
    keys = [{"kty": "RSA", "n": "AQAB"}, signer().jwk(), 5]

    assert read_receipt_keys(json.dumps({"keys": keys})) == (KEY,)
    with pytest.raises(ReceiptInvalid):
        read_receipt_keys(json.dumps({"keys": {}}))
    with pytest.raises(ReceiptInvalid):
        read_receipt_keys('{"keys": [], "keys": []}')


def test_the_receipt_key_is_not_the_log_s(tmp_path: Path) -> None:
    """Two keys, made once each: workers have the one, the integrator signs with the other."""
    keys = LogKeys(tmp_path / "keys")
    receipt_key = read_receipt_key(keys.receipt_signer(ORIGIN).public_text)

    assert receipt_key != keys.signer(ORIGIN).verifier.public_bytes
    assert keys.receipt_signer(ORIGIN).public_text == keys.receipt_signer(ORIGIN).public_text


def test_an_announcement_names_the_key() -> None:
    """A record of a change, readable for the life of the shard."""
    record = announcement(signer())

    assert record.kind is Kind.CHANGE
    assert record.sections["core"]["receipt_key"] == signer().public_text
