"""From the header fields of a request to who is calling, or to why that cannot be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from gateway import clock
from gateway.identity.cache import TokenCache, Verified
from gateway.identity.caller import (
    Anonymous,
    Authenticated,
    Authentication,
    Claims,
    IssuerProfile,
    Refusal,
    Unauthenticated,
)
from gateway.identity.dpop import PROOF_ALGORITHMS, verify_proof
from gateway.identity.issuers import KeySource, KeySourceUnavailable
from gateway.identity.mtls import certificate_matches
from gateway.identity.tokens import UnverifiedToken, read_token, trusted_profile, verify
from policies.decision import ReasonCode, status_of

Headers = tuple[tuple[bytes, bytes], ...]

UNVERIFIED_CHARACTERS_MAX: Final = 100
"""How much of an unverified issuer or key id is kept for the record of refused traffic."""

_DPOP_ALGORITHMS: Final = f'algs="{" ".join(PROOF_ALGORITHMS)}"'
CHALLENGE_MISSING: Final = f"DPoP {_DPOP_ALGORITHMS}, Bearer"
"""WWW-Authenticate where nobody has sent credentials: without an error (RFC 6750, section 3.1)."""

_ANONYMOUS: Final = Anonymous()


class PresentedTarget(Protocol):
    """The target of a request: as sent, and its query parameters."""

    @property
    def raw(self) -> bytes: ...
    @property
    def parameters(self) -> tuple[tuple[str, str], ...]: ...


class Presented(Protocol):
    """What a request presents: itself, its fields (lower-case names), its client certificate."""

    @property
    def method(self) -> str: ...
    @property
    def target(self) -> PresentedTarget: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def certificate_der(self) -> bytes | None: ...


class _Fields(NamedTuple):
    """What a request carries: one Authorization field, and the values of its DPoP fields."""

    authorization: bytes
    unverified_proofs: tuple[bytes, ...]


class _Credentials(NamedTuple):
    """What the Authorization field holds: one token, under one of two schemes."""

    unverified_token: bytes
    dpop: bool


class Authenticator:
    """Judges credentials: at once where the token is known, else with its issuer's keys.

    Both ways take what the request presents; the base of its external URI, the issuers in force,
    the resource URIs of which the token must name one, and the decision time. Both judge time,
    audience, issuer and proof anew for every request. A proof that is accepted comes with its
    `ProofUse`: claim it with the record, or it could be replayed.
    """

    def __init__(
        self, *, allow_loopback_http: bool, monotonic_s: Callable[[], float] = clock.monotonic_s
    ) -> None:
        """`allow_loopback_http` is for the demo and tests: issuers without TLS, loopback only.

        `monotonic_s` is what the age of issuers' keys is measured by.
        """
        self._cache = TokenCache()
        self._keys = KeySource(
            withdrawn=self._cache.forget_key,
            allow_loopback_http=allow_loopback_http,
            monotonic_s=monotonic_s,
        )

    def authenticate_cached(
        self,
        presented: Presented,
        *,
        base_url: str,
        issuers: Mapping[str, IssuerProfile],
        audiences: frozenset[str],
        at: datetime,
    ) -> Authentication | None:
        """Judge a request whose token was verified before, or that has no credentials.

        None means that `authenticate` must be awaited: for a new token, or for one that does not
        simply hold any more. Needs a running event loop.
        """
        fields = _find_fields(presented)
        if not isinstance(fields, _Fields):
            return fields
        known = self._cache.get(fields.authorization)
        if known is None:
            return None
        claims, profile = known.authenticated.claims, known.authenticated.profile
        current = issuers.get(claims.issuer)
        at_s = int(at.timestamp())
        if (
            not known.verified_at_s <= at_s < claims.expires_at
            or claims.audience.isdisjoint(audiences)
            or (current is not profile and current != profile)
            or not self._keys.usable(profile)
        ):
            return None
        return _prove(
            known.authenticated, fields, presented, dpop=known.dpop, base_url=base_url, at_s=at_s
        )

    async def authenticate(
        self,
        presented: Presented,
        *,
        base_url: str,
        issuers: Mapping[str, IssuerProfile],
        audiences: frozenset[str],
        at: datetime,
    ) -> Authentication:
        """Judge a request from the beginning, waiting for the issuer's keys where need be."""
        fields = _find_fields(presented)
        if not isinstance(fields, _Fields):
            return fields
        credentials = _read_credentials(fields.authorization)
        if isinstance(credentials, Unauthenticated):
            return credentials
        unverified_token, dpop = credentials
        unverified = read_token(unverified_token)
        if isinstance(unverified, Refusal):
            return _refused(unverified, dpop=dpop)
        profile = trusted_profile(unverified, issuers)
        if isinstance(profile, Refusal):
            return _refused(profile, dpop=dpop, named=unverified)
        try:
            key = await self._keys.key(profile, unverified.key_id)
        except KeySourceUnavailable:
            return _keys_unavailable(unverified)
        at_s = int(at.timestamp())
        claims = verify(unverified, profile, key, audiences=audiences, at_s=at_s)
        if isinstance(claims, Refusal):
            return _refused(claims, dpop=dpop, named=unverified)
        authenticated = Authenticated(claims=claims, profile=profile, bound=False)
        self._cache.put(fields.authorization, Verified(authenticated, dpop, at_s))
        return _prove(authenticated, fields, presented, dpop=dpop, base_url=base_url, at_s=at_s)

    async def aclose(self) -> None:
        """Stop what runs beside the requests, and forget every token."""
        await self._keys.aclose()
        self._cache.clear()


