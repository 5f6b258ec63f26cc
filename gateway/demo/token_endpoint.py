"""The token endpoint of a demo issuer: client credentials with a signed assertion, DPoP if asked.

Authlib carries the OAuth rules (grant, client authentication, errors); the times are the demo's.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidClientError,
    InvalidRequestError,
    OAuth2Error,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from gateway.clock import DecisionClock, random_bytes

ALGORITHM: Final = "ES256"
"""The one signature algorithm of the demo, for assertions, proofs and tokens."""

TOKEN_LIFETIME_S: Final = 300
_PROOF_AGE_S_MAX: Final = 60
_TOKEN_ID_BYTES: Final = 16
_USED_IDS_MAX: Final = 10_000
_ANY_HTTPS: Final = "https://issuer.example/token"
"""Authlib answers nothing at an address that is not https, and makes no other use of it."""


def new_key() -> ECKey:
    """Return a new P-256 key whose id is its thumbprint (RFC 7638)."""
    return ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)


Answer = tuple[int, Mapping[str, object], Sequence[tuple[str, str]]]


@dataclass(slots=True, kw_only=True)
class Desk:
    """What all issuers of the demo share: the clock, the clients' keys, the ids already used."""

    clock: DecisionClock
    clients: Mapping[str, ECKey]
    used_ids: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def now_s(self) -> int:
        """Return the decision time in seconds since 1970."""
        return int(self.clock.now().timestamp())

    def use_once(self, identifier: str) -> bool:
        """Tell whether `identifier` is new, and remember it; the oldest are forgotten."""
        if identifier in self.used_ids:
            return False
        self.used_ids[identifier] = None
        if len(self.used_ids) > _USED_IDS_MAX:
            self.used_ids.popitem(last=False)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEndpoint:
    """The token endpoint at `url` of `issuer`, which signs with `key`."""

    issuer: str
    url: str
    key: ECKey
    desk: Desk

    def answer(self, form: Mapping[str, str], proofs: Sequence[str]) -> Answer:
        """Answer one request: status, JSON body and headers. `proofs` are its DPoP headers."""
        server = _Server(self, form, proofs)
        request = OAuth2Request("POST", _ANY_HTTPS, headers={})
        request.payload = BasicOAuth2Payload(dict(form))
        request._body = dict(form)  # noqa: SLF001 - Authlib's assertion reads it, and offers no setter
        answer: Answer = server.create_token_response(request)
        return answer


