"""The data listener's protocol: one connection, one exchange at a time, every wait bounded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar, Final

from gateway.errors import ProblemCode
from gateway.exchange.front.bodies import NO_BODY, IncomingBody, incoming_body
from gateway.exchange.front.chunked import FramingFault
from gateway.exchange.front.connection import (
    BODY,
    CLOSING,
    HANDLING,
    HEAD,
    IDLE,
    Connection,
    ServerState,
)
from gateway.exchange.front.deadlines import NEVER
from gateway.exchange.front.heads import HEAD_END, find_head_end, split_head, unfinished_fault
from gateway.exchange.front.replies import (
    CONTINUE,
    LAST_CHUNK,
    ResponseMalformed,
    closing,
    has_content,
    internal_error,
    refusal_response,
    streamed_head,
    whole_reply,
)
from gateway.exchange.front.rules import FrontSettings, Head, check_head
from gateway.exchange.front.shares import Shares
from gateway.exchange.messages import (
    AnswerCut,
    ClientGone,
    FrontRefusal,
    Request,
    RequestBody,
    Response,
)

Handler = Callable[[Request], Awaitable[Response]]
CountRefusal = Callable[[str], None]

REPEATED_HEAD_BYTES_MAX: Final = 4 * 1024
"""The longest head that a connection remembers, to know it when it comes again."""

_LOG: Final = logging.getLogger("concordat.front")

_TOO_SLOW: Final = FrontRefusal(
    code=ProblemCode.REQUEST_TIMEOUT, detail="The request did not arrive in time."
)
_BROKEN_BODY: Final = FrontRefusal(
    code=ProblemCode.AMBIGUOUS_FRAMING, detail="A chunk of the body breaks the chunked coding."
)
_TOO_MANY: Final = FrontRefusal(
    code=ProblemCode.NOT_READY, detail="Too many connections are open; call again shortly."
)


class FrontProtocol(Connection):
    """One connection of the data listener, as uvicorn makes it; see `make_protocol`.

    A head is read whole, judged, and handed to the handler in a task that is never cancelled for
    the caller's sake: its record must be written. Octets that come meanwhile wait, and reading
    pauses. A refusal of the front is answered, counted, and ends the connection.
    """

    handler: ClassVar[Handler]
    count_refusal: ClassVar[CountRefusal]

    __slots__ = (
        "_awaits_continue", "_body", "_busy", "_head", "_head_octets", "_request", "_responding",
        "_task", "_window_bytes",
    )  # fmt: skip

    def __init__(
        self,
        config: object,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Be made by uvicorn, once per connection."""
        super().__init__(config, server_state, app_state, _loop)
        self._body: IncomingBody | None = None
        self._awaits_continue = False
        self._window_bytes = 0
        self._busy = False
        self._responding = False
        self._task: asyncio.Task[None] | None = None
        self._head_octets: bytes | None = None
        self._head: Head | None = None
        self._request: Request | None = None

    # What the transport and the server call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to wait for a head; a source that has its share of the cap is told so (N-04)."""
        super().connection_made(transport)
        if not self._admitted:
            self._refuse(_TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the body, the writer and the handler, which goes on to the record."""
        super().connection_lost(exc)
        self._request = None  # it knows us
        if self._body is not None:
            self._body.break_off()

    def eof_received(self) -> bool:
        """Finish the exchange in flight for a caller who only stopped sending; else close."""
        self._last = True
        waits_for_answer = self._busy and (self._body is None or self._body.complete)
        return waits_for_answer and not self._secure and self._phase is not CLOSING

    def shutdown(self) -> None:
        """Close after the exchange in flight, soon if there is none (uvicorn calls this)."""
        self._last = True
        if not self._busy:
            self._close_soon()

    # What the body calls.

    def body_wanted(self) -> None:
        """Let the client send: on request with an interim answer (RFC 9110, section 10.1.1)."""
        if self._awaits_continue:
            self._awaits_continue = False
            if not self._responding:
                self._transport.write(CONTINUE)
        self._resume_reading()

    def body_plenty(self) -> None:
        """Stop reading until the handler has read."""
        self._pause_reading()

    # Receiving.

    def _advance(self, data: bytes) -> None:
        while data and self._phase is not CLOSING:
            if self._body is not None and not self._body.complete:
                data = self._receive_body(self._body, data)
            elif self._busy:
                self._unread = data
                self._pause_reading()
                return
            else:
                data = self._receive_head(data)

    def _receive_head(self, data: bytes) -> bytes:
        """Read a head if it is whole, and return what comes after it."""
        # A caller repeats itself, and a verdict depends on nothing but the octets.
        if data == self._head_octets:
            self._begin()
            return b""
        settings = self.settings
        end = find_head_end(data)
        if end < 0 or end > settings.head_bytes_max:
            fault = unfinished_fault(data, settings.head_bytes_max)
            if fault is not None:
                self._refuse(fault)
                return b""
            if self._phase is IDLE:
                self._enter(HEAD, settings.head_s)
            self._unread = data
            return b""
        verdict = self._judge(data[:end])
        if isinstance(verdict, FrontRefusal):
            self._refuse(verdict, with_content=not data.startswith(b"HEAD "))
            return b""
        rest = end + len(HEAD_END)
        self._head, self._request = verdict, None
        self._head_octets = data[:rest] if end <= REPEATED_HEAD_BYTES_MAX else None
        self._begin()
        return data[rest:]

    def _judge(self, raw: bytes) -> Head | FrontRefusal:
        split = split_head(raw, header_count_max=self.settings.header_count_max)
        if isinstance(split, FrontRefusal):
            return split
        return check_head(*split, settings=self.settings, secure=self._secure)

    def _begin(self) -> None:
        """Hand an accepted request to the handler; one without a body is the same every time."""
        head, request = self._head, self._request
        assert head is not None  # noqa: S101 - set with the octets that it was read from
        self._body = None
        if request is None:
            request = self._read_request(head)
            self._request = None if request.has_body else request
        self._busy = True
        self._responding = False
        self._awaits_continue = head.expects_continue
        self._last = self._last or head.close
        self._await_next()
        self._task = self._loop.create_task(self._serve(request))
        self._server_state.tasks.add(self._task)

    def _read_request(self, head: Head) -> Request:
        body: RequestBody = NO_BODY
        if head.body_bytes != 0:
            body = self._body = incoming_body(self, head.body_bytes, self.settings)
        return Request(
            method=head.method,
            target=head.target,
            headers=head.headers,
            host=head.host,
            source=self._source,
            secure=self._secure,
            certificate_der=self._certificate_der,
            has_body=head.body_bytes != 0,
            body_bytes=head.body_bytes,
            body=body,
            presence=self,
        )

    def _receive_body(self, body: IncomingBody, data: bytes) -> bytes:
        """Fill the body, and return what comes after it."""
        self._awaits_continue = False
        try:
            rest = body.receive(data)
        except FramingFault:
            self._refuse_body(_BROKEN_BODY)
            return b""
        self._window_bytes += len(data) - len(rest)
        if body.complete and self._phase is BODY:
            self._await_next()
        return rest

    def _arrives_too_slowly(self) -> None:
        """Refuse a head or a body that takes too long, unless it is us who make it wait (N-03)."""
        if self._phase is HEAD:
            self._refuse(_TOO_SLOW)
            return
        waits_for_us = self._reading_paused or self._awaits_continue
        if waits_for_us or self._window_bytes >= self.settings.body_window_bytes_min:
            self._await_next()
        else:
            self._refuse_body(_TOO_SLOW)

    # Answering.

    async def _serve(self, request: Request) -> None:
        """Ask the handler, write what it answers, and make ready for the next request."""
        task = self._task
        assert task is not None  # noqa: S101 - this runs in it
        try:
            try:
                response = await type(self).handler(request)
            except ClientGone:
                self._busy = False
                self._close()
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets only a 500
                response = self._internal_error(error)
            close = self._closes_after(response)
            self._responding = self._phase is not CLOSING
            if isinstance(response.body, bytes):
                if self._responding:
                    self._write_whole(request.method, response, close=close)
                    if self._writing_paused:
                        await self._drained()
            elif not await self._stream(request.method, response, response.body, close=close):
                return
            self._exchange_over(close=close)
        except asyncio.CancelledError:
            # The time for a graceful end is over: the answer must not look whole.
            self._transport.abort()
            raise
        finally:
            self._server_state.tasks.discard(task)

    def _internal_error(self, error: Exception) -> Response:
        """Count and log a fault of ours by type and place only: its text may hold personal data."""
        type(self).count_refusal(ProblemCode.INTERNAL_ERROR)
        return internal_error(error, _LOG)

    def _write_whole(self, method: str, response: Response, *, close: bool) -> None:
        date = self._wheel.date
        try:
            reply = whole_reply(response, method, date=date, close=close)
        except ResponseMalformed as error:
            reply = whole_reply(self._internal_error(error), method, date=date, close=close)
        self._transport.write(reply)

    async def _stream(
        self, method: str, response: Response, body: AsyncIterator[bytes], *, close: bool
    ) -> bool:
        """Write a body chunk by chunk; False if the message stays incomplete."""
        content = has_content(method, response.status)
        try:
            async with closing(body):
                if self._responding:
                    head = streamed_head(response, method, date=self._wheel.date, close=close)
                    self._transport.write(head)
                async for chunk in body:
                    if self._phase is CLOSING:
                        return False
                    if content and chunk:
                        self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                        await self._drained()
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer must not look whole
            if not isinstance(error, ClientGone | AnswerCut):
                self._internal_error(error)
            self._transport.abort()
            return False
        if content and self._phase is not CLOSING:
            self._transport.write(LAST_CHUNK)
        return True

    def _closes_after(self, response: Response) -> bool:
        """Decide whether the connection ends with this answer.

        What is left of the body is drained if it is short and surely on its way.
        """
        if self._last or response.close:
            return True
        body = self._body
        if body is None or body.complete:
            return False
        return (
            self._awaits_continue
            or body.expected_bytes is None
            or body.expected_bytes > self.settings.drain_bytes_max
        )

    def _exchange_over(self, *, close: bool) -> None:
        """Close, or serve what came meanwhile."""
        self._busy = False
        self._server_state.total_requests += 1
        if self._phase is CLOSING:
            return
        if close or self._last:
            self._close(linger=self._body is not None and not self._body.complete)
            return
        if self._body is not None:
            self._body.discard()
        self._await_next()
        self._resume_reading()
        if self._unread:
            data, self._unread = self._unread, b""
            self._advance(data)

    # Refusing, closing, waiting.

    def _refuse(self, refusal: FrontRefusal, *, with_content: bool = True) -> None:
        """Answer for the front, count it, and end the connection."""
        type(self).count_refusal(refusal.code)
        method = "GET" if with_content else "HEAD"
        reply = whole_reply(refusal_response(refusal), method, date=self._wheel.date, close=True)
        self._transport.write(reply)
        self._close(linger=True)

    def _refuse_body(self, refusal: FrontRefusal) -> None:
        """End the connection for what its body does, without a second answer to one request."""
        if self._body is not None:
            self._body.break_off()
        if not self._responding:
            self._refuse(refusal)
            return
        type(self).count_refusal(refusal.code)
        if self._busy:
            self._transport.abort()
        else:
            self._close(linger=True)

    def _await_next(self) -> None:
        """Enter the phase that follows from what has arrived."""
        if self._body is not None and not self._body.complete:
            self._window_bytes = 0
            self._enter(BODY, self.settings.body_window_s)
        elif self._busy:
            self._enter(HANDLING, NEVER)
        else:
            self._enter(IDLE, self.settings.idle_s)


def make_protocol(
    handler: Handler, settings: FrontSettings, count_refusal: CountRefusal
) -> type[FrontProtocol]:
    """Return the class that uvicorn takes as ``http=``.

    `handler` answers accepted requests; `count_refusal` is called with the problem code of each
    refusal of the front, and of each fault of the handler.
    """
    return type(
        "DataListenerProtocol",
        (FrontProtocol,),
        {
            "__slots__": (),
            "handler": staticmethod(handler),
            "settings": settings,
            "shares": Shares(settings.connections_max),
            "count_refusal": staticmethod(count_refusal),
        },
    )
