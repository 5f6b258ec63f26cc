"""Keys that may verify: sound ones are imported once, every other one is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OctKey, OKPKey
from joserfc.jws import JWSRegistry

from gateway.identity.jws import (
    NotJws,
    decode_segments,
    encode_base64url,
    read_json_object,
)
from gateway.identity.keys import (
    EDWARDS_ALGORITHMS,
    RSA_ALGORITHMS,
    KeyRefused,
    import_key,
    signature_holds,
)
from tests.tokens import make_key

WYCHEPROOF = Path(__file__).parents[4] / "shared/vectors/wycheproof/json_web_signature_test.json"
EC = make_key("ES256").public_jwk
RSA = make_key("PS256").public_jwk
NARROWER_THAN_KEY = {346, 347, 350, 351}
"""Valid by Wycheproof although the key's own `alg` says another algorithm, or none that exists."""


def number(value: int) -> str:
    """Write a positive integer as a JWK does."""
    return encode_base64url(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode()


def roca_modulus() -> int:
    """Make a 2048-bit number that is a power of 65537 modulo each small prime."""
    primorial = 1
    for candidate in range(3, 168, 2):
        if all(candidate % factor for factor in range(3, candidate, 2)):
            primorial *= candidate
    residue = pow(65_537, 12_345, primorial)
    multiple = (1 << 2047) // primorial + 1
    while (multiple * primorial + residue) % 2 == 0:
        multiple += 1
    return multiple * primorial + residue


@pytest.mark.parametrize(
    ("algorithm", "algorithms"),
    [
        ("ES256", {"ES256"}),
        ("ES384", {"ES384"}),
        ("ES512", {"ES512"}),
        ("Ed25519", EDWARDS_ALGORITHMS),
        ("PS256", RSA_ALGORITHMS),
    ],
)
def test_imports_a_sound_key(algorithm: str, algorithms: frozenset[str]) -> None:
    """A key may be used with the algorithms of its kind, and with `alg` only if it names one."""
    key = make_key(algorithm)

    assert algorithms == import_key(key.public_jwk).algorithms
    assert {algorithm} == import_key(key.jwk).algorithms
    assert key.thumbprint == import_key(key.jwk).thumbprint


@pytest.mark.parametrize(
    "jwk",
    [
        pytest.param("key", id="not-an-object"),
        pytest.param({}, id="empty"),
        pytest.param(EC | {"d": EC["x"]}, id="T-43-private"),
        pytest.param(dict(OctKey.generate_key(256).as_dict(private=True)), id="T-43-oct"),
        pytest.param({"kty": "oct"}, id="D-04-oct"),
        pytest.param(EC | {"kty": ["EC"]}, id="kty-list"),
        pytest.param(EC | {"use": "enc"}, id="use"),
        pytest.param(EC | {"key_ops": ["encrypt"]}, id="key-ops"),
        pytest.param(EC | {"key_ops": "verify"}, id="key-ops-text"),
        pytest.param(EC | {"alg": "HS256"}, id="T-04-alg-of-another-kind"),
        pytest.param(EC | {"alg": ["ES256"]}, id="T-06-alg-list"),
        pytest.param(EC | {"kid": {}}, id="T-11-kid-object"),
        pytest.param(EC | {"kid": "k" * 257}, id="T-11-kid-long"),
        pytest.param(EC | {"x": EC["y"]}, id="T-43-off-curve"),
        pytest.param(EC | {"x": EC["x"] + "="}, id="padded-coordinate"),
        pytest.param(EC | {"x": "AQ"}, id="short-coordinate"),
        pytest.param(EC | {"x": 1}, id="coordinate-number"),
        pytest.param(EC | {"x": "é" * 43}, id="coordinate-not-ascii"),
        pytest.param(EC | {"crv": "secp256k1"}, id="curve"),
        pytest.param(EC | {"crv": []}, id="curve-list"),
        pytest.param(dict(OKPKey.generate_key("X25519").as_dict(private=False)), id="x25519"),
        pytest.param({"kty": "OKP", "crv": "Ed25519", "x": "AQ"}, id="ed25519-short"),
        pytest.param(RSA | {"n": number(1 << 1023 | 1)}, id="T-43-rsa-1024"),
        pytest.param(RSA | {"n": number(1 << 9000 | 1)}, id="rsa-9001"),
        pytest.param(RSA | {"n": number(1 << 2047)}, id="rsa-even"),
        pytest.param(RSA | {"e": number(1)}, id="T-43-exponent-1"),
        pytest.param(RSA | {"e": number(65_538)}, id="exponent-even"),
        pytest.param(RSA | {"e": number(1 << 256 | 1)}, id="exponent-long"),
    ],
)
def test_refuses_an_unsound_key(jwk: Any) -> None:
    """A key that is private, symmetric, weak, off its curve or for another use is refused."""
    with pytest.raises(KeyRefused):
        import_key(jwk)


def test_refuses_a_roca_modulus() -> None:
    """T-43: a modulus with the fingerprint of CVE-2017-15361 is refused for that reason."""
    with pytest.raises(KeyRefused, match="ROCA"):
        import_key(RSA | {"n": number(roca_modulus())})


def test_signature_needs_the_key_s_own_algorithm() -> None:
    """A signature holds under its key and algorithm, and under nothing else."""
    key, other = make_key("ES256"), make_key("ES256")
    signed = b"signing input"
    signature = JWSRegistry.algorithms["ES256"].sign(signed, key.native)

    assert signature_holds(import_key(key.jwk), "ES256", signed, signature)
    assert not signature_holds(import_key(key.jwk), "ES256", signed + b"x", signature)
    assert not signature_holds(import_key(other.jwk), "ES256", signed, signature)
    for algorithm in ("none", "HS256", "ES384", "PS256", ""):
        assert not signature_holds(import_key(key.jwk), algorithm, signed, signature)


def wycheproof_cases() -> list[Any]:
    """Read the JWS cases of Wycheproof that come with a public key."""
    if not WYCHEPROOF.exists():
        reason = "Wycheproof's vectors are not here: they lie beside the project, not in it"
        return [pytest.param({}, {}, id="absent", marks=pytest.mark.skip(reason=reason))]
    groups = json.loads(WYCHEPROOF.read_text())["testGroups"]
    return [
        pytest.param(group.get("public", {}), case, id=f"{group['comment']}-{case['tcId']}")
        for group in groups
        for case in group["tests"]
    ]


@pytest.mark.parametrize(("jwk", "case"), wycheproof_cases())
def test_wycheproof(jwk: dict[str, Any], case: dict[str, Any]) -> None:
    """No invalid signature of Wycheproof holds, and every valid one does that we mean to accept."""
    expected = case["result"] == "valid" and jwk != {} and case["tcId"] not in NARROWER_THAN_KEY

    assert expected == wycheproof_holds(jwk, case["jws"])


def wycheproof_holds(jwk: dict[str, Any], jws: str) -> bool:
    """Judge a JWS of Wycheproof, whose payload need not be JSON, with the product's own steps."""
    try:
        header, _, signature = decode_segments(jws.encode())
        algorithm = read_json_object(header).get("alg")
        key = import_key(jwk)
    except (NotJws, KeyRefused):
        return False
    signing_input = jws.encode().rpartition(b".")[0]
    return signature_holds(key, str(algorithm), signing_input, signature)
