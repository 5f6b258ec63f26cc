"""An authenticator and a real issuer for tests, asked about requests as the pipeline asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

from gateway.exchange.front.bodies import NoBody
from gateway.exchange.messages import Request, Target
from gateway.identity.authenticate import Authenticator, Headers
from gateway.identity.caller import Authentication, IssuerProfile, Unauthenticated
from tests.issuing import IssuerServer
from tests.tokens import AUDIENCE, NOW, SigningKey, make_key, make_proof, make_token

BASE_URL: Final = "https://gateway.example"
PATH: Final = "/fuel-poverty/v1/match"
URI: Final = BASE_URL + PATH
KEY: Final = make_key()
CLIENT: Final = make_key(key_id="client")


class Watch:
    """A monotonic clock that goes on only when told."""

    def __init__(self) -> None:
        """Start at nought."""
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now_s


class World:
    """A real issuer, and a gateway's authenticator that is asked about requests."""

    def __init__(self, server: IssuerServer) -> None:
        """Build an authenticator beside `server`, the only issuer that it trusts."""
        self.server = server
        self.watch = Watch()
        self.authenticator = Authenticator(allow_loopback_http=True, monotonic_s=self.watch)
        self.issuers: Mapping[str, IssuerProfile] = {server.issuer: server.profile()}

    def token(self, **changes: Any) -> bytes:
        """Make a token of the issuer."""
        return make_token(KEY, **{"iss": self.server.issuer, **changes})

    def question(
        self,
        *headers: tuple[bytes, bytes],
        parameter_names: Collection[str] = (),
        certificate_der: bytes | None = None,
        audience: str = AUDIENCE,
        at: datetime = NOW,
    ) -> dict[str, Any]:
        """The arguments for a POST with these header fields among harmless others."""
        fields: Headers = ((b"host", b"gateway.example"), *headers, (b"accept", b"*/*"))
        return {
            "presented": Request(
                method="POST",
                target=Target(
                    raw=PATH.encode(),
                    path=PATH,
                    segments=tuple(PATH[1:].split("/")),
                    parameters=tuple((name, "") for name in parameter_names),
                ),
                headers=fields,
                host="gateway.example",
                source="127.0.0.1",
                certificate_der=certificate_der,
                body=NoBody(),
            ),
            "base_url": BASE_URL,
            "issuers": self.issuers,
            "audiences": frozenset({audience}),
            "at": at,
        }

    async def ask(self, *headers: tuple[bytes, bytes], **more: Any) -> Authentication:
        """Ask the cached way first and then the other, as the pipeline does."""
        question = self.question(*headers, **more)
        found = self.authenticator.authenticate_cached(**question)
        return await self.authenticator.authenticate(**question) if found is None else found

    def ask_cached(self, *headers: tuple[bytes, bytes], **more: Any) -> Authentication | None:
        """Ask the cached way only."""
        return self.authenticator.authenticate_cached(**self.question(*headers, **more))


@asynccontextmanager
async def open_world() -> AsyncIterator[World]:
    """Open an issuer with one key and an authenticator."""
    async with IssuerServer(KEY) as server:
        world = World(server)
        yield world
        await world.authenticator.aclose()


def play(scene: Callable[[World], Awaitable[None]]) -> None:
    """Play `scene` in a new world."""

    async def run() -> None:
        async with open_world() as world:
            await scene(world)

    asyncio.run(run())


def bearer(token: bytes, scheme: bytes = b"Bearer") -> tuple[bytes, bytes]:
    """Write an Authorization field."""
    return b"authorization", scheme + b" " + token


def dpop(token: bytes, key: SigningKey = CLIENT, **changes: Any) -> list[tuple[bytes, bytes]]:
    """Write the fields of a request with a DPoP-bound token and its proof."""
    proof = make_proof(key, changes.pop("method", "POST"), URI, token, **changes)
    return [bearer(token, b"DPoP"), (b"dpop", proof)]


def refused(verdict: Authentication | None) -> tuple[int, str, str]:
    """Return status, problem and challenge of a refusal."""
    assert isinstance(verdict, Unauthenticated), verdict
    return verdict.status, verdict.problem, verdict.challenge
