"""Only CallFailed leaves a guarded connector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from connectors.base import Call, CallFailed, Connector, Failure, Health, Reply
from connectors.guard import GuardedConnector
from connectors.http import HttpSettings, open_http
from connectors.scripted import open_scripted
from connectors.targets import TargetState

CALL = Call(method="GET", target=b"/")


class CarelessReply:
    """A reply whose author forgot about errors."""

    headers = ((b"a", b"b"),)
    delimited_by_close = False

    def __init__(self, status: int) -> None:
        """Answer with `status`."""
        self.status = status
        self.released = False

    async def read(self, bytes_max: int) -> bytes:
        """Fail."""
        raise KeyError("NHS number 999 000 0018")

    async def chunks(self) -> AsyncIterator[bytes]:
        """Fail half-way."""
        yield b"a"
        raise ZeroDivisionError

    async def release(self) -> None:
        """Fail, but note it."""
        self.released = True
        raise OSError("disk")


class Careless:
    """A connector whose author forgot about errors."""

    def __init__(self, reply: Reply | None = None) -> None:
        """Answer with `reply`, or fail."""
        self._reply = reply

    async def call(self, call: Call) -> Reply:
        """Fail with whatever comes."""
        if self._reply is None:
            raise ValueError("secret")
        return self._reply

    async def probe(self) -> Health:
        """Fail."""
        raise RuntimeError("secret")


def test_stray_exceptions_become_malformed() -> None:
    """An author's error is told by its type only, and counts as sent."""
    with pytest.raises(CallFailed) as caught:
        asyncio.run(GuardedConnector(Careless()).call(CALL))
    assert caught.value.failure is Failure.MALFORMED
    assert caught.value.detail == "ValueError in the connector"
    assert caught.value.sent


def test_a_probe_tells_of_them() -> None:
    """A probe that breaks is an unhealthy service, not an error."""
    health = asyncio.run(GuardedConnector(Careless()).probe())
    assert health == Health(healthy=False, detail="RuntimeError in the connector's probe.")


def test_statuses_are_checked() -> None:
    """A status outside 200 to 599 never leaves, and the reply is released."""
    reply = CarelessReply(101)
    with pytest.raises(CallFailed, match="malformed"):
        asyncio.run(GuardedConnector(Careless(reply)).call(CALL))
    assert reply.released


def test_replies_are_guarded_too() -> None:
    """Reading, streaming and releasing raise nothing else either."""

    async def run() -> list[bytes]:
        reply = await GuardedConnector(Careless(CarelessReply(200))).call(CALL)
        assert (reply.status, reply.headers) == (200, ((b"a", b"b"),))
        with pytest.raises(CallFailed, match="KeyError in the connector"):
            await reply.read(10)
        chunks = reply.chunks()
        seen = [await anext(chunks)]
        with pytest.raises(CallFailed, match="ZeroDivisionError in the connector"):
            await anext(chunks)
        with pytest.raises(CallFailed, match="OSError in the connector"):
            await reply.release()
        return seen

    assert asyncio.run(run()) == [b"a"]


def test_what_works_passes_through() -> None:
    """A guarded connector answers, fails and probes as the one inside."""

    async def run() -> None:
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"
        async with (
            open_scripted(((answer,), (answer,))) as service,
            open_http(HttpSettings(base_url=service.base_url, allow_loopback=True)) as inside,
        ):
            connector: Connector = GuardedConnector(inside)
            assert (await connector.probe()).healthy
            reply = await connector.call(CALL)
            assert await reply.read(3) == b"abc"
            await reply.release()
            reply = await connector.call(CALL)
            assert [chunk async for chunk in reply.chunks()] == [b"abc"]
            await reply.release()
            with pytest.raises(CallFailed, match="refused"):
                await connector.call(Call(method="TRACE", target=b"/"))

    asyncio.run(run())


def test_a_call_is_open_until_it_fails_or_is_released() -> None:
    """Whoever closes a connector can wait for its last call."""

    async def play() -> None:
        failing = GuardedConnector(Careless())
        with pytest.raises(CallFailed):
            await failing.call(CALL)
        odd = GuardedConnector(Careless(CarelessReply(999)))
        with pytest.raises(CallFailed):
            await odd.call(CALL)
        assert (failing.calls_open, odd.calls_open) == (0, 0)

        answering = GuardedConnector(Careless(CarelessReply(200)))
        reply = await answering.call(CALL)
        assert answering.calls_open == 1
        with pytest.raises(CallFailed):
            await reply.release()
        assert answering.calls_open == 0

    asyncio.run(play())


def test_a_connector_need_not_tell_of_targets() -> None:
    """One that does not has none to show, and one that breaks while it tells is no error."""

    class Forgetful(Careless):
        def targets(self) -> tuple[TargetState, ...]:
            raise LookupError("secret")

    async def told() -> list[str]:
        settings = HttpSettings(base_url="http://127.0.0.1:1", allow_loopback=True)
        async with open_http(settings) as connector:
            return [target.base_url for target in GuardedConnector(connector).targets()]

    assert GuardedConnector(Careless()).targets() == ()
    assert GuardedConnector(Forgetful()).targets() == ()
    assert asyncio.run(told()) == ["http://127.0.0.1:1"]
