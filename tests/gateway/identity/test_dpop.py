"""Proof of possession against the bad-input catalogue; ids are those of its rows."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.caller import ProofUse, Refusal
from gateway.identity.dpop import (
    PROOF_AGE_S_MAX,
    PROOF_AHEAD_S_MAX,
    PROOF_BYTES_MAX,
    normalise_uri,
    verify_proof,
)
from gateway.identity.jws import encode_base64url
from policies.decision import ReasonCode
from tests.tokens import NOW_S, SigningKey, make_key, make_proof, make_token

URI = "https://gateway.example/fuel-poverty/v1/match"
KEY = make_key("ES256", "client")
RSA_2048 = make_key("PS256")
RSA_4096 = make_key("PS256", rsa_bits=4096)
OFF_CURVE = KEY.public_jwk | {"x": "A" * 43}
TOKEN = make_token(make_key(), bound_to=KEY)


def proof(key: SigningKey = KEY, uri: str = URI, **changes: Any) -> bytes:
    """Make a proof for a POST of the test's URI with the test's token."""
    return make_proof(key, "POST", uri, TOKEN, **changes)


def judge(*proofs: bytes, key: SigningKey = KEY, at_s: int = NOW_S) -> ProofUse | Refusal:
    """Judge what came in the DPoP fields, for a token that is bound to `key`."""
    return verify_proof(
        proofs,
        token_hash=hashlib.sha256(TOKEN).digest(),
        confirmation_jkt=key.thumbprint,
        method="POST",
        uri=URI,
        at_s=at_s,
    )


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(KEY, id="ES256"),
        pytest.param(make_key("EdDSA"), id="EdDSA"),
        pytest.param(make_key("Ed25519"), id="Ed25519"),
        pytest.param(RSA_2048, id="D-05-rsa-2048"),
        pytest.param(RSA_4096, id="D-05-rsa-4096"),
    ],
)
def test_accepts_a_good_proof(key: SigningKey) -> None:
    """A proof by the token's key, for this request and now, is accepted."""
    assert isinstance(judge(proof(key), key=key), ProofUse)


@pytest.mark.parametrize(
    "accepted",
    [
        pytest.param(proof(uri=URI + "?a=b#c"), id="D-09-query-and-fragment"),
        pytest.param(proof(uri=URI.replace("gateway", "GateWay")), id="D-09-host-case"),
        pytest.param(proof(uri=URI.replace("https", "HTTPS")), id="D-09-scheme-case"),
        pytest.param(proof(uri=URI.replace("example/", "example:443/")), id="D-09-port"),
        pytest.param(proof(uri=URI.replace("match", "%6Datch")), id="D-09-needless-escape"),
        pytest.param(proof(iat=NOW_S - 10), id="D-11-10-past"),
        pytest.param(proof(iat=NOW_S + PROOF_AHEAD_S_MAX), id="D-11-10-ahead"),
        pytest.param(proof(iat=NOW_S - PROOF_AGE_S_MAX), id="D-11-oldest"),
        pytest.param(proof(iat=NOW_S - 0.5), id="D-11-fraction"),
        pytest.param(proof(header={"x": 1, "kid": "k"}, y=[2], nonce="n"), id="D-16-unknown"),
    ],
)
def test_accepts_what_the_standard_allows(accepted: bytes) -> None:
    """Spellings of the same URI, a small difference of clocks and unknown members do no harm."""
    assert isinstance(judge(accepted), ProofUse)


