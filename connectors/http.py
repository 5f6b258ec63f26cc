"""The `http` kind: a plain HTTP/1.1 service of a department, at one target or several."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import ip_network
from typing import Any, Final

from connectors.base import Call, CallFailed, Failure, Health, Reply
from connectors.connection import WireReply
from connectors.credentials import Credentials
from connectors.egress import EgressRule
from connectors.keeper import Keeper
from connectors.material import Material, MaterialSource
from connectors.origin import Origin
from connectors.secrets import SecretStore
from connectors.targets import Target, Targets, TargetState, may_repeat
from connectors.tls import ClientCertificate, verifying_context
from connectors.wire import Pool, PoolLimits

REQUEST_ID: Final = b"x-request-id"
CREDENTIALS_WAIT_S: Final = 5.0
"""How long a probe waits for credentials."""

_UNAUTHORIZED: Final = 401
_CREDENTIALS_REFUSED: Final = frozenset({_UNAUTHORIZED, 407})


class RequestIdEcho(StrEnum):
    """What an answer's X-Request-ID has to be; a service that mixes answers up shows by it."""

    CHECKED = "checked"
    """That of the call, where the answer has one."""
    REQUIRED = "required"
    """That of the call."""
    IGNORED = "ignored"
    """Anything: the service makes ids of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Where an HTTP service is and how it may be used.

    `base_url` is https, or http to loopback where `allow_loopback` says so; its path goes before
    every target. `further_urls` are other places of the same service, tried in their order while
    those before them fail. `networks` lists private networks (CIDR) that the service may live in;
    `ca_file` names a PEM file of the authorities that sign for it, instead of the system's,
    below the directory of `secrets` unless it is absolute.
    """

    base_url: str
    further_urls: tuple[str, ...] = ()
    allow_loopback: bool = False
    networks: tuple[str, ...] = ()
    ca_file: str | None = None
    client_certificate: ClientCertificate | None = None
    credentials: Credentials | None = None
    request_id: RequestIdEcho = RequestIdEcho.CHECKED
    secrets: SecretStore = field(default_factory=SecretStore)
    limits: PoolLimits = field(default_factory=PoolLimits)


@asynccontextmanager
async def open_http(settings: HttpSettings) -> AsyncIterator[HttpConnector]:
    """Open the connector of one service and close its connections afterwards.

    Secrets and certificates need not be there yet: until they are, calls are REFUSED, unsent.

    Raises:
        BaseUrlInvalid: for a base URL that may not be used (a ValueError, as for `networks`).
    """
    urls = (settings.base_url, *settings.further_urls)
    origins = [Origin.parse(url, allow_loopback=settings.allow_loopback) for url in urls]
    egress = EgressRule(
        allow_loopback=settings.allow_loopback,
        networks=tuple(ip_network(text) for text in settings.networks),
    )
    tls = None
    if any(origin.secure for origin in origins):
        # Reads the authorities from disk.
        tls = await asyncio.to_thread(verifying_context)
    async with AsyncExitStack() as closing:
        targets = Targets(
            [
                Target(url, _pool(origin, settings, egress, tls))
                for url, origin in zip(urls, origins, strict=True)
            ]
        )
        closing.push_async_callback(targets.close)
        keeper: Keeper[Material] | None = None
        if settings.credentials or settings.client_certificate or settings.ca_file:
            source = MaterialSource(
                credentials=settings.credentials,
                client_certificate=settings.client_certificate,
                ca_file=settings.ca_file,
                store=settings.secrets,
                rule=egress,
            )
            pools = [target.pool for target in targets.all]
            keeper = Keeper(source.obtain, lambda material: material.hand_to(pools))
            closing.push_async_callback(keeper.close)
            await closing.enter_async_context(_running(keeper.run()))
        ready = (lambda: keeper.usable) if keeper else (lambda: True)
        await closing.enter_async_context(_running(targets.watch(ready)))
        yield HttpConnector(targets, keeper, settings.request_id)


def _pool(
    origin: Origin, settings: HttpSettings, egress: EgressRule, tls: ssl.SSLContext | None
) -> Pool:
    return Pool(origin, limits=settings.limits, egress=egress, tls=tls if origin.secure else None)


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `work` beside the block, and end it with the block."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


