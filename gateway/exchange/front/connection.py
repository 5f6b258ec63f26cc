"""One connection of the data listener below HTTP: its phases, deadlines, pauses and its end."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, ClassVar, Final, Protocol, cast

from gateway.exchange.front.deadlines import NEVER, Wheel
from gateway.exchange.front.rules import FrontSettings
from gateway.exchange.front.shares import Shares


class ServerState(Protocol):
    """What uvicorn shares among connections; it waits for both sets when it shuts down."""

    connections: set[Any]
    tasks: set[asyncio.Task[None]]
    total_requests: int


class Phase(Enum):
    """What the connection waits for, and so what its deadline means."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    HANDLING = auto()
    STALLED = auto()
    CLOSING = auto()


IDLE, HEAD, BODY, HANDLING, STALLED, CLOSING = Phase

LINGERING_MAX: Final = 64
"""Connections beyond the cap that may be open while their callers are told to call again."""


class Connection(asyncio.Protocol):
    """A connection that uvicorn makes; `FrontProtocol` says what the octets mean.

    Every phase but HANDLING has a deadline: a caller who is slow, silent or does not read cannot
    hold a connection for ever (N-01 to N-03). The handler has deadlines of its own.
    """

    settings: ClassVar[FrontSettings]
    shares: ClassVar[Shares]
    wheel: ClassVar[Wheel | None] = None

    __slots__ = (
        "_admitted", "_certificate_der", "_last", "_lingered_bytes", "_loop", "_on_leaving",
        "_phase", "_reading_paused", "_secure", "_server_state", "_source", "_transport", "_unread",
        "_unwritten_bytes", "_wheel", "_write_waiter", "_writing_paused", "deadline_s",
    )  # fmt: skip

    def __init__(
        self,
        config: object,  # noqa: ARG002 - uvicorn's constructor
        server_state: ServerState,
        app_state: dict[str, Any],  # noqa: ARG002 - uvicorn's constructor
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Be made by uvicorn, once per connection."""
        self._loop = _loop or asyncio.get_running_loop()
        self._server_state = server_state
        self._wheel = self._shared_wheel()
        self._transport: asyncio.Transport
        self._source = ""
        self._admitted = False
        self._secure = False
        self._certificate_der: bytes | None = None
        self._unread = b""
        self._last = False
        self._reading_paused = False
        self._writing_paused = False
        self._write_waiter: asyncio.Future[None] | None = None
        self._on_leaving: Callable[[], object] | None = None
        self._unwritten_bytes: float = math.inf
        self._lingered_bytes = 0
        self._phase = HEAD
        self.deadline_s = NEVER

    # What the transport and the server call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to wait for a head; `_admitted` tells whether the source may have one more."""
        # A stream, as uvicorn only serves streams; uvloop's is no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._source = peer[0] if isinstance(peer, tuple) else ""
        self._admitted = self.shares.take(self._source)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._secure = True
            self._certificate_der = tls.getpeercert(binary_form=True)
        self._server_state.connections.add(self)
        self._wheel.add(self)
        self._enter(HEAD, self.settings.head_s)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget the connection; whoever waits to write goes on, and finds it closing."""
        self._server_state.connections.discard(self)
        if self._admitted:
            self._admitted = False
            self.shares.give_back(self._source)
        self._wheel.remove(self)
        self._phase = CLOSING
        self._unread = b""
        self.resume_writing()
        if self._on_leaving is not None:
            self._on_leaving()

    def data_received(self, data: bytes) -> None:
        """Pass octets on with those that have waited; throw them away once we are closing."""
        if self._phase is CLOSING:
            self._lingered_bytes += len(data)
            if self._lingered_bytes > self.settings.linger_bytes_max:
                self._transport.abort()
            return
        if self._unread:
            data = self._unread + data
            self._unread = b""
        self._advance(data)

    def pause_writing(self) -> None:
        """Stop writing until the caller has read."""
        self._writing_paused = True
        if self._phase is not CLOSING:
            self._unwritten_bytes = math.inf
            self._enter(STALLED, self.settings.write_window_s)

    def resume_writing(self) -> None:
        """Write on."""
        self._writing_paused = False
        if self._phase is STALLED:
            self._await_next()
        if self._write_waiter is not None and not self._write_waiter.done():
            self._write_waiter.set_result(None)

    def deadline_passed(self) -> None:
        """End what took too long, in the way that its phase asks for."""
        if self._phase is IDLE or (self._phase is HEAD and not self._unread):
            self._close()
        elif self._phase is HEAD or self._phase is BODY:
            self._arrives_too_slowly()
        elif self._caller_reads():
            self._enter(self._phase, self.settings.write_window_s)
        else:
            self._transport.abort()

    # What the handler asks (`Presence`).

    def left(self) -> bool:
        """Whether no answer can reach the caller any more."""
        return self._phase is CLOSING

    def when_left(self, callback: Callable[[], object] | None) -> None:
        """Call `callback` once, when the connection is lost; None calls nobody any more."""
        self._on_leaving = callback

    # What the octets mean is told by the subclass.

    def _advance(self, data: bytes) -> None:
        """Make what can be made of `data`."""
        raise NotImplementedError

    def _await_next(self) -> None:
        """Enter the phase that follows from what has arrived."""
        raise NotImplementedError

    def _arrives_too_slowly(self) -> None:
        """Judge a head or a body that is not whole at its deadline."""
        raise NotImplementedError

    # Waiting, pausing, closing.

    def _enter(self, phase: Phase, seconds: float) -> None:
        self._phase = phase
        self.deadline_s = self._wheel.after(seconds)

    async def _drained(self) -> None:
        """Wait until the caller has read enough, or has gone."""
        while self._writing_paused:
            self._write_waiter = self._loop.create_future()
            await self._write_waiter

    def _caller_reads(self) -> bool:
        """Tell whether enough has been written since the last look."""
        before, self._unwritten_bytes = (
            self._unwritten_bytes,
            self._transport.get_write_buffer_size(),
        )
        return 0 < self._unwritten_bytes <= before - self.settings.write_window_bytes_min

    def _pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def _close_soon(self) -> None:
        """Close, at once between requests; a head that is on its way has a moment left to arrive.

        On a fresh connection one surely is, and its caller would not know whether it was heard.
        """
        if self._phase is HEAD:
            self.deadline_s = min(self.deadline_s, self._wheel.after(self.settings.last_head_s))
        else:
            self._close()

    def _close(self, *, linger: bool = False) -> None:
        """End the connection after what has been written.

        While the caller may still be sending (`linger`), our end closes first and the rest is
        thrown away for a while, since a reset would destroy the answer (RFC 9112, section 9.6).
        Where callers come faster than they can be sent away, there is no such while.
        """
        if self._phase is CLOSING:
            return
        crowd = len(self._server_state.connections) - self.settings.connections_max
        linger = (linger or bool(self._unread)) and crowd <= LINGERING_MAX
        self._unread = b""
        self._enter(CLOSING, self.settings.linger_s)
        if linger and self._transport.can_write_eof():
            self._resume_reading()
            self._transport.write_eof()
        else:
            self._transport.close()

    def _shared_wheel(self) -> Wheel:
        kind = type(self)
        if kind.wheel is None or kind.wheel.loop is not self._loop:
            kind.wheel = Wheel(self._loop, self.settings.tick_s)
        return kind.wheel
