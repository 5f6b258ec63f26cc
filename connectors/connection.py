"""One keep-alive connection to a service, and the reply that is read off it."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Coroutine
from typing import Any, Final, Protocol, cast

from connectors.base import Call, CallFailed, Failure, Headers
from connectors.framing import AnswerReader, BadAnswer, KnownHeads
from connectors.sending import send_body

UNREAD_BYTES_MAX: Final = 256 * 1024
"""Body bytes kept for a slow reader before the service is made to wait."""
_JOINED_BODY_BYTES_MAX: Final = 64 * 1024
"""Request bodies up to here are copied behind their head, to leave in one write."""


class Owner(Protocol):
    """What a connection tells the pool that it belongs to."""

    @property
    def heads(self) -> KnownHeads:
        """Heads of the service's answers that all its connections know."""

    def idle(self, connection: Connection) -> None:
        """Take back a connection that can serve another call."""

    def lost(self, connection: Connection) -> None:
        """Forget a connection that is closed."""

    def opened(self, connection: Connection) -> None:
        """Note a connection that is open."""

    @property
    def idle_s(self) -> float:
        """Seconds for which an unused connection is kept."""


class Connection(asyncio.Protocol):
    """Carries one call at a time: `send`, `wait`, the body, then `give_back`.

    `deadline_s` is loop time at which the pool's sweep calls `expire`: the end of the call, or of
    an idle connection's life. `fault` is why the call failed, once it has.
    """

    __slots__ = (
        "_abandoned",
        "_busy",
        "_call",
        "_ends_s",
        "_loop",
        "_owner",
        "_pause_above_bytes",
        "_paused",
        "_transport",
        "_unsent",
        "_waiter",
        "_write_waiter",
        "deadline_s",
        "fault",
        "reader",
        "used",
    )

    def __init__(self, owner: Owner) -> None:
        """Make the protocol of a connection that is being opened for `owner`."""
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._call: Call
        self._ends_s = math.inf
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._write_waiter: asyncio.Future[None] | None = None
        self._busy = self._paused = self._unsent = False
        self._pause_above_bytes = UNREAD_BYTES_MAX
        self._abandoned = False
        self.deadline_s = math.inf
        self.fault: CallFailed | None = None
        self.reader = AnswerReader(owner.heads)
        self.used = False

    @property
    def usable(self) -> bool:
        """Whether the connection is open and not about to close."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def went_stale(self) -> bool:
        """Whether a kept connection closed before any byte of the answer came over it."""
        return (
            self.used
            and not self.reader.started
            and self.fault is not None
            and self.fault.failure is Failure.UNREACHABLE
        )

    def send(self, head: bytes, call: Call, deadline_s: float) -> None:
        """Write a request, in one write where the body is small; only the head of a streamed one.

        `deadline_s` is loop time, that of the call.
        """
        assert self._transport is not None  # noqa: S101 - the pool asks `usable` first
        assert not self._busy  # noqa: S101 - one call at a time
        self._busy = True
        self._call = call
        self.deadline_s = deadline_s
        self._ends_s = deadline_s - call.deadline_s + call.stream_s
        self.reader.begin(head_only=call.method == "HEAD")
        body = call.body
        if not body:
            self._transport.write(head)
        elif not isinstance(body, bytes):
            self._unsent = True
            self._transport.write(head)
        elif len(body) <= _JOINED_BODY_BYTES_MAX:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    def wait(self) -> asyncio.Future[None]:
        """Wait until the answer's head, more of its body, its end or a fault is there."""
        self._waiter = waiter = self._loop.create_future()
        return waiter

    async def send_pieces(self, body: AsyncIterable[bytes]) -> None:
        """Send a body that comes in pieces, and wait for the answer's head or a fault.

        An answer that refuses the request ends the sending. Any other waits for the whole body,
        for a service may begin to answer before it has read all.
        """
        self.deadline_s = self._ends_s
        sending = self._loop.create_task(send_body(self, body, self._call.body_bytes))
        sending.add_done_callback(lambda _: self._wake())
        reader = self.reader
        try:
            while self.fault is None and not (
                reader.head_complete and (sending.done() or reader.status >= 300)
            ):
                await self.wait()
        finally:
            if not sending.done():
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                self._expect_answer()

    async def read(self, bytes_max: int) -> bytes:
        """Read the whole body (`Reply.read`)."""
        reader = self.reader
        self._pause_above_bytes = bytes_max
        while not (reader.complete and reader.body_bytes <= bytes_max):
            # A complete answer may declare more than came: HEAD and 304 have no body.
            coming_bytes = 0 if reader.complete else reader.declared_bytes or 0
            if max(reader.body_bytes, coming_bytes) > bytes_max:
                self.fail(Failure.MALFORMED, f"the body is larger than {bytes_max} bytes")
            if self.fault is not None:
                raise self.fault
            self._resume()
            await self.wait()
        return reader.take()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives (`Reply.chunks`)."""
        reader = self.reader
        while True:
            if reader.buffered_bytes:
                yield reader.take()
            elif reader.complete:
                return
            elif self.fault is not None:
                raise self.fault
            else:
                self._resume()
                await self._wait_for_service()

    def give_back(self) -> None:
        """Hand the connection back for another call, or close it where it is not clean."""
        transport, reader = self._transport, self.reader
        if transport is None:
            return
        if (
            reader.complete
            and reader.persistent
            and not reader.surplus
            and self.fault is None
            and not self._unsent
            and not transport.is_closing()
            # An answer that came before the whole request was taken leaves its rest behind.
            and not transport.get_write_buffer_size()
        ):
            self._busy = False
            self.used = True
            self._pause_above_bytes = UNREAD_BYTES_MAX
            if self._paused:
                self._resume()
            self.deadline_s = self._loop.time() + self._owner.idle_s
            self._owner.idle(self)
        else:
            self.drop()

    def drop(self) -> None:
        """Close the connection without any courtesy; whatever is in flight is lost."""
        if self._transport is not None:
            self._transport.abort()

    def abandon(self) -> None:
        """Close without telling the owner, who gave up while the connection was being opened.

        Whether the event loop still reports such a connection as made or lost depends on its kind
        and on the moment, so neither is waited for.
        """
        self._abandoned = True
        self.drop()

    def expire(self) -> None:
        """End what has reached its deadline: the call, or the idle connection."""
        self.deadline_s = math.inf
        if self._busy and (self._unsent or not self.reader.complete):
            self.fail(Failure.TIMED_OUT, "no whole answer before the deadline")
        else:
            self.drop()

    def fail(self, failure: Failure, detail: str) -> None:
        """End the call with a failure, after which the connection is of no use."""
        if self.fault is None:
            self.fault = CallFailed(failure, detail, sent=True)
        self.drop()
        self._wake()

    # What `send_body` calls.

    def write(self, *parts: bytes) -> None:
        """Write `parts` together; raises CallFailed where the connection is gone."""
        if self._transport is None or self._transport.is_closing():
            raise CallFailed(Failure.UNREACHABLE, "the service closed the connection", sent=True)
        self._transport.writelines(parts)

    async def drained(self) -> None:
        """Wait until the service has taken enough of what was written, or the call has failed."""
        if self._write_waiter is not None:
            self.deadline_s = min(self._ends_s, self._loop.time() + self._call.idle_s)
            await self._write_waiter
            self.deadline_s = self._ends_s

    def sent(self) -> None:
        """Note that the whole body is written: the answer is due."""
        self._unsent = False
        self._expect_answer()

    def _expect_answer(self) -> None:
        self.deadline_s = min(self._ends_s, self._loop.time() + self._call.deadline_s)

    async def _wait_for_service(self) -> None:
        """Wait for more of a body that is read in pieces; the wait for its reader has no part."""
        self.deadline_s = min(self._ends_s, self._loop.time() + self._call.idle_s)
        await self.wait()
        self.deadline_s = self._ends_s

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        # Whoever waited may have been cancelled.
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's is no subclass of asyncio's.
        opened = cast("asyncio.Transport", transport)
        if self._abandoned:
            opened.abort()
            return
        self._transport = opened
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        """Read on; bytes that nobody asked for end the connection."""
        if not self._busy:
            self.drop()
            return
        reader = self.reader
        try:
            reader.feed(data)
        except BadAnswer as error:
            self.fail(Failure.MALFORMED, str(error))
            return
        if reader.buffered_bytes > self._pause_above_bytes:
            self._pause()
        if reader.head_complete:
            self._wake()

    def pause_writing(self) -> None:
        """Make `drained` wait: the service takes no more for now."""
        self._write_waiter = self._loop.create_future()

    def resume_writing(self) -> None:
        """Let `drained` go on."""
        waiter, self._write_waiter = self._write_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Judge what the end of the connection means for the call that it carries."""
        self.resume_writing()
        if self._abandoned:
            return
        if self._busy and self.fault is None and not self.reader.complete:
            if exc is not None:
                self.fail(Failure.UNREACHABLE, "the connection broke")
            elif not self.reader.started:
                self.fail(Failure.UNREACHABLE, "the service closed the connection unanswered")
            elif self.reader.delimited_by_close and not _ended_in_order(self._transport):
                self.fail(Failure.MALFORMED, "the TLS connection ended without a close_notify")
            else:
                self._finish()
        self._transport = None
        self._owner.lost(self)

    def _finish(self) -> None:
        try:
            self.reader.finish()
        except BadAnswer as error:
            self.fail(Failure.MALFORMED, str(error))
        else:
            self._wake()


def _ended_in_order(transport: asyncio.Transport | None) -> bool:
    """Tell whether the service ended TLS by a `close_notify`, where it speaks TLS.

    Without one anybody on the way may have cut what came before (RFC 9112, section 9.8). The event
    loops report both alike, but only after one does a read find the end.
    """
    tls = None if transport is None else transport.get_extra_info("ssl_object")
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False


class WireReply:
    """A Reply on a connection; once released it has no way back to it."""

    __slots__ = ("_connection", "delimited_by_close", "headers", "status")

    def __init__(self, connection: Connection) -> None:
        """Take the head that `connection` has read."""
        reader = connection.reader
        self._connection: Connection | None = connection
        self.status: int = reader.status
        self.headers: Headers = reader.headers
        self.delimited_by_close: bool = reader.delimited_by_close

    def read(self, bytes_max: int) -> Coroutine[Any, Any, bytes]:
        """Read the whole body (`Reply.read`)."""
        assert self._connection is not None  # noqa: S101 - read before release
        return self._connection.read(bytes_max)

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives (`Reply.chunks`)."""
        assert self._connection is not None  # noqa: S101 - read before release
        return self._connection.chunks()

    async def release(self) -> None:
        """Give the connection back, or close it where the body was not read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.give_back()
