"""The same front and handler as an ASGI application, for one-port installations and tests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final

from gateway.errors import ProblemCode
from gateway.exchange.front.bodies import NO_BODY, read_whole
from gateway.exchange.front.heads import PRINTABLE
from gateway.exchange.front.protocol import CountRefusal, Handler
from gateway.exchange.front.replies import (
    FRAMING_FIELDS,
    closing,
    has_content,
    internal_error,
    refusal_response,
)
from gateway.exchange.front.rules import FrontSettings, Head, check_head
from gateway.exchange.messages import (
    BodyTooLarge,
    ClientGone,
    FrontRefusal,
    Request,
    RequestBody,
    Response,
)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_LOG: Final = logging.getLogger("concordat.front")
_STRANGE_OCTET: Final = FrontRefusal(
    code=ProblemCode.MALFORMED_REQUEST, detail="A header field has a strange character."
)
_BROKEN_OFF: Final = FrontRefusal(
    code=ProblemCode.MALFORMED_BODY, detail="The body broke off before its end."
)


class FrontApp:
    """An ASGI application that judges requests like `FrontProtocol`, after a server's parser.

    It cannot see what that parser has lost: lines that end in LF, folded lines, a fragment or an
    authority in the target, trailer fields that the server has merged into the head, how slowly
    the octets came, and whether the caller's connection is the one that TLS was bound to.
    `concordat serve` therefore uses `FrontProtocol`; behind this, caps and time limits are the
    server's.
    """

    def __init__(
        self, handler: Handler, settings: FrontSettings, count_refusal: CountRefusal
    ) -> None:
        """Take what `make_protocol` takes; only the limits of a head apply."""
        self._handler = handler
        self._settings = settings
        self._count_refusal = count_refusal
        self._tasks: set[asyncio.Task[Response]] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request; raises what the response's body raises, so that it is cut off."""
        assert scope["type"] == "http", "mounted for HTTP only"  # noqa: S101 - programmer's error
        verdict = self._judge(scope)
        if isinstance(verdict, FrontRefusal):
            self._count_refusal(verdict.code)
            await _send(refusal_response(verdict), scope["method"], send)
            return
        body: RequestBody = NO_BODY
        if verdict.body_bytes != 0:
            body = _AsgiBody(receive, expected_bytes=verdict.body_bytes)
        task = asyncio.get_running_loop().create_task(self._answer(_request(verdict, scope, body)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Its record must be written, even if the server gives the caller up.
        await _send(await asyncio.shield(task), verdict.method, send)

    def _judge(self, scope: Message) -> Head | FrontRefusal:
        # llhttp leaves the spaces after a value in place (RFC 9112, section 5.1).
        headers = tuple([(name, value.strip(b" ")) for name, value in scope["headers"]])
        if len(headers) > self._settings.header_count_max:
            return FrontRefusal(
                code=ProblemCode.HEADERS_TOO_LARGE, detail="There are too many header fields."
            )
        if sum(len(name) + len(value) for name, value in headers) > self._settings.head_bytes_max:
            return FrontRefusal(
                code=ProblemCode.HEADERS_TOO_LARGE, detail="The header fields exceed 32 KiB."
            )
        if any(
            name.translate(None, PRINTABLE) + value.translate(None, PRINTABLE)
            for name, value in headers
        ):
            return _STRANGE_OCTET
        query = scope["query_string"]
        return check_head(
            scope["method"].encode("latin-1", "replace"),
            scope["raw_path"] + (b"?" + query if query else b""),
            b"HTTP/" + scope["http_version"].encode("latin-1", "replace"),
            headers,
            settings=self._settings,
            secure=scope["scheme"] == "https",
        )

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._handler(request)
        except ClientGone:
            return refusal_response(_BROKEN_OFF)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets only a 500
            self._count_refusal(ProblemCode.INTERNAL_ERROR)
            return internal_error(error, _LOG)


def _request(head: Head, scope: Message, body: RequestBody) -> Request:
    return Request(
        method=head.method,
        target=head.target,
        headers=head.headers,
        host=head.host,
        source=scope["client"][0] if scope.get("client") else "",
        secure=scope["scheme"] == "https",
        has_body=head.body_bytes != 0,
        body_bytes=head.body_bytes,
        body=body,
    )


async def _send(response: Response, method: str, send: Send) -> None:
    headers = [pair for pair in response.headers if pair[0] not in FRAMING_FIELDS]
    content = has_content(method, response.status)
    body = response.body
    if isinstance(body, bytes) and (content or (method == "HEAD" and body)):
        headers.append((b"content-length", b"%d" % len(body)))
    if response.close:
        headers.append((b"connection", b"close"))
    start = {"type": "http.response.start", "status": response.status, "headers": headers}
    if isinstance(body, bytes):
        await send(start)
        await send({"type": "http.response.body", "body": body if content else b""})
        return
    async with closing(body):
        await send(start)
        async for chunk in body:
            if content and chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


class _AsgiBody:
    """A request body that a server hands over in messages."""

    def __init__(self, receive: Receive, *, expected_bytes: int | None) -> None:
        self._receive = receive
        self._expected_bytes = expected_bytes

    async def read(self, bytes_max: int) -> bytes:
        """Read it whole; raises BodyTooLarge beyond `bytes_max`, ClientGone if it breaks off."""
        if self._expected_bytes is not None and self._expected_bytes > bytes_max:
            raise BodyTooLarge
        return await read_whole(self.chunks(), bytes_max)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield it as it arrives; raises `ClientGone` if it breaks off."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            more = message.get("more_body", False)
            if message.get("body"):
                yield message["body"]
