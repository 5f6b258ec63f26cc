"""HTTP off the hot path: issuers' metadata and keys, and the calls of the command line."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NoReturn

import httpx2

from connectors.base import Headers
from connectors.egress import EgressDenied, EgressRule
from connectors.origin import BaseUrlInvalid, Origin

JSON_BYTES_MAX: Final = 1024 * 1024
"""Size of a JSON document, unless the caller says otherwise."""
FETCH_TIMEOUT_S: Final = 5.0
"""Time for a whole fetch, unless the caller says otherwise."""
ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
"""Size of an answer that a Caller keeps."""

_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])", re.IGNORECASE)
_JSON_TYPE: Final = re.compile(r"application/(?:[a-z0-9.-]+\+)?json", re.IGNORECASE)
_CONNECTED: Final = "connection.connect_tcp.complete"


class FetchFailed(Exception):
    """A fetch brought nothing usable; `detail` is one phrase for an operator, without content."""

    def __init__(self, detail: str) -> None:
        """Keep `detail` free of what was sent and received."""
        super().__init__(detail)
        self.detail: Final = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A JSON document, and for how long its server says that it holds (None: it does not say)."""

    value: object
    max_age_s: int | None
    date: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer, its header names in lower case."""

    status: int
    headers: Headers
    body: bytes


async def fetch_json(
    url: str,
    *,
    allow_loopback_http: bool,
    bytes_max: int = JSON_BYTES_MAX,
    timeout_s: float = FETCH_TIMEOUT_S,
) -> Fetched:
    """Get a JSON document that is answered with 200.

    Only https, and http to loopback where that is allowed; the connected address is judged before
    anything is sent; no redirects, no proxies or credentials from the environment.

    Raises:
        FetchFailed: for everything else, such as another media type or a repeated member.
    """
    try:
        request = httpx2.Request("GET", _checked(url, allow_loopback_http), headers=_JSON_WANTED)
    except (httpx2.InvalidURL, UnicodeError):
        raise FetchFailed("the URL cannot be read") from None
    rule = EgressRule(allow_loopback=allow_loopback_http)
    response, body = await _exchange(request, rule, bytes_max, timeout_s)
    if response.status_code != 200:
        raise FetchFailed(f"answered with status {response.status_code}")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip()
    if _JSON_TYPE.fullmatch(media_type) is None:
        raise FetchFailed("the answer is not JSON by its media type")
    return Fetched(
        value=parse_json(body),
        max_age_s=_max_age_s(response.headers.get("cache-control")),
        date=response.headers.get("date", ""),
    )


async def post_form(
    url: str,
    form: str,
    headers: Mapping[str, str],
    *,
    allow_loopback_http: bool,
    rule: EgressRule,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """Post a form to where `fetch_json` may get from, and return the whole answer.

    `rule` judges the connected address; `tls` verifies the server instead of the system's
    authorities, and may show it a certificate.

    Raises:
        FetchFailed: without an answer of at most `JSON_BYTES_MAX` in `FETCH_TIMEOUT_S`.
    """
    named = {**headers, **_JSON_WANTED, "content-type": "application/x-www-form-urlencoded"}
    try:
        checked = _checked(url, allow_loopback_http)
        request = httpx2.Request("POST", checked, headers=named, content=form.encode("ascii"))
    except (httpx2.InvalidURL, UnicodeError):
        raise FetchFailed("the URL cannot be read") from None
    response, body = await _exchange(request, rule, JSON_BYTES_MAX, FETCH_TIMEOUT_S, tls)
    answered = tuple((name.lower(), value) for name, value in response.headers.raw)
    return Answer(status=response.status_code, headers=answered, body=body)


async def post_json(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    rule: EgressRule,
    tls: ssl.SSLContext | None = None,
    timeout_s: float = FETCH_TIMEOUT_S,
) -> Answer:
    """Post a JSON document by https, or by http to loopback, and return the whole answer.

    `rule` and `tls` as for `post_form`.

    Raises:
        FetchFailed: without an answer of at most `JSON_BYTES_MAX` in time.
    """
    named = {**headers, **_JSON_WANTED, "content-type": "application/json"}
    try:
        request = httpx2.Request("POST", _checked(url, True), headers=named, content=body)
    except (httpx2.InvalidURL, UnicodeError):
        raise FetchFailed("the URL cannot be read") from None
    response, content = await _exchange(request, rule, JSON_BYTES_MAX, timeout_s, tls)
    answered = tuple((name.lower(), value) for name, value in response.headers.raw)
    return Answer(status=response.status_code, headers=answered, body=content)


class Caller:
    """Makes ordinary requests for a person at the command line; it follows no redirect."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        """Use `client`, which `open_client` closes."""
        self._client = client

    async def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send one request and return the whole answer; raises FetchFailed."""
        try:
            request = self._client.build_request(method, url, headers=headers, content=body or None)
            response = await self._client.send(request, stream=True)
            try:
                content = await _read(response, ANSWER_BYTES_MAX)
            finally:
                await response.aclose()
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            _fail(error)
        answered = tuple((name.lower(), value) for name, value in response.headers.raw)
        return Answer(status=response.status_code, headers=answered, body=content)