def _find_fields(presented: Presented) -> _Fields | Anonymous | Unauthenticated:
    """Find the one Authorization field of a request (RFC 6750, sections 2 and 3.1).

    A second one, or a token in the query, is a malformed request. A DPoP field beside no token is
    left alone.
    """
    authorization = None
    unverified_proofs: tuple[bytes, ...] = ()
    for name, value in presented.headers:
        if name == b"authorization":
            if authorization is not None:
                return _malformed("There is more than one Authorization field.")
            authorization = value
        elif name == b"dpop":
            unverified_proofs += (value,)
    parameters = presented.target.parameters
    if parameters and any(name == "access_token" for name, _ in parameters):
        return _malformed("A token must be in the Authorization field, never in the query.")
    if authorization is None:
        return _ANONYMOUS
    return _Fields(authorization, unverified_proofs)


def _read_credentials(authorization: bytes) -> _Credentials | Unauthenticated:
    """Find the one token in an Authorization field (RFC 6750, 2.1; RFC 9449, section 7.1)."""
    scheme, _, rest = authorization.partition(b" ")
    scheme = scheme.lower()
    if scheme not in (b"bearer", b"dpop"):
        return _refused(
            Refusal(
                reason=ReasonCode.TOKEN_INVALID,
                detail="The Authorization scheme is neither Bearer nor DPoP.",
            ),
            dpop=False,
        )
    unverified_token = rest.strip(b" ")
    if not unverified_token or b" " in unverified_token or b"," in unverified_token:
        return _malformed("The Authorization field does not hold one token.")
    return _Credentials(unverified_token, scheme == b"dpop")


