"""What a consumer's application does: prove who it is, get a token, call the shared endpoint."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from joserfc import jwt
from joserfc.jwk import ECKey

from gateway.clock import random_bytes
from gateway.demo.channel import Answer, Channel
from gateway.demo.token_endpoint import ALGORITHM

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFETIME_S: Final = 60
_ID_BYTES: Final = 16


class TokenRefused(Exception):
    """The issuer gave no token; the message is its own, where it said why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token as issued; `lifetime_s` is 0 where the issuer did not say."""

    access_token: str
    bound: bool
    lifetime_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A request for an access token.

    `resource` is the audience (RFC 8707), `details` the authorization details (RFC 9396),
    `demo_claims` what the demo's issuers are to assert of the user; real issuers ignore it.
    """

    issuer: str
    token_endpoint: str
    client_id: str
    resource: str
    details: Mapping[str, object]
    bound: bool
    demo_claims: Mapping[str, object] = field(default_factory=dict)

    def form(self, key: ECKey, now_s: int) -> dict[str, str]:
        """Return the form to post: client credentials with a signed assertion (RFC 7523, 2.2)."""
        claims: dict[str, Any] = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.issuer,
            "iat": now_s,
            "exp": now_s + _ASSERTION_LIFETIME_S,
            "jti": new_id(),
        }
        if self.demo_claims:
            claims["demo_claims"] = dict(self.demo_claims)
        header = {"alg": ALGORITHM, "typ": "JWT", "kid": key.kid}
        return {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": jwt.encode(header, claims, key, algorithms=[ALGORITHM]),
            "resource": self.resource,
            "authorization_details": json.dumps([self.details]),
        }


def discover_token_endpoint(channel: Channel, issuer: str, metadata_url: str) -> str:
    """Return the token endpoint that an issuer's metadata names (RFC 8414, section 3).

    Raises:
        TokenRefused: the metadata is missing, or is not that of `issuer` (section 3.3).
        gateway.demo.channel.ChannelFailed: nobody answers.
    """
    metadata = _members(channel.send("GET", metadata_url))
    if metadata.get("issuer") != issuer or not isinstance(metadata.get("token_endpoint"), str):
        raise TokenRefused(f"{metadata_url} is not the metadata of {issuer}")
    return str(metadata["token_endpoint"])


def get_token(channel: Channel, request: TokenRequest, key: ECKey, now_s: int) -> Token:
    """Ask for an access token.

    Raises:
        TokenRefused: the issuer refused, or its answer holds no token.
        gateway.demo.channel.ChannelFailed: nobody answers.
    """
    headers = {}
    if request.bound:
        headers["dpop"] = dpop_proof(key, "POST", request.token_endpoint, now_s=now_s)
    answer = channel.post_form(request.token_endpoint, request.form(key, now_s), headers=headers)
    members = _members(answer)
    access_token, kind = members.get("access_token"), str(members.get("token_type", ""))
    if not isinstance(access_token, str):
        said = members.get("error_description") or members.get("error") or f"HTTP {answer.status}"
        raise TokenRefused(f"{request.issuer} gave no token: {said}")
    lifetime_s = members.get("expires_in", 0)
    return Token(
        access_token=access_token,
        bound=kind.lower() == "dpop",
        lifetime_s=lifetime_s if isinstance(lifetime_s, int) else 0,
    )


def new_id() -> str:
    """Return a new unguessable identifier for an assertion or a proof."""
    return random_bytes(_ID_BYTES).hex()


def dpop_proof(
    key: ECKey, method: str, url: str, *, now_s: int, access_token: str | None = None
) -> str:
    """Return a DPoP proof for one request (RFC 9449, section 4.2); query and fragment are cut."""
    parts = urlsplit(url)
    claims: dict[str, Any] = {
        "htm": method,
        "htu": urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
        "iat": now_s,
        "jti": new_id(),
    }
    if access_token is not None:
        digest = hashlib.sha256(access_token.encode("ascii")).digest()
        claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
    public = {name: key.as_dict(private=False)[name] for name in ("kty", "crv", "x", "y")}
    header = {"alg": ALGORITHM, "typ": "dpop+jwt", "jwk": public}
    return jwt.encode(header, claims, key, algorithms=[ALGORITHM])


def authorization_details(
    *,
    agreement: str | None,
    purpose: str | None,
    context: Mapping[str, str],
    on_behalf_of: str | None = None,
    break_glass: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """Return the one ``data_exchange`` object that a token carries (design.md section 4)."""
    details: dict[str, object] = {"type": "data_exchange"}
    if agreement is not None:
        details["agreement"] = agreement
    if purpose is not None:
        details["purpose"] = purpose
    if context:
        details["context"] = dict(context)
    if on_behalf_of is not None:
        details["on_behalf_of"] = on_behalf_of
    if break_glass is not None:
        details["break_glass"] = dict(break_glass)
    return details


def _members(answer: Answer) -> dict[str, object]:
    try:
        members = answer.json()
    except ValueError:
        return {}
    return members if isinstance(members, dict) else {}