class HttpConnector:
    """A Connector to one HTTP service. It follows no redirect, keeps no cookie, decodes nothing."""

    __slots__ = ("_id_checked", "_id_required", "_keeper", "_now", "_only", "_targets")

    def __init__(
        self,
        targets: Targets,
        keeper: Keeper[Material] | None = None,
        request_id: RequestIdEcho = RequestIdEcho.CHECKED,
    ) -> None:
        """Use `targets` and `keeper`, which whoever opened them closes."""
        self._targets = targets
        self._keeper = keeper
        # Looking up a member of an enumeration costs more than all of what is checked with it.
        self._id_checked = request_id is not RequestIdEcho.IGNORED
        self._id_required = request_id is RequestIdEcho.REQUIRED
        self._now = asyncio.get_running_loop().time
        # With one target and nothing to renew, a call goes straight to its pool.
        self._only = targets.only if keeper is None else None

    async def call(self, call: Call) -> Reply:
        """Carry out `call` (`Connector.call`).

        REFUSED where the service does not accept the gateway itself: 401 and 407 are about our
        credentials, and would mislead the caller about its own (RFC 9110, 15.5.2). MALFORMED where
        the answer names another request than this one: it may be somebody else's.
        """
        only = self._only
        if only is not None and only.breaker.closed:
            try:
                reply = await only.pool.request(call)
            except CallFailed as failed:
                only.note_failure(failed, self._now())
                raise
            only.answered = True
            if only.breaker.failures:
                only.breaker.succeeded()
        else:
            reply = await self._request(call)
        if reply.status in _CREDENTIALS_REFUSED:
            await reply.release()
            raise CallFailed(
                Failure.REFUSED,
                f"the service does not accept the gateway's credentials ({reply.status})",
                sent=True,
            )
        if self._id_checked and not self._is_answer_to(call, reply):
            await reply.release()
            raise CallFailed(
                Failure.MALFORMED,
                "the answer is to another request, by its X-Request-ID",
                sent=True,
            )
        return reply

    async def probe(self) -> Health:
        """Connect to every target, TLS included, without asking for anything."""
        keeper = self._keeper
        if keeper is not None and not await keeper.ensure(CREDENTIALS_WAIT_S):
            return Health(healthy=False, detail=f"No credentials: {keeper.why_not}.")
        found = await self._targets.probe_all()
        if not any(found):
            return Health(healthy=True, detail="The service takes connections.")
        if len(found) == 1:
            return Health(healthy=False, detail=f"No connection to the service: {found[0]}.")
        places = zip(self._targets.all, found, strict=True)
        failing = "; ".join(f"{target.base_url}: {why}" for target, why in places if why)
        return Health(healthy=False, detail=f"No connection to {failing}.")

    def targets(self) -> tuple[TargetState, ...]:
        """Return the state of every target, the preferred one first."""
        return self._targets.states()

    async def _request(self, call: Call) -> WireReply:
        """Send a call with the gateway's credentials, renewed once where the service refuses them.

        A call that a service refused had no effect, yet only one that may be repeated anyway is:
        a 401 may come from something in front of it.
        """
        keeper = self._keeper
        if keeper is None:
            return await self._targets.request(call)
        whole_s = call.deadline_s
        ends_s = self._now() + whole_s
        if not keeper.usable:
            if not await keeper.ensure(call.deadline_s):
                detail = f"the gateway has no credentials for the service: {keeper.why_not}"
                raise CallFailed(Failure.REFUSED, detail, sent=False)
            call = replace(call, deadline_s=ends_s - self._now())
        generation = keeper.generation
        reply = await self._targets.request(call, whole_s=whole_s)
        if reply.status != _UNAUTHORIZED:
            return reply
        renewed = await keeper.refused(generation, ends_s - self._now())
        if not renewed or not may_repeat(call):
            return reply
        await reply.release()
        try:
            again = replace(call, deadline_s=ends_s - self._now())
            return await self._targets.request(again, whole_s=whole_s)
        except CallFailed as failed:
            # Whatever became of the repeat, the service has seen the first one.
            raise CallFailed(failed.failure, failed.detail, sent=True) from None

    def _is_answer_to(self, call: Call, reply: WireReply) -> bool:
        """Tell whether an answer is to `call`, as far as its X-Request-ID tells."""
        named = False
        for pair in reply.headers:
            if pair[0] == REQUEST_ID:
                named = True
                if pair not in call.headers and _has_id(call):
                    return False
        return named or not self._id_required or not _has_id(call)


def _has_id(call: Call) -> bool:
    return any(name == REQUEST_ID for name, _ in call.headers)
