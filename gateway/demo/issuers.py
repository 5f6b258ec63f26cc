"""The demo's authorization servers: real metadata, keys, client authentication and DPoP over HTTP.

One process speaks for every issuer of the pack, each under its own path and with its own key. Two
things are make-believe, and only these: all issuers know all demo clients, and what a client states
about its user in the signed claim ``demo_claims`` is believed, where a real issuer would have
signed that user in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final
from urllib.parse import parse_qsl

from joserfc.jwk import ECKey, KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.clock import DecisionClock
from gateway.demo.listener import LOOPBACK, listen, serve
from gateway.demo.token_endpoint import ALGORITHM, Desk, TokenEndpoint, new_key

METADATA_PATH: Final = ".well-known/oauth-authorization-server"
"""Where metadata is served below an issuer's own address (RFC 8414, section 3)."""


PublicKey = dict[str, str | list[str]]
"""A public key as a JWK (RFC 7517)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerAddresses:
    """Where the demo's issuers listen: each issuer identifier with its own base address."""

    port: int
    issuers: tuple[str, ...]

    def base_of(self, issuer: str) -> str:
        """Return the address below which `issuer` answers, without a slash at its end."""
        return f"http://{LOOPBACK}:{self.port}{self.path_of(issuer)}"

    def path_of(self, issuer: str) -> str:
        """Return the path of `issuer`: its number makes it the only one, its name tells which."""
        return f"/i/{self.issuers.index(issuer)}-{_slug(issuer)}"

    def token_endpoint(self, issuer: str) -> str:
        """Return the URL at which `issuer` gives tokens."""
        return f"{self.base_of(issuer)}/token"

    def metadata_url(self, issuer: str) -> str:
        """Return the URL of the metadata of `issuer`."""
        return f"{self.base_of(issuer)}/{METADATA_PATH}"


def create_issuers(
    addresses: IssuerAddresses, clients: Mapping[str, PublicKey], clock: DecisionClock
) -> Starlette:
    """Build the application of all issuers; `clients` are public keys (JWK) by client id."""
    desk = Desk(clock=clock, clients={name: ECKey.import_key(key) for name, key in clients.items()})
    routes: list[Route] = []
    for issuer in addresses.issuers:
        routes += _Issuer(issuer, addresses, desk).routes(addresses.path_of(issuer))
    return Starlette(routes=routes)


def serve_issuers(
    issuers: Sequence[str],
    clients: Mapping[str, PublicKey],
    clock: DecisionClock,
    ready: Connection,
) -> None:
    """Process body: serve `issuers` on a free port and send its address."""
    listener = listen()
    addresses = IssuerAddresses(port=listener.getsockname()[1], issuers=tuple(issuers))
    serve(create_issuers(addresses, clients, clock), listener, ready)


def _slug(issuer: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", issuer.lower().removeprefix("https://")).strip("-")


class _Issuer:
    """One authorization server: its metadata, its public key, its token endpoint."""

    def __init__(self, issuer: str, addresses: IssuerAddresses, desk: Desk) -> None:
        self._issuer: Final = issuer
        self._base: Final = addresses.base_of(issuer)
        self._key: Final = new_key()
        self._endpoint: Final = TokenEndpoint(
            issuer=issuer, url=addresses.token_endpoint(issuer), key=self._key, desk=desk
        )

    def routes(self, prefix: str) -> list[Route]:
        return [
            Route(f"{prefix}/{METADATA_PATH}", self.metadata),
            Route(f"{prefix}/jwks", self.jwks),
            Route(f"{prefix}/token", self.token, methods=["POST"]),
        ]

    async def metadata(self, _request: Request) -> Response:
        """Serve authorization server metadata (RFC 8414, 2; RFC 9449, 5.1; RFC 9396, 10)."""
        return JSONResponse(
            {
                "issuer": self._issuer,
                "token_endpoint": f"{self._base}/token",
                "jwks_uri": f"{self._base}/jwks",
                "response_types_supported": [],
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": [ALGORITHM],
                "dpop_signing_alg_values_supported": [ALGORITHM],
                "authorization_details_types_supported": ["data_exchange"],
            }
        )

    async def jwks(self, _request: Request) -> Response:
        """Serve the public key (RFC 7517, section 5)."""
        return JSONResponse(KeySet([self._key]).as_dict(private=False))

    async def token(self, request: Request) -> Response:
        """Answer a token request; errors as in RFC 6749, section 5.2."""
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        proofs = request.headers.getlist("dpop")
        status, body, headers = self._endpoint.answer(form, proofs)
        return Response(json.dumps(body), status_code=status, headers=dict(headers))
