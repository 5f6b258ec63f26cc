"""Verification of access tokens against the bad-input catalogue; ids are those of its rows."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.caller import Claims, IssuerProfile, Refusal
from gateway.identity.jws import encode_base64url
from gateway.identity.keys import import_key
from gateway.identity.tokens import read_token, trusted_profile, verify
from policies.decision import ReasonCode
from tests.tokens import (
    AUDIENCE,
    ISSUER,
    NOW_S,
    SigningKey,
    make_claims,
    make_key,
    make_profile,
    make_token,
    sign,
)

KEY = make_key("ES256")
RSA_KEY = make_key("PS256", "rsa")
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def judge(
    token: bytes,
    *,
    keys: tuple[SigningKey, ...] = (KEY, RSA_KEY),
    issuers: Mapping[str, IssuerProfile] | None = None,
    audiences: frozenset[str] = frozenset({AUDIENCE}),
    at_s: int = NOW_S,
) -> Claims | Refusal:
    """Judge a token as the authenticator does, with the keys at hand."""
    unverified = read_token(token)
    if isinstance(unverified, Refusal):
        return unverified
    profile = trusted_profile(unverified, {ISSUER: make_profile()} if issuers is None else issuers)
    if isinstance(profile, Refusal):
        return profile
    key = {key.key_id: import_key(key.jwk) for key in keys}.get(unverified.key_id)
    return verify(unverified, profile, key, audiences=audiences, at_s=at_s)


def reason(verdict: Claims | Refusal) -> ReasonCode | None:
    """Return why a token was refused, or None if it holds."""
    return verdict.reason if isinstance(verdict, Refusal) else None


def with_header(header: Any, *, key: SigningKey = KEY) -> bytes:
    """Make a token whose header is exactly `header`, properly signed."""
    return sign(header, make_claims(), key)


def resigned(token: bytes, signature: bytes) -> bytes:
    """Put another signature under a token."""
    return token.rpartition(b".")[0] + b"." + encode_base64url(signature)


def signature_of(token: bytes) -> bytes:
    """Take the signature of a token."""
    return base64.urlsafe_b64decode(token.rpartition(b".")[2] + b"==")


def hmac_token(secret: bytes, key_id: str = KEY.key_id) -> bytes:
    """Make a token that is signed with HS256 and `secret`."""
    signing_input, _, _ = make_token(KEY, header={"alg": "HS256", "kid": key_id}).rpartition(b".")
    return signing_input + b"." + encode_base64url(hmac.digest(secret, signing_input, "sha256"))


@pytest.mark.parametrize("algorithm", ["ES256", "PS256", "EdDSA", "Ed25519"])
def test_accepts_a_good_token(algorithm: str) -> None:
    """A token of a configured issuer, signed as its profile says, gives its claims."""
    key = make_key(algorithm)
    verdict = judge(make_token(key, jti="t1"), keys=(key,))

    assert isinstance(verdict, Claims)
    assert (verdict.issuer, verdict.token_id, verdict.key_id) == (ISSUER, "t1", key.key_id)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(make_token(KEY, header={"typ": "AT+JWT"}), id="typ-other-case"),
        pytest.param(make_token(KEY, header={"typ": "application/at+jwt"}), id="typ-with-prefix"),
        pytest.param(make_token(KEY, header={"x-tenant": 1, "b": []}), id="unknown-header"),
        pytest.param(make_token(KEY, aud=["https://other.example", AUDIENCE]), id="aud-list"),
        pytest.param(make_token(KEY, iat=NOW_S + 9, exp=NOW_S + 99), id="T-29-iat-9-ahead"),
        pytest.param(make_token(KEY, nbf=NOW_S + 9), id="T-29-nbf-9-ahead"),
        pytest.param(make_token(KEY, exp=NOW_S + 1), id="T-27-one-second-left"),
        pytest.param(make_token(KEY, header={"iss": ISSUER}), id="T-24-iss-in-header-same"),
        pytest.param(make_token(KEY, act={"sub": "somebody"}), id="T-45-act-is-not-ours-to-judge"),
    ],
)
def test_accepts_what_the_standards_allow(token: bytes) -> None:
    """Freedom that RFC 7515 and RFC 9068 leave to issuers is left to them."""
    assert reason(judge(token)) is None


def test_accepts_the_other_signature_of_ecdsa() -> None:
    """T-35: of the two values of s, both are accepted; JOSE asks for neither."""
    token = make_token(KEY)
    signature = signature_of(token)
    other_s = P256_ORDER - int.from_bytes(signature[32:], "big")

    assert reason(judge(resigned(token, signature[:32] + other_s.to_bytes(32, "big")))) is None


PUBLIC_PEM = RSA_KEY.native.as_pem(private=False)  # type: ignore[union-attr]  # an RSA key has it
PUBLIC_DER = RSA_KEY.native.as_der(private=False)  # type: ignore[union-attr]  # an RSA key has it
GOOD = make_token(KEY)
EXPIRIES: dict[str, dict[str, Any]] = {
    "missing": {"remove": ["exp"]},
    "text": {"exp": str(NOW_S + 9)},
    "true": {"exp": True},
    "negative": {"exp": -1},
    "huge": {"exp": 10**19},
    "before-iat": {"exp": NOW_S, "iat": NOW_S + 5},
}
NO_SIGNATURE = resigned(make_token(KEY, header={"alg": "none"}), b"")


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(b"", id="T-02-empty"),
        pytest.param(NO_SIGNATURE, id="T-03-none"),
        *(
            pytest.param(make_token(KEY, header={"alg": alg}), id=f"T-03-{alg}")
            for alg in ("None", "NONE", "nOnE")
        ),
        pytest.param(hmac_token(PUBLIC_PEM), id="T-04-pem"),
        pytest.param(hmac_token(PUBLIC_DER), id="T-04-der"),
        pytest.param(hmac_token(json.dumps(RSA_KEY.jwk).encode()), id="T-04-jwk"),
        pytest.param(hmac_token(RSA_KEY.public_jwk["n"].encode()), id="T-04-modulus"),
        pytest.param(hmac_token(b""), id="T-05-empty-secret"),
        pytest.param(hmac_token(PUBLIC_PEM, "rsa"), id="T-05-kid-of-an-rsa-key"),
        pytest.param(make_token(KEY, header={"alg": 1}), id="T-06-number"),
        pytest.param(make_token(KEY, header={"alg": ["ES256"]}), id="T-06-list"),
        pytest.param(make_token(KEY, header={"alg": None}), id="T-06-missing"),
        pytest.param(make_token(KEY, header={"alg": "E" * 10_000}), id="T-06-10-kB"),
        pytest.param(make_token(KEY, header={"alg": "ES384"}), id="T-06-not-the-key-s"),
        pytest.param(make_token(KEY, header={"kid": "../../../../dev/null"}), id="T-10-path"),
        pytest.param(make_token(KEY, header={"kid": "/proc/self/environ"}), id="T-10-proc"),
        pytest.param(make_token(KEY, header={"kid": "' OR 1=1--"}), id="T-11-sql"),
        pytest.param(make_token(KEY, header={"kid": "a\0b"}), id="T-11-nul"),
        pytest.param(make_token(KEY, header={"kid": "k" * 3_000}), id="T-11-long"),
        pytest.param(make_token(KEY, header={"kid": {}}), id="T-11-object"),
        pytest.param(make_token(KEY, header={"kid": ["key-1"]}), id="T-11-list"),
        pytest.param(make_token(KEY, header={"kid": None}), id="T-14-missing"),
        pytest.param(make_token(KEY, header={"crit": ["exp"]}), id="T-15-standard"),
        pytest.param(make_token(KEY, header={"crit": ["foo"], "foo": 1}), id="T-15-unknown"),
        pytest.param(make_token(KEY, header={"crit": []}), id="T-15-empty"),
        pytest.param(make_token(KEY, header={"crit": "exp"}), id="T-15-text"),
        pytest.param(make_token(KEY, header={"crit": ["b64"], "b64": False}), id="T-15-b64"),
        pytest.param(
            with_header(b'{"typ":"at+jwt","alg":"ES256","kid":"key-1","crit":null}'),
            id="T-15-null",
        ),
        pytest.param(with_header(["alg"]), id="T-16-list"),
        pytest.param(with_header("alg"), id="T-16-text"),
        pytest.param(with_header({}), id="T-16-empty"),
        pytest.param(with_header(b"null"), id="T-16-null"),
        pytest.param(with_header(1), id="T-16-number"),
        pytest.param(sign({}, b'{"a":' + b"[" * 9_000, KEY), id="T-17-nested"),
        pytest.param(make_token(KEY, sub="x" * 200_000), id="T-18-200-kB"),
        pytest.param(b"e30." + b"A" * 5_000_000 + b".e30", id="T-18-5-MB"),
        pytest.param(
            with_header(b'{"typ":"at+jwt","alg":"none","alg":"ES256","kid":"key-1"}'),
            id="T-20-duplicate-alg",
        ),
        *(
            pytest.param(make_token(KEY, header={"typ": typ}), id=f"T-21-{typ}")
            for typ in (None, "", "JWT", "dpop+jwt", "secevent+jwt")
        ),
        pytest.param(make_token(KEY, iss=[ISSUER]), id="T-22-list"),
        pytest.param(
            make_token(KEY, header={"iss": "https://x.example"}), id="T-24-header-differs"
        ),
        *(
            pytest.param(make_token(KEY, **times), id=f"T-27-{name}")
            for name, times in EXPIRIES.items()
        ),
        pytest.param(make_token(KEY, exp=NOW_S + 10 * 365 * 86_400), id="T-28-ten-years"),
        pytest.param(make_token(KEY, exp=NOW_S + 3_601), id="T-28-one-second-more"),
        pytest.param(make_token(KEY, iat=NOW_S + 61, exp=NOW_S + 99), id="T-29-iat-61-ahead"),
        pytest.param(make_token(KEY, nbf=NOW_S + 61), id="T-29-nbf-61-ahead"),
        pytest.param(make_token(KEY, nbf="now"), id="T-29-nbf-text"),
        pytest.param(make_token(KEY, remove=["iat"]), id="T-29-iat-missing"),
        pytest.param(make_token(KEY, aud=[1]), id="T-26-number"),
        pytest.param(make_token(KEY, sub={"a": 1}), id="T-30-sub-object"),
        pytest.param(make_token(KEY, scope={}), id="T-31-object"),
        pytest.param(make_token(KEY, cnf={}), id="T-34-empty"),
        pytest.param(resigned(GOOD, bytes(64)), id="T-35-psychic"),
        pytest.param(resigned(GOOD, bytes(32) + signature_of(GOOD)[32:]), id="T-35-r-zero"),
        pytest.param(resigned(GOOD, signature_of(GOOD)[::-1]), id="T-35-swapped"),
        pytest.param(resigned(GOOD, signature_of(GOOD)[:-1]), id="T-35-truncated"),
        pytest.param(resigned(GOOD, signature_of(GOOD) + b"\0"), id="T-35-longer"),
        pytest.param(resigned(GOOD, b"\x30\x44\x02\x20" + bytes(68)), id="T-35-der"),
        pytest.param(
            resigned(
                GOOD,
                (int.from_bytes(signature_of(GOOD)[:32], "big") + P256_ORDER).to_bytes(33, "big")
                + signature_of(GOOD)[32:],
            ),
            id="T-35-plus-n",
        ),
        pytest.param(GOOD + b"=", id="T-35-padding"),
        pytest.param(GOOD.replace(b".", b".\n"), id="T-35-newline"),
        pytest.param(GOOD + b" ", id="T-35-space"),
        pytest.param(GOOD + b".x", id="T-36-four-parts"),
        pytest.param(make_token(KEY, header={"cty": "JWT"}), id="T-36-nested"),
        pytest.param(b"eyJhbGciOiJkaXIiLCJ6aXAiOiJERUYifQ..AA.AA.AA", id="T-37-encrypted"),
        pytest.param(make_token(KEY, authorization_details={}), id="T-46-not-a-list"),
    ],
)
def test_refuses_a_bad_token(token: bytes) -> None:
    """Every row of the catalogue that spoils a token makes it invalid, and nothing else."""
    assert reason(judge(token)) == ReasonCode.TOKEN_INVALID


@pytest.mark.parametrize("parameter", ["jwk", "jku", "x5u", "x5c"])
def test_keys_in_the_header_are_not_looked_at(parameter: str) -> None:
    """T-07, T-08, T-09: a key that the token brings along verifies nothing, nor does it harm."""
    attacker = make_key("ES256")
    offered = {
        "jwk": attacker.public_jwk,
        "jku": "http://127.0.0.1:9/keys",
        "x5u": "http://127.0.0.1:9/chain",
        "x5c": ["MIIB"],
    }[parameter]

    forged = make_token(attacker, header={parameter: offered})
    genuine = make_token(KEY, header={parameter: offered})

    assert reason(judge(forged)) == ReasonCode.TOKEN_INVALID
    assert reason(judge(genuine)) is None


def test_another_issuer_s_key_does_not_stand_in() -> None:
    """T-13: two issuers may share a kid; the key of the one does not verify for the other."""
    other = make_key("ES256", KEY.key_id)

    assert reason(judge(make_token(other))) == ReasonCode.TOKEN_INVALID


@pytest.mark.parametrize(
    "issuer",
    [
        pytest.param(ISSUER + "/", id="T-22-slash"),
        pytest.param(ISSUER.upper(), id="T-22-case"),
        pytest.param(ISSUER.replace("https", "http"), id="T-22-http"),
        pytest.param("https://idp.unknown.example", id="T-22-unknown"),
        pytest.param(ISSUER.replace("a", "\u0430"), id="T-22-look-alike"),
    ],
)
def test_only_configured_issuers_are_trusted(issuer: str) -> None:
    """Issuers are compared byte for byte with those configured."""
    assert reason(judge(make_token(KEY, iss=issuer))) == ReasonCode.ISSUER_UNTRUSTED


@pytest.mark.parametrize(
    "audience",
    [
        pytest.param("https://other.example", id="T-26-other"),
        pytest.param("*", id="T-26-star"),
        pytest.param(AUDIENCE[:-1], id="T-26-prefix"),
        pytest.param(AUDIENCE + "/", id="T-26-slash"),
        pytest.param(["https://other.example"], id="T-26-list"),
    ],
)
def test_the_audience_is_this_service(audience: Any) -> None:
    """A token for somebody else is refused as such."""
    assert reason(judge(make_token(KEY, aud=audience))) == ReasonCode.AUDIENCE_WRONG


@pytest.mark.parametrize(
    "late_s", [pytest.param(0, id="T-27-now"), pytest.param(1, id="T-27-past")]
)
def test_expired_tokens_are_refused_as_such(late_s: int) -> None:
    """A token ends at its `exp`, to the second and without leeway."""
    token = make_token(KEY, iat=NOW_S - 60, exp=NOW_S - late_s)

    assert reason(judge(token)) == ReasonCode.TOKEN_EXPIRED


def test_the_profile_chooses_the_algorithms() -> None:
    """An algorithm that the key allows is refused unless the issuer's profile names it too."""
    token, narrow = make_token(KEY), make_profile(algorithms=frozenset({"PS256"}))

    assert reason(judge(token, issuers={ISSUER: narrow})) == ReasonCode.TOKEN_INVALID