def _prove(
    authenticated: Authenticated,
    fields: _Fields,
    presented: Presented,
    *,
    dpop: bool,
    base_url: str,
    at_s: int,
) -> Authenticated | Unauthenticated:
    """Judge the proof of possession that the token, or its issuer's profile, asks for.

    1. A token with `cnf.jkt` comes under the scheme DPoP with a proof, never as a bearer token
       (RFC 9449, section 7.2); under that scheme comes no other token.
    2. A token with `cnf["x5t#S256"]` comes over a connection with that certificate (RFC 8705,
       section 3). A token with both kinds of `cnf` needs both proofs.
    3. An issuer whose profile asks for proof must bind every token.
    """
    claims, profile = authenticated.claims, authenticated.profile
    # 1.
    if claims.confirmation_jkt is not None:
        if not dpop or not fields.unverified_proofs:
            return _proof_required("The token is bound to a key: a DPoP proof is due.", claims)
        proof = verify_proof(
            fields.unverified_proofs,
            token_hash=claims.token_hash,
            confirmation_jkt=claims.confirmation_jkt,
            method=presented.method,
            uri=base_url + presented.target.raw.partition(b"?")[0].decode("ascii"),
            at_s=at_s,
        )
        if isinstance(proof, Refusal):
            return _refused(proof, dpop=True, error="invalid_dpop_proof", named=claims)
    elif dpop:
        return _proof_invalid("The token is not bound to a key.", dpop=True, named=claims)
    else:
        proof = None
    # 2.
    if claims.confirmation_x5t is not None:
        if presented.certificate_der is None:
            return _proof_required("The token is bound to a client certificate.", claims)
        if not certificate_matches(claims.confirmation_x5t, presented.certificate_der):
            return _proof_invalid(
                "The token is bound to another certificate.", dpop=False, named=claims
            )
    elif proof is None:
        # 3.
        if profile.proof_required:
            return _proof_required("The token's issuer must bind it, and did not.", claims)
        return authenticated
    return Authenticated(claims=claims, profile=profile, bound=True, proof=proof)


def _proof_required(detail: str, named: Claims) -> Unauthenticated:
    refusal = Refusal(reason=ReasonCode.PROOF_REQUIRED, detail=detail)
    return _refused(refusal, dpop=named.confirmation_x5t is None, named=named)


def _proof_invalid(detail: str, *, dpop: bool, named: Claims) -> Unauthenticated:
    refusal = Refusal(reason=ReasonCode.PROOF_INVALID, detail=detail)
    return _refused(refusal, dpop=dpop, named=named)


def _refused(
    refusal: Refusal,
    *,
    dpop: bool,
    error: str = "invalid_token",
    named: UnverifiedToken | Claims | None = None,
) -> Unauthenticated:
    """Answer 401 with a challenge (RFC 6750, section 3; RFC 9449, section 7.1)."""
    challenge = f'DPoP error="{error}", {_DPOP_ALGORITHMS}' if dpop else f'Bearer error="{error}"'
    return Unauthenticated(
        reason=refusal.reason,
        problem=refusal.reason.value.lower().replace("_", "-"),
        status=status_of(refusal.reason),
        detail=refusal.detail,
        challenge=challenge,
        unverified_issuer=named.issuer[:UNVERIFIED_CHARACTERS_MAX] if named else None,
        unverified_key_id=named.key_id[:UNVERIFIED_CHARACTERS_MAX] if named else None,
    )


def _malformed(detail: str) -> Unauthenticated:
    """Answer 400: the request itself is wrong, whatever the token says (RFC 6750, 3.1)."""
    return Unauthenticated(
        reason=ReasonCode.TOKEN_INVALID,
        problem="malformed-request",
        status=400,
        detail=detail,
        challenge='Bearer error="invalid_request"',
    )


def _keys_unavailable(unverified: UnverifiedToken) -> Unauthenticated:
    """Answer 503: the token may be good, but nobody can tell now. There is no challenge."""
    return Unauthenticated(
        reason=ReasonCode.ISSUER_UNTRUSTED,
        problem="key-source-unavailable",
        status=503,
        detail="The keys of the token's issuer cannot be had at the moment.",
        challenge="",
        unverified_issuer=unverified.issuer[:UNVERIFIED_CHARACTERS_MAX],
        unverified_key_id=unverified.key_id[:UNVERIFIED_CHARACTERS_MAX],
    )