@pytest.mark.parametrize(
    "proofs",
    [
        pytest.param((proof(), proof()), id="D-01-two"),
        pytest.param((proof() + b", " + proof(),), id="D-01-comma"),
        pytest.param((), id="D-01-none"),
        *(
            pytest.param((proof(remove=[name]),), id=f"D-02-{name}")
            for name in ("typ", "alg", "jwk", "jti", "htm", "htu", "iat", "ath")
        ),
        pytest.param((proof(header={"typ": "JWT"}),), id="D-03-typ"),
        pytest.param((proof(header={"alg": "none"}),), id="D-03-none"),
        pytest.param((proof(header={"alg": "HS256"}),), id="D-03-hs256"),
        pytest.param((proof(make_key("RS256")),), id="D-03-rs256"),
        pytest.param((proof(header={"alg": ["ES256"]}),), id="D-03-alg-list"),
        pytest.param((proof(header={"crit": ["x"], "x": 1}),), id="D-03-crit"),
        pytest.param(
            (proof(header={"jwk": dict(KEY.native.as_dict(private=True))}),), id="D-04-private"
        ),
        pytest.param((proof(header={"jwk": {"kty": "oct", "k": "c2VjcmV0"}}),), id="D-04-oct"),
        pytest.param((proof(header={"jwk": OFF_CURVE}),), id="D-04-off-curve"),
        pytest.param(
            (proof(RSA_2048, header={"jwk": RSA_2048.public_jwk | {"n": "gQ" * 64}}),),
            id="D-04-rsa-small",
        ),
        pytest.param((proof(header={"jwk": "key"}),), id="D-04-text"),
        pytest.param((proof()[:-4] + b"AAAA",), id="D-06-signature"),
        pytest.param((proof(header={"jwk": make_key().public_jwk}),), id="D-06-key-of-another"),
        pytest.param((proof(make_key()),), id="D-06-token-of-another-key"),
        pytest.param((proof(htm="PUT"),), id="D-07-method"),
        pytest.param((proof(htm="post"),), id="D-07-case"),
        *(
            pytest.param((proof(uri=uri),), id=f"D-08-{number}")
            for number, uri in enumerate(
                [
                    URI.replace("gateway", "other"),
                    URI.replace("https", "http"),
                    URI + "/",
                    URI.replace("example/", "example:8443/"),
                    URI.replace("v1", "x/../v1"),
                    URI.replace("v1", "x/%2e%2e/v1"),
                    URI.replace("/v1", "%2Fv1"),
                    URI.replace("match", "Match"),
                    URI.replace("gateway", "user@gateway"),
                    "/fuel-poverty/v1/match",
                    "",
                ]
            )
        ),
        pytest.param((proof(uri="http://10.0.0.7:9000/v1/match"),), id="D-10-internal"),
        pytest.param((proof(htu=[URI]),), id="D-08-list"),
        pytest.param((proof(iat=NOW_S - 3_600),), id="D-11-hour-past"),
        pytest.param((proof(iat=NOW_S + 3_600),), id="D-11-hour-ahead"),
        pytest.param((proof(iat=NOW_S - PROOF_AGE_S_MAX - 1),), id="D-11-too-old"),
        pytest.param((proof(iat=NOW_S + PROOF_AHEAD_S_MAX + 1),), id="D-11-too-young"),
        pytest.param((proof(iat=str(NOW_S)),), id="D-11-text"),
        pytest.param((proof(jti=""),), id="D-12-jti-empty"),
        pytest.param((proof(jti="j" * 257),), id="D-12-jti-long"),
        pytest.param((proof(ath=encode_base64url(bytes(32)).decode()),), id="D-14-other-token"),
        pytest.param((proof(ath=f"{encode_base64url(hashlib.sha256(TOKEN).digest()).decode()}="),),
                     id="D-14-padding"),
        pytest.param((proof(pad="x" * PROOF_BYTES_MAX),), id="too-long"),
        pytest.param((proof(header={"pad": "x" * 2_048}),), id="header-too-long"),
        pytest.param((TOKEN,), id="an-access-token"),
    ],
)  # fmt: skip
def test_refuses_a_bad_proof(proofs: tuple[bytes, ...]) -> None:
    """Every row of the catalogue that spoils a proof makes it invalid."""
    verdict = judge(*proofs)

    assert isinstance(verdict, Refusal)
    assert verdict.reason == ReasonCode.PROOF_INVALID


def test_a_proof_counts_once_for_its_key_and_jti() -> None:
    """D-12: the same jti by the same key is the same use on any route; another key's is not."""
    other = make_key()
    first = judge(proof(jti="a"))
    again = judge(proof(jti="a", iat=NOW_S - 5))
    uses = {first, again, judge(proof(jti="b")), judge(proof(other, jti="a"), key=other)}
    keys = {use.key for use in uses if isinstance(use, ProofUse)}

    assert isinstance(first, ProofUse)
    assert isinstance(again, ProofUse)
    assert first.key == again.key
    assert len(keys) == 3
    assert {len(key) for key in keys} == {32}


def test_a_use_is_remembered_for_as_long_as_the_proof_holds() -> None:
    """D-12: when its claim expires, the proof is too old to be accepted again."""
    sent = proof(iat=NOW_S + PROOF_AHEAD_S_MAX)
    use = judge(sent)

    assert isinstance(use, ProofUse)
    assert isinstance(judge(sent, at_s=use.expires_at - 1), ProofUse)
    assert isinstance(judge(sent, at_s=use.expires_at), Refusal)


@given(st.lists(st.binary(max_size=100), max_size=2).map(tuple))
def test_any_bytes_are_refused(proofs: tuple[bytes, ...]) -> None:
    """Bytes that nobody signed are refused; they never make the verifier fail."""
    assert isinstance(judge(*proofs), Refusal)


@given(st.text())
def test_any_text_is_a_uri_or_none(text: str) -> None:
    """Normalising never fails, and does nothing the second time."""
    normal = normalise_uri(text)

    assert normal is None or normal == normalise_uri(normal)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("HTTP://LocalHost:80", "http://localhost/"),
        ("http://127.0.0.1:8080/a?b", "http://127.0.0.1:8080/a"),
        ("https://[::1]:443/", "https://[::1]/"),
        ("https://h:/a", "https://h/a"),
        ("https://h/%7e%2f%c3%a9", "https://h/~%2F%C3%A9"),
        ("https://h/$evaluate-measure;v=1", "https://h/$evaluate-measure;v=1"),
        ("https://h/a%zz", None),
        ("https://h/a%2", None),
        ("https://h/a/./b", None),
        ("https://h/..", None),
        ("https://h/a b", None),
        ("https://h:999999/a", None),
        ("https://h/\u00e9", None),
        ("ftp://h/a", None),
        ("https:///a", None),
        ("https://h/" + "a" * 9_000, None),
    ],
)
def test_uris_are_normalised(uri: str, expected: str | None) -> None:
    """RFC 3986, section 6.2: one spelling for each URI, none for what is not a plain one."""
    assert expected == normalise_uri(uri)