def test_a_profile_that_allows_none_or_hmac_opens_nothing() -> None:
    """T-03, T-04: even a profile gone wrong lets no unsigned and no HMAC token through."""
    loose = {ISSUER: make_profile(algorithms=frozenset({"none", "HS256"}))}

    assert reason(judge(NO_SIGNATURE, issuers=loose)) == ReasonCode.TOKEN_INVALID
    assert reason(judge(hmac_token(PUBLIC_PEM, "rsa"), issuers=loose)) == ReasonCode.TOKEN_INVALID


def test_the_profile_bounds_the_lifetime() -> None:
    """A token that lives longer than its issuer's profile allows is refused."""
    short = make_profile(lifetime_s_max=60)

    assert reason(judge(GOOD, issuers={ISSUER: short})) == ReasonCode.TOKEN_INVALID


def test_a_profile_under_another_name_is_not_used() -> None:
    """A table that files one issuer's profile under another's name trusts neither."""
    misfiled = {ISSUER: make_profile("https://idp.other.example")}

    assert reason(judge(GOOD, issuers=misfiled)) == ReasonCode.ISSUER_UNTRUSTED


def test_only_the_named_key_is_used() -> None:
    """The right key under another id is not the key that the token names."""
    unverified = read_token(GOOD)
    renamed = import_key(KEY.jwk | {"kid": "another"})
    assert not isinstance(unverified, Refusal)
    verdict = verify(
        unverified, make_profile(), renamed, audiences=frozenset({AUDIENCE}), at_s=NOW_S
    )

    assert reason(verdict) == ReasonCode.TOKEN_INVALID


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(token: bytes) -> None:
    """Bytes that nobody signed are refused; they never make the verifier fail."""
    assert isinstance(judge(token), Refusal)


TEXT = st.text("aZ0 .\n\0é\ud800", max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
CLAIM_NAMES = st.sampled_from(
    (
        *("iss", "sub", "client_id", "aud", "exp", "iat", "nbf", "jti", "org", "scope", "roles"),
        *("acr", "cnf", "authorization_details", "reason_for_request", "requesting_organization"),
    )
)


@given(st.dictionaries(CLAIM_NAMES, JSON, max_size=4))
def test_any_signed_claims_get_a_verdict(claims: dict[str, Any]) -> None:
    """Whatever an issuer signs is judged, without an exception."""
    assert isinstance(judge(make_token(KEY, **claims)), Claims | Refusal)


@given(st.dictionaries(st.sampled_from(["typ", "alg", "kid", "crit", "cty", "iss", "b64"]), JSON))
def test_any_signed_header_gets_a_verdict(header: dict[str, Any]) -> None:
    """Whatever stands in a header is judged, without an exception."""
    assert isinstance(judge(make_token(KEY, header=header)), Claims | Refusal)
