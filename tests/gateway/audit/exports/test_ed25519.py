"""The plain Ed25519 against RFC 8032's own vectors and against `cryptography`."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.exports.ed25519 import verify

# RFC 8032, section 7.1: public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
]
ORDER = 2**252 + 27742317777372353535851937790883648493


def library_accepts(key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell what `cryptography` says."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_rfc_s_vectors_pass(key: str, message: str, signature: str) -> None:
    """RFC 8032, section 7.1, tests 1 to 3; a changed message does not."""
    parts = bytes.fromhex(key), bytes.fromhex(signature), bytes.fromhex(message)
    assert verify(*parts)
    assert not verify(*parts[:2], parts[2] + b"x")


@settings(max_examples=25, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=99), data=st.data())
def test_it_says_what_the_library_says(seed: bytes, message: bytes, data: st.DataObject) -> None:
    """A signature passes; one with any bit of key, signature or message changed does not."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert verify(key, signature, message)
    whole = key + signature + message
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    changed = (int.from_bytes(whole, "big") ^ 1 << bit).to_bytes(len(whole), "big")
    parts = changed[:32], changed[32:96], changed[96:]
    assert not verify(*parts)
    assert not library_accepts(*parts)


def test_what_could_be_written_in_two_ways_is_refused() -> None:
    """A scalar beyond the order, keys and lengths that are of no point (RFC 8032, 5.1.7)."""
    key, message, signature = [bytes.fromhex(part) for part in VECTORS[1]]
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    refused = [
        (key, signature[:32] + scalar.to_bytes(32, "little"), message),
        ((2**255 - 19).to_bytes(32, "little"), signature, message),
        ((2).to_bytes(32, "little"), signature, message),
        (((1 << 255) + 1).to_bytes(32, "little"), signature, message),
        (key[:31], signature, message),
        (key, signature[:63], message),
    ]
    for parts in refused:
        assert not verify(*parts)
        assert not library_accepts(*parts)
