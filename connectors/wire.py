"""The pool of connections to one service: limits, queue, deadlines and the one careful retry."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Final

from connectors.base import Call, CallFailed, Failure
from connectors.connection import Connection, WireReply
from connectors.egress import EgressDenied, EgressRule, connect
from connectors.framing import KnownHeads
from connectors.origin import Origin
from connectors.rendering import IDEMPOTENT, HeadWriter

SWEEP_S: Final = 0.1
"""How often deadlines are looked at: one timer for the pool instead of one for each call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """How much of a service one pool uses.

    Beyond `connections_max` calls wait, `waiting_max` of them and each for `wait_s`; after that
    they fail as OVERLOADED. `idle_s` is shorter than the keep-alive time of common servers (5 s).
    """

    connections_max: int = 128
    waiting_max: int = 256
    wait_s: float = 1.0
    connect_timeout_s: float = 3.0
    idle_s: float = 4.0


@dataclass(slots=True)
class _Waiter:
    """A call in the queue: it gets an idle connection, or None for the right to open one."""

    turn: asyncio.Future[Connection | None]
    expires_s: float


class Pool:
    """Keep-alive connections to one origin, the most recently used first.

    Belongs to the event loop in which it was made. `close` it when it is no longer needed.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        limits: PoolLimits,
        egress: EgressRule,
        tls: ssl.SSLContext | None,
    ) -> None:
        """`tls` verifies the service where the origin is https, and is None where it is http."""
        assert (tls is not None) == origin.secure  # noqa: S101 - whoever composes the pool knows
        self._origin = origin
        self._limits = limits
        self._egress = egress
        self._tls = tls
        self.heads: Final = KnownHeads()
        self._writer = HeadWriter(origin.authority, origin.prefix)
        self._loop = asyncio.get_running_loop()
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        self._waiting: deque[_Waiter] = deque()
        self._slots_taken = 0
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None

    @property
    def idle_s(self) -> float:
        """Seconds for which an unused connection is kept."""
        return self._limits.idle_s

    def authorize(self, name: bytes, value: bytes) -> None:
        """Send the gateway's credential with every request (`HeadWriter.authorize`)."""
        self._writer.authorize(name, value)

    def verify_with(self, tls: ssl.SSLContext) -> None:
        """Use `tls` for connections from now on; those that are open stay."""
        if self._tls is not None:
            self._tls = tls

    async def request(self, call: Call) -> WireReply:
        """Send `call` and return the head of its answer.

        A kept connection that the service had closed before it took the call is no failure of the
        service: an idempotent call for which nothing of an answer came is sent once more, over a
        new connection.

        Raises:
            CallFailed: `sent` is False exactly while no byte has been handed to a connection.
        """
        head = self._writer.render(call)
        deadline_s = self._loop.time() + call.deadline_s
        connection = self._kept() or await self._open_in_turn(deadline_s)
        try:
            return await self._exchange(connection, head, call, deadline_s)
        except CallFailed:
            if not connection.went_stale or not _may_be_sent_again(call):
                raise
        try:
            connection = await self._open_in_turn(deadline_s)
            return await self._exchange(connection, head, call, deadline_s)
        except CallFailed as failure:
            raise CallFailed(failure.failure, failure.detail, sent=True) from None

    async def probe(self, deadline_s: float) -> None:
        """Open a connection, TLS included, and close it; raises CallFailed."""
        self._slots_taken += 1
        (await self._open(self._loop.time() + deadline_s)).drop()

    async def close(self) -> None:
        """Close every connection; calls in flight fail."""
        self._drained = self._loop.create_future()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        for waiter in self._waiting:
            _fail_turn(waiter, Failure.UNREACHABLE, "the connector is closed")
        for connection in tuple(self._connections):
            connection.fail(Failure.UNREACHABLE, "the connector is closed")
        if self._connections:
            await self._drained

    async def _exchange(
        self, connection: Connection, head: bytes, call: Call, deadline_s: float
    ) -> WireReply:
        if not connection.usable:
            raise CallFailed(Failure.UNREACHABLE, "the service closed the connection", sent=False)
        try:
            connection.send(head, call, deadline_s)
            if call.body is None or isinstance(call.body, bytes):
                # An upload may have had the connection before, and the end of its sending wake us.
                while not connection.reader.head_complete and connection.fault is None:
                    await connection.wait()
            else:
                await connection.send_pieces(call.body)
        except BaseException:
            # The caller has gone: an answer that nobody waits for must not meet the next call.
            connection.drop()
            raise
        if not connection.reader.head_complete and connection.fault is not None:
            raise connection.fault
        return WireReply(connection)

    def _kept(self) -> Connection | None:
        """Take the connection that was used last, of those that can serve a call."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        return None

    async def _open_in_turn(self, deadline_s: float) -> Connection:
        if self._slots_taken < self._limits.connections_max:
            self._slots_taken += 1
            return await self._open(deadline_s)
        if len(self._waiting) >= self._limits.waiting_max:
            raise CallFailed(Failure.OVERLOADED, "too many calls wait for the service", sent=False)
        waiter = _Waiter(
            self._loop.create_future(), min(deadline_s, self._loop.time() + self._limits.wait_s)
        )
        self._waiting.append(waiter)
        self._keep_sweeping()
        try:
            connection = await waiter.turn
        except asyncio.CancelledError:
            self._pass_on(waiter)
            raise
        if connection is None:
            return await self._open(deadline_s)
        if connection.usable:
            return connection
        return self._kept() or await self._open_in_turn(deadline_s)

    def _pass_on(self, waiter: _Waiter) -> None:
        # Cancelled in the very turn in which it was served: the next in line gets its place.
        if not waiter.turn.done() or waiter.turn.cancelled() or waiter.turn.exception():
            return
        connection = waiter.turn.result()
        if connection is None:
            self._free_slot()
        elif connection.usable:
            self.idle(connection)

    async def _open(self, deadline_s: float) -> Connection:
        expires_s = min(deadline_s, self._loop.time() + self._limits.connect_timeout_s)
        connection = Connection(self)
        try:
            await self._dial(connection, expires_s)
        except BaseException as error:
            connection.abandon()
            self._connections.discard(connection)
            self._free_slot()
            failure = _failure_of(error)
            if failure is None:
                raise
            raise failure from None
        return connection

    async def _dial(self, connection: Connection, expires_s: float) -> None:
        host, port = self._origin.host, self._origin.port
        connected = await connect(host, port, self._egress, until_s=expires_s)
        async with asyncio.timeout_at(expires_s):
            await self._loop.create_connection(
                lambda: connection,
                sock=connected,
                ssl=self._tls,
                server_hostname=host if self._tls is not None else None,
            )

    def _free_slot(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft().turn
            if not turn.done():
                turn.set_result(None)
                return
        self._slots_taken -= 1

    # What connections tell (`Owner`).

    def opened(self, connection: Connection) -> None:
        """Note a connection that is open."""
        self._connections.add(connection)
        if self._drained is not None:
            connection.drop()
        self._keep_sweeping()

    def idle(self, connection: Connection) -> None:
        """Hand a clean connection to the first call in the queue, or keep it."""
        while self._waiting:
            turn = self._waiting.popleft().turn
            if not turn.done():
                turn.set_result(connection)
                return
        self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """Forget a closed connection, whose place another may take."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._free_slot()
        if self._drained is not None and not self._connections and not self._drained.done():
            self._drained.set_result(None)

    def _sweep(self) -> None:
        now_s = self._loop.time()
        self.heads.forget()
        for connection in tuple(self._connections):
            if connection.deadline_s <= now_s:
                connection.expire()
        for waiter in self._waiting:
            if waiter.expires_s <= now_s:
                _fail_turn(waiter, Failure.OVERLOADED, "no connection came free in time")
        self._waiting = deque(waiter for waiter in self._waiting if not waiter.turn.done())
        self._sweep_timer = None
        if self._connections or self._waiting:
            self._keep_sweeping()

    def _keep_sweeping(self) -> None:
        if self._sweep_timer is None and self._drained is None:
            self._sweep_timer = self._loop.call_later(SWEEP_S, self._sweep)


def _may_be_sent_again(call: Call) -> bool:
    """Whether a call that was not answered can be repeated: what was streamed is gone."""
    return call.method in IDEMPOTENT and (call.body is None or isinstance(call.body, bytes))


def _fail_turn(waiter: _Waiter, failure: Failure, detail: str) -> None:
    if not waiter.turn.done():
        waiter.turn.set_exception(CallFailed(failure, detail, sent=False))


def _failure_of(error: BaseException) -> CallFailed | None:
    """Return what an error while connecting means to the caller; None where it is not ours."""
    if isinstance(error, TimeoutError):
        return CallFailed(Failure.TIMED_OUT, error.strerror or "no connection in time", sent=False)
    if isinstance(error, EgressDenied):
        return CallFailed(Failure.REFUSED, str(error), sent=False)
    if isinstance(error, OSError):
        return CallFailed(Failure.UNREACHABLE, _reason(error), sent=False)
    return None


def _reason(error: OSError) -> str:
    """Say to an operator why no connection came about, and at which addresses."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the service's certificate does not hold: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "the service does not speak TLS as it should"
    if isinstance(error, socket.gaierror):
        return "the service's name does not resolve"
    return error.strerror or "the service closed the connection before it stood"
