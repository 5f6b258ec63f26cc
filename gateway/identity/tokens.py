"""Verification of JWT access tokens: a pure function of token, issuer, keys, audience and time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.identity.caller import Claims, IssuerProfile, Refusal
from gateway.identity.claims import ClaimRefused, numeric_date, read_claims
from gateway.identity.jws import NotJws, UnverifiedJws, is_type, read_jws
from gateway.identity.keys import KEY_ID_CHARACTERS_MAX, VerificationKey, signature_holds
from policies.decision import ReasonCode

TOKEN_BYTES_MAX: Final = 16_384
TOKEN_HEADER_BYTES_MAX: Final = 4_096
CLOCK_SKEW_S_MAX: Final = 10
"""How far ahead an issuer's clock may be (FAPI 2.0, section 5.3.2.1: accept 10 s, refuse 60 s)."""

_REPLICATED_CLAIMS: Final = ("iss", "sub", "aud")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedToken:
    """An access token taken apart; `issuer` and `key_id` only say where to look for its key."""

    jws: UnverifiedJws
    issuer: str
    key_id: str
    algorithm: str
    token_hash: bytes


def read_token(unverified_token: bytes) -> UnverifiedToken | Refusal:
    """Take a token apart, as far as its key must be known for more: steps 1 to 4 of `verify`.

    1. A compact JWS in its canonical spelling, within caps (RFC 7515, RFC 8725 section 3.7).
    2. `typ` is ``at+jwt`` (RFC 9068, section 4, step 1; RFC 8725, section 3.11), it holds no other
       token (`cty`), and no extension is critical: we implement none (RFC 7515, section 4.1.11).
    3. `alg` and `kid` are strings. A token without `kid` is refused, whatever the issuer's keys:
       the answer does not depend on how many there are. `jwk`, `jku`, `x5u`, `x5c` are not looked
       at (RFC 8725, section 3.10), nor are unknown header parameters (RFC 7515, section 4).
    4. `iss` is a string; claims repeated in the header say the same (RFC 7519, section 5.3).
    """
    # 1.
    try:
        jws = read_jws(
            unverified_token, bytes_max=TOKEN_BYTES_MAX, header_bytes_max=TOKEN_HEADER_BYTES_MAX
        )
    except NotJws as error:
        return _invalid(f"The token is malformed: {error}.")
    header, payload = jws.header, jws.payload
    # 2.
    if not is_type(header, "at+jwt"):
        return _invalid("The token's typ is not at+jwt.")
    if "cty" in header or "crit" in header:
        return _invalid("The token is nested, or uses a critical extension.")
    # 3.
    algorithm, key_id, issuer = header.get("alg"), header.get("kid"), payload.get("iss")
    if not isinstance(algorithm, str):
        return _invalid("The token names no algorithm.")
    if not isinstance(key_id, str) or not 0 < len(key_id) <= KEY_ID_CHARACTERS_MAX:
        return _invalid("The token names no key, or in no usable way.")
    # 4.
    if not isinstance(issuer, str):
        return _invalid("The token names no issuer.")
    if any(name in header and header[name] != payload.get(name) for name in _REPLICATED_CLAIMS):
        return _invalid("The token's header and claims differ.")
    return UnverifiedToken(
        jws=jws,
        issuer=issuer,
        key_id=key_id,
        algorithm=algorithm,
        token_hash=hashlib.sha256(unverified_token).digest(),
    )


def trusted_profile(
    unverified: UnverifiedToken, issuers: Mapping[str, IssuerProfile]
) -> IssuerProfile | Refusal:
    """Find the issuer of a token among those configured: step 5 of `verify`.

    5. The issuer is configured, compared byte for byte (RFC 9068, section 4, step 3), and the
       algorithm is one that its profile names: the header chooses nothing beyond them (RFC 8725,
       section 3.1). An algorithm that is none of ours, as ``none`` or HMAC, fits no key anyway.
    """
    # 5.
    profile = issuers.get(unverified.issuer)
    if profile is None or profile.issuer != unverified.issuer:
        return Refusal(
            reason=ReasonCode.ISSUER_UNTRUSTED, detail="The token's issuer is not one we trust."
        )
    if unverified.algorithm not in profile.algorithms:
        return _invalid("The token's algorithm is not one that its issuer uses.")
    return profile


def verify(
    unverified: UnverifiedToken,
    profile: IssuerProfile,
    key: VerificationKey | None,
    *,
    audiences: frozenset[str],
    at_s: int,
) -> Claims | Refusal:
    """Verify an access token (RFC 9068, section 4; RFC 8725) that `read_token` took apart.

    `profile` is the token's `trusted_profile`, `key` that issuer's key of the token's `kid`;
    `audiences` are the resource URIs of which it must name one; `at_s` is the decision time in
    whole seconds since 1970. Steps 1 to 4 are `read_token`'s, 5 is `trusted_profile`'s.

    6. The issuer has a key of that id (RFC 8725, section 3.8).
    7. The signature holds under it, with that algorithm (RFC 9068, section 4, step 5).
    8. Every claim has its form (`read_claims`).
    9. The times hold (`_time_refusal`).
    10. `aud` names one of `audiences` (RFC 9068, section 4, step 4).
    """
    # 6.
    if key is None or key.key_id != unverified.key_id:
        return _invalid("The token's issuer has no such key.")
    # 7.
    jws = unverified.jws
    if not signature_holds(key, unverified.algorithm, jws.signing_input, jws.signature):
        return _invalid("The token's signature does not hold.")
    # 8.
    try:
        claims = read_claims(
            jws.payload, key_id=unverified.key_id, token_hash=unverified.token_hash
        )
        not_before_s = numeric_date(jws.payload, "nbf") if "nbf" in jws.payload else 0
    except ClaimRefused as error:
        return _invalid(f"The token's claims are not acceptable: {error}.")
    # 9.
    refusal = _time_refusal(claims, not_before_s, profile, at_s)
    if refusal is not None:
        return refusal
    # 10.
    if claims.audience.isdisjoint(audiences):
        return Refusal(
            reason=ReasonCode.AUDIENCE_WRONG, detail="The token is meant for another service."
        )
    return claims


def _time_refusal(
    claims: Claims, not_before_s: float, profile: IssuerProfile, at_s: int
) -> Refusal | None:
    """Judge the times of a token: no leeway at the end, `CLOCK_SKEW_S_MAX` at the beginning.

    The lifetime is bounded by the issuer's profile, whatever the issuer writes (RFC 9700, section
    2.2.1 asks for short ones).
    """
    if not 0 < claims.expires_at - claims.issued_at <= profile.lifetime_s_max:
        return _invalid("The token's lifetime is longer than its issuer may give.")
    if max(claims.issued_at, not_before_s) > at_s + CLOCK_SKEW_S_MAX:
        return _invalid("The token is not valid yet.")
    if claims.expires_at <= at_s:
        return Refusal(reason=ReasonCode.TOKEN_EXPIRED, detail="The token has expired.")
    return None


def _invalid(detail: str) -> Refusal:
    return Refusal(reason=ReasonCode.TOKEN_INVALID, detail=detail)
