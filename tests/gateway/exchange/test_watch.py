"""What is watched while a body passes, and what a body on its way upstream says when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.base import CallFailed
from gateway.exchange import records, watch
from gateway.exchange.messages import ClientGone
from gateway.exchange.watch import Cut, Passed, Upload, Watch, while_present
from policies.decision import ReasonCode
from tests.world import World, ask, freeze, open_world


async def watching(world: World) -> Watch:
    """Return the watch over an exchange whose request goes upstream unread."""
    exchange = replace((await ask(world)).exchange, unread=True)
    intent = await world.log.append(records.intent(exchange, instance="test"))
    return Watch(exchange, intent, log=world.log, instance="test", stop_list=world.ports.stop_list)


async def chunks(*pieces: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    """Yield a request's body."""
    for piece in pieces:
        yield piece
    if error is not None:
        raise error


def test_an_upload_is_counted_and_digested(tmp_path: Path) -> None:
    """What went upstream is known only when it has gone."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            over = await watching(world)
            upload = Upload(chunks(b"ab", b"c"), over)
            assert [piece async for piece in upload] == [b"ab", b"c"]
            flow = over.flow()
            assert (flow.request_bytes, flow.answer_bytes, flow.cut) == (3, None, None)
            assert flow.request_digest == ("sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:")

    asyncio.run(play())


def test_an_upload_that_breaks_off_ends_the_call(tmp_path: Path) -> None:
    """N-05: the service sees no end, and the watch keeps why."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            over = await watching(world)
            with pytest.raises(CallFailed):
                _ = [piece async for piece in Upload(chunks(b"a", error=ClientGone()), over)]
            assert over.cut is not None
            assert over.cut.cause == "client-gone"
            assert over.flow().request_digest is None
            with pytest.raises(Cut):
                over.check()

    asyncio.run(play())


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (("agreement", "DSA-2026-0003"), ReasonCode.AGREEMENT_NOT_ACTIVE),
        (("client", "northvale-revenues"), ReasonCode.TOKEN_INVALID),
        (("issuer", "https://idp.northvale.example"), ReasonCode.ISSUER_UNTRUSTED),
    ],
)
def test_a_stop_is_seen_before_the_next_piece(
    tmp_path: Path, stop: tuple[str, str], reason: ReasonCode
) -> None:
    """Whatever the exchange rests on can be withdrawn while a body passes."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            over = await watching(world)
            upload = aiter(Upload(chunks(b"a", b"b"), over))
            assert await anext(upload) == b"a"
            client = over._exchange.query.caller.client
            assert client is not None
            world.stops.add(stop if stop[0] != "client" else ("client", client))
            with pytest.raises(CallFailed):
                await anext(upload)
            assert over.cut is not None
            assert over.cut.reason is reason

    asyncio.run(play())


def test_a_window_that_cannot_be_recorded_lets_nothing_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I10: without the log there is no next window."""
    monkeypatch.setattr(watch, "WINDOW_S", -1.0)

    async def play() -> None:
        async with open_world(tmp_path) as world:
            over = await watching(world)
            freeze(world)
            with pytest.raises(Cut) as cut:
                await over.let_pass(over.answer, b"a")
            assert cut.value.cause == "audit-unavailable"
            assert over.answer.bytes == 0

    asyncio.run(play())


def test_a_body_that_did_not_end_has_no_digest() -> None:
    """A digest of a part would be taken for one of the whole."""
    body = Passed()
    body.add(b"a")
    assert body.digest() is None


class Caller:
    """A caller who leaves as soon as somebody waits for it."""

    def __init__(self, *, leaves: bool) -> None:
        """Leave, or stay."""
        self.leaves = leaves

    def left(self) -> bool:
        """Tell whether it left."""
        return self.leaves

    def when_left(self, callback: object) -> None:
        """Leave at once."""
        if callable(callback) and self.leaves:
            asyncio.get_running_loop().call_soon(callback)


def test_what_nobody_waits_for_is_given_up() -> None:
    """The waiting ends with the caller; what cancels it from elsewhere stays a cancellation."""

    async def play() -> None:
        with pytest.raises(ClientGone):
            await while_present(Caller(leaves=True), asyncio.Event().wait())
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()
        waiting = asyncio.ensure_future(while_present(Caller(leaves=False), asyncio.Event().wait()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(play())