@asynccontextmanager
async def open_client(*, timeout_s: float = 30.0) -> AsyncIterator[Caller]:
    """Open a Caller whose steps (connect, send, receive) take up to `timeout_s` each."""
    async with httpx2.AsyncClient(timeout=timeout_s, trust_env=False, verify=_tls()) as client:
        yield Caller(client)


_JSON_WANTED: Final = {"accept": "application/json", "accept-encoding": "identity"}


@cache
def _tls() -> ssl.SSLContext:
    """Return the one TLS context: reading the authorities from disk takes tens of milliseconds."""
    return ssl.create_default_context()


def _checked(url: str, allow_loopback_http: bool) -> str:
    """Return `url` if its scheme and host may be fetched from."""
    base_url, _, _ = url.partition("?")
    try:
        Origin.parse(base_url, allow_loopback=allow_loopback_http)
    except BaseUrlInvalid as error:
        raise FetchFailed(str(error).replace("base URL", "URL")) from None
    return url


async def _exchange(
    request: httpx2.Request,
    rule: EgressRule,
    bytes_max: int,
    timeout_s: float,
    tls: ssl.SSLContext | None = None,
) -> tuple[httpx2.Response, bytes]:
    async def judge_address(event: str, info: Mapping[str, Any]) -> None:
        if event == _CONNECTED:
            stream = info["return_value"]
            if not rule.allows(str(stream.get_extra_info("server_addr")[0])):
                await stream.aclose()
                raise EgressDenied("its address is not allowed by the egress rule")

    request.extensions["trace"] = judge_address
    try:
        async with (
            asyncio.timeout(timeout_s),
            httpx2.AsyncClient(timeout=timeout_s, trust_env=False, verify=tls or _tls()) as client,
        ):
            response = await client.send(request, stream=True)
            try:
                return response, await _read(response, bytes_max)
            finally:
                await response.aclose()
    except (httpx2.HTTPError, OSError, EgressDenied) as error:
        _fail(error)


async def _read(response: httpx2.Response, bytes_max: int) -> bytes:
    parts = bytearray()
    async for part in response.aiter_raw():
        parts += part
        if len(parts) > bytes_max:
            raise FetchFailed(f"the answer is larger than {bytes_max} bytes")
    return bytes(parts)


def parse_json(body: bytes) -> object:
    """Return the value of a JSON text (RFC 8259) whose objects name each member once.

    Raises:
        FetchFailed: for anything else.
    """
    try:
        value: object = json.loads(
            body.decode("utf-8"), object_pairs_hook=_once_each, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise FetchFailed("the answer is not strict JSON") from None
    return value


def _once_each(members: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("a member is repeated")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _max_age_s(cache_control: str | None) -> int | None:
    """Return the freshness lifetime of RFC 9111, 5.2.2; 0 where the answer must not be reused."""
    if cache_control is None:
        return None
    words = cache_control.lower()
    if "no-store" in words or "no-cache" in words:
        return 0
    found = _MAX_AGE.search(cache_control)
    return None if found is None else int(found[1])


def _fail(error: Exception) -> NoReturn:
    """Tell in a phrase why nothing came; library texts may hold the URL and stay out."""
    if isinstance(error, EgressDenied):
        raise FetchFailed(str(error)) from None
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        raise FetchFailed("no answer in time") from None
    if isinstance(error, httpx2.ConnectError):
        raise FetchFailed("no connection") from None
    raise FetchFailed(f"no usable answer ({type(error).__name__})") from None