class _InvalidProof(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The DPoP proof does not hold (RFC 9449, section 5)."""

    error = "invalid_dpop_proof"


class _Client(ClientMixin):  # type: ignore[misc]  # Authlib ships no types
    """A client that authenticates by an assertion signed with its key, and acts for itself."""

    def __init__(self, client_id: str, key: ECKey) -> None:
        self.client_id: Final = client_id
        self.key: Final = key

    def get_client_id(self) -> str:
        return self.client_id

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return (method, endpoint) == (_Assertion.CLIENT_AUTH_METHOD, "token")

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"


class _Assertion(JWTBearerClientAssertion):  # type: ignore[misc]  # Authlib ships no types
    """private_key_jwt (RFC 7523, section 3), judged at the demo's time; keeps what was signed."""

    CLIENT_AUTH_METHOD = "private_key_jwt"

    def __init__(self, endpoint: TokenEndpoint) -> None:
        super().__init__()
        self._endpoint = endpoint
        self.claims: Mapping[str, Any] = {}

    def resolve_client_public_key(self, client: _Client) -> ECKey:
        return client.key

    def verify_claims(self, claims: dict[str, Any]) -> None:
        audiences = [self._endpoint.issuer, self._endpoint.url]
        registry = jwt.JWTClaimsRegistry(
            now=self._endpoint.desk.now_s(),
            leeway=self.leeway,
            iss={"essential": True, "value": str(claims["sub"])},
            sub={"essential": True},
            aud={"essential": True, "values": audiences},
            exp={"essential": True},
            jti={"essential": True},
        )
        try:
            registry.validate(claims)
        except JoseError as error:
            raise InvalidClientError(description="The client assertion does not hold") from error
        if not self._endpoint.desk.use_once(f"assertion:{claims['sub']}:{claims['jti']}"):
            raise InvalidClientError(description="The client assertion was used before")
        self.claims = claims


class _Grant(ClientCredentialsGrant):  # type: ignore[misc]  # Authlib ships no types
    """Client credentials for clients that sign their assertion."""

    TOKEN_ENDPOINT_AUTH_METHODS: Final = [_Assertion.CLIENT_AUTH_METHOD]


class _Server(AuthorizationServer):  # type: ignore[misc]  # Authlib ships no types
    """Authlib's server for one token request."""

    def __init__(
        self, endpoint: TokenEndpoint, form: Mapping[str, str], proofs: Sequence[str]
    ) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._form = form
        self._proofs = proofs
        self._assertion = _Assertion(endpoint)
        self.register_grant(_Grant)
        self.register_client_auth_method(_Assertion.CLIENT_AUTH_METHOD, self._assertion)
        self.register_token_generator("default", self._issue)

    def query_client(self, client_id: str) -> _Client | None:
        key = self._endpoint.desk.clients.get(client_id)
        return None if key is None else _Client(client_id, key)

    def send_signal(self, name: str, *_args: object, **_facts: object) -> None:
        """Tell nobody: Authlib's signals are for web frameworks."""

    def save_token(self, token: Mapping[str, object], request: OAuth2Request) -> None:
        """Keep nothing: tokens are self-contained."""

    def create_oauth2_request(self, request: OAuth2Request) -> OAuth2Request:
        return request

    def handle_response(
        self, status: int, body: object, headers: Sequence[tuple[str, str]]
    ) -> Answer:
        return status, dict(body), headers  # type: ignore[call-overload]  # Authlib: dict or pairs

    def _issue(self, client: _Client, **_options: object) -> Mapping[str, object]:
        """Sign an access token (RFC 9068, section 2), bound to a key where one was proved."""
        now_s = self._endpoint.desk.now_s()
        asserted = self._assertion.claims.get("demo_claims", {})
        claims = {
            "iss": self._endpoint.issuer,
            "sub": asserted.get("sub") or client.client_id,
            "client_id": client.client_id,
            "aud": self._resource(),
            "iat": now_s,
            "exp": now_s + TOKEN_LIFETIME_S,
            "jti": random_bytes(_TOKEN_ID_BYTES).hex(),
            "authorization_details": self._details(),
        }
        claims |= {name: asserted[name] for name in ("org", "roles", "acr") if asserted.get(name)}
        thumbprint = _proved_key(self._endpoint, self._proofs) if self._proofs else None
        if thumbprint is not None:
            claims["cnf"] = {"jkt": thumbprint}
        key = self._endpoint.key
        header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": key.kid}
        return {
            "access_token": jwt.encode(header, claims, key, algorithms=[ALGORITHM]),
            "token_type": "Bearer" if thumbprint is None else "DPoP",
            "expires_in": TOKEN_LIFETIME_S,
        }

    def _resource(self) -> str:
        """Return the audience the client asks for (RFC 8707, section 2)."""
        resource = self._form.get("resource")
        if not resource:
            raise InvalidRequestError("The parameter 'resource' is missing")
        return resource

    def _details(self) -> list[dict[str, object]]:
        """Return the authorization details as requested (RFC 9396, section 5)."""
        try:
            details = json.loads(self._form.get("authorization_details", "[]"))
        except ValueError:
            raise InvalidRequestError("authorization_details is not JSON") from None
        if not isinstance(details, list) or not all(isinstance(one, dict) for one in details):
            raise InvalidRequestError("authorization_details is a list of objects")
        return details


def _proved_key(endpoint: TokenEndpoint, proofs: Sequence[str]) -> str:
    """Return the thumbprint of the key a DPoP proof shows possession of (RFC 9449, 4.3 and 5)."""
    if len(proofs) != 1:
        raise _InvalidProof("exactly one DPoP proof is needed")
    try:
        unverified = jws.extract_compact(proofs[0].encode("ascii")).headers()
        key = ECKey.import_key(unverified["jwk"])
        claims = jwt.decode(proofs[0], key, algorithms=[ALGORITHM]).claims
        fresh = abs(endpoint.desk.now_s() - claims["iat"]) <= _PROOF_AGE_S_MAX
        holds = (
            unverified.get("typ") == "dpop+jwt"
            and not key.is_private
            and (claims["htm"], claims["htu"]) == ("POST", endpoint.url)
            and fresh
            and endpoint.desk.use_once(f"proof:{claims['jti']}")
        )
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise _InvalidProof("the DPoP proof cannot be read") from error
    if not holds:
        raise _InvalidProof("the DPoP proof does not match this request")
    return key.thumbprint()
