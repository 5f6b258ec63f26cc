"""What authentication finds out about a request: claims, nobody, or why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from policies.decision import ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerProfile:
    """An OAuth authorization server that may speak for named organisations.

    `algorithms` are the JWS algorithms it signs with; the header's `alg` chooses nothing beyond
    them. `lifetime_s_max` bounds exp - iat. `metadata_url` overrides RFC 8414's well-known URL.
    """

    issuer: str
    organisations: frozenset[str]
    algorithms: frozenset[str] = frozenset({"ES256", "PS256", "EdDSA", "Ed25519"})
    metadata_url: str | None = None
    proof_required: bool = False
    lifetime_s_max: int = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlassClaim:
    """The `break_glass` object of `authorization_details`, as the token states it.

    `started_at` and `subjects_so_far` are what the issuer knows of the grant; they can make it
    narrower than the gateway's own count, never wider.
    """

    reason: str
    justification: str
    started_at: datetime | None = None
    subjects_so_far: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Verified claims of an access token (RFC 9068) and its data-exchange details (RFC 9396).

    `token_hash` is SHA-256 of the token as sent; times are seconds since 1970. `purpose` and
    `agreement` are None where the token names none.
    """

    issuer: str
    organisation: str
    client_id: str
    subject: str
    token_id: str
    audience: frozenset[str]
    issued_at: int
    expires_at: int
    key_id: str
    token_hash: bytes
    scope: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    acr: str | None = None
    purpose: str | None = None
    agreement: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    on_behalf_of: str | None = None
    break_glass: BreakGlassClaim | None = None
    confirmation_jkt: str | None = None
    confirmation_x5t: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a token or a proof does not hold; `detail` quotes nothing from it."""

    reason: ReasonCode
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofUse:
    """A DPoP proof that was accepted: the one-time key that must be claimed with the record."""

    key: bytes
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """A caller whose token, and proof where one is due, hold.

    `bound` tells whether possession was proved (DPoP or certificate).
    """

    claims: Claims
    profile: IssuerProfile
    bound: bool
    proof: ProofUse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Anonymous:
    """No credentials were sent at all; public operations may still answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unauthenticated:
    """Credentials were sent and do not hold.

    `problem` is the code of the problem page; `detail` names no secret and no personal data;
    `unverified_issuer` and `unverified_key_id` are what the token claims, cut short, for the
    record of refused traffic. `challenge` is the value of WWW-Authenticate (RFC 6750, RFC 9449),
    empty where there is none to make (503).
    """

    reason: ReasonCode
    problem: str
    status: int
    detail: str
    challenge: str
    unverified_issuer: str | None = None
    unverified_key_id: str | None = None


Authentication = Authenticated | Anonymous | Unauthenticated
