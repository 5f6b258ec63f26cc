"""The conformance suite for kinds that reach a service over HTTP: how bad services must end.

Run it in your own tests, with any test framework:

    @pytest.mark.parametrize("case", conformance_cases(), ids=str)
    def test_conformance(case): asyncio.run(check(case, lambda url: open_mine(MySettings(url))))
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from connectors.base import Call, CallFailed, Connector, Failure
from connectors.cases import (
    CATALOGUE,
    REQUEST_ID,
    SECOND,
    TARGET,
    Answered,
    Case,
    conformance_cases,
)
from connectors.scripted import open_scripted

__all__ = ["CATALOGUE", "Answered", "Breach", "Case", "OpenAt", "check", "conformance_cases"]

BODY_BYTES_MAX: Final = 64 * 1024
"""What the suite reads of an answer."""


class Breach(AssertionError):
    """A connector did not do what the case promises."""


OpenAt = Callable[[str], AbstractAsyncContextManager[Connector]]
"""Opens the connector under test at a base URL: plain HTTP on loopback, which it has to allow, or
https at an address that it must not reach."""


async def check(case: Case, open_at: OpenAt) -> None:
    """Play `case` to the connector, then one good call: nothing may be left over for it.

    Raises:
        Breach: saying what the connector did instead.
    """
    call = _call(case)
    if case.base_url is not None:
        async with open_at(case.base_url) as connector:
            _compare(case, await _verdict(connector, call, sent=False))
        return
    async with (
        open_scripted((case.script, (SECOND,))) as service,
        open_at(service.base_url) as connector,
    ):
        _compare(case, await _verdict(connector, call, in_pieces=case.in_pieces))
        if len(service.requests) != 1:
            raise Breach(f"{case}: the service was asked {len(service.requests)} times")
        if service.requests[0].split(b" ", 2)[1] != TARGET:
            raise Breach(f"{case}: the target was not sent byte for byte")
        if not isinstance(case.verdict, Failure) and case.verdict.status == 200:
            head, _, body = service.requests[0].partition(b"\r\n\r\n")
            if (body if case.sized else _unchunked(head, body)) != b"".join(case.sent):
                raise Breach(f"{case}: the body that arrived is not the one that was sent")
        second = await _verdict(connector, Call(method="GET", target=b"/second"))
        if not isinstance(second, _Seen) or second.body != b"second":
            raise Breach(f"{case}: the next call got {second}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    status: int
    body: bytes
    fields: frozenset[bytes]
    delimited_by_close: bool


def _call(case: Case) -> Call:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in case.sent:
            yield piece

    return Call(
        method=case.method,
        target=TARGET,
        headers=((b"x-request-id", REQUEST_ID),),
        body=pieces() if case.sent else None,
        body_bytes=sum(map(len, case.sent)) if case.sized else None,
        deadline_s=case.deadline_s,
        idle_s=case.idle_s,
        stream_s=case.stream_s,
    )


def _unchunked(head: bytes, body: bytes) -> bytes:
    """Return the content of a request that came in chunks, if it did (RFC 9112, section 7.1)."""
    if b"\r\ntransfer-encoding: chunked" not in head.lower():
        return body
    content = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return content
        content, body = content + body[:length], body[length + 2 :]


async def _verdict(
    connector: Connector, call: Call, *, sent: bool = True, in_pieces: bool = False
) -> Failure | _Seen:
    try:
        reply = await connector.call(call)
        try:
            if in_pieces:
                body = b"".join([piece async for piece in reply.chunks()])
            else:
                body = await reply.read(BODY_BYTES_MAX)
        finally:
            await reply.release()
    except CallFailed as failed:
        if failed.sent != sent:
            reached = "reached the service" if sent else "could not reach the service"
            raise Breach(f"a call that {reached} says otherwise ({failed.detail})") from None
        return failed.failure
    fields = frozenset(name for name, _ in reply.headers)
    return _Seen(
        status=reply.status,
        body=body,
        fields=fields,
        delimited_by_close=reply.delimited_by_close,
    )


def _compare(case: Case, seen: Failure | _Seen) -> None:
    wanted = case.verdict
    if isinstance(wanted, Failure) or isinstance(seen, Failure):
        if seen != wanted:
            raise Breach(f"{case}: {seen} instead of {wanted}")
        return
    if (seen.status, seen.body) != (wanted.status, wanted.body):
        raise Breach(f"{case}: another answer than the service's: {seen.status}")
    if seen.delimited_by_close != wanted.delimited_by_close:
        raise Breach(f"{case}: delimited_by_close is {seen.delimited_by_close}")
    passed_on = seen.fields & wanted.fields_absent
    if passed_on:
        raise Breach(f"{case}: passed on {sorted(passed_on)}")
