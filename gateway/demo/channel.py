"""HTTP as a consumer's application speaks it: one request, one whole answer, nothing followed."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from connectors.base import Headers
from connectors.fetch import Caller, FetchFailed, open_client

TIMEOUT_S: Final = 30.0


class ChannelFailed(Exception):
    """No answer came; the message names the address and what went wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole HTTP answer; header names are in lower case, values of equal names are joined."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """The media type without parameters, in lower case; empty if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """Return the body as JSON values.

        Raises:
            ValueError: it is not JSON, or is nested too deeply.
        """
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None


class Channel:
    """Keeps connections open between requests; a context manager, used from one thread."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S) -> None:
        """Give each step of a request (connect, send, receive) `timeout_s`."""
        self._timeout_s: Final = timeout_s
        self._runner: Final = asyncio.Runner()
        self._closing: Final = AsyncExitStack()
        self._client: Caller | None = None

    def __enter__(self) -> Channel:
        """Open the channel."""
        opening = self._closing.enter_async_context(open_client(timeout_s=self._timeout_s))
        self._client = self._runner.run(_awaited(opening))
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection."""
        self._runner.run(self._closing.aclose())
        self._runner.close()

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send one request and read its answer. Redirects are answers; no proxy is asked.

        Raises:
            ChannelFailed: the URL is none or not https (or loopback), the method is none of HTTP,
                or no whole answer came in time.
        """
        assert self._client is not None, "opened by `with`"  # noqa: S101 - a programmer's mistake
        try:
            parts = urlsplit(url)
            _ = parts.port  # which is read only when it is asked for
        except ValueError as error:
            raise ChannelFailed(f"{url} is no URL: {error}") from None
        if not method.isascii():
            raise ChannelFailed(f"{method!r} is not a method of HTTP")
        allowed = parts.scheme == "http" and _is_loopback(parts.hostname)
        if parts.scheme != "https" and not allowed:
            raise ChannelFailed(f"{url} is neither https nor on this machine's loopback")
        try:
            answer = self._runner.run(self._client.request(method, url, headers, body))
        except FetchFailed as failure:
            raise ChannelFailed(f"{parts.scheme}://{parts.netloc}: {failure.detail}") from None
        return Answer(status=answer.status, headers=_joined(answer.headers), body=answer.body)

    def post_form(
        self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Post `form`, URL-encoded; raises ChannelFailed like `send`."""
        fields = {"content-type": "application/x-www-form-urlencoded", **(headers or {})}
        return self.send("POST", url, headers=fields, body=urlencode(form).encode("ascii"))


async def _awaited(opening: Awaitable[Caller]) -> Caller:
    return await opening


def _joined(headers: Headers) -> dict[str, str]:
    """Return header fields by name; several of one name are one list (RFC 9110, section 5.2)."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
