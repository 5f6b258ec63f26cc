"""Control-plane HTTP takes strict JSON from where it may, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from connectors.fetch import Answer, Fetched, FetchFailed, fetch_json, open_client
from connectors.scripted import Act, Repeat, Script, open_scripted

JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def answer(body: bytes, head: bytes = JSON) -> bytes:
    """Return a whole answer."""
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


async def fetch(*script: bytes | Act | Repeat, **settings: Any) -> Fetched:
    """Fetch what the script answers."""
    settings = {"allow_loopback_http": True, **settings}
    async with open_scripted((script,)) as service:
        return await fetch_json(f"{service.base_url}/x?y=z", **settings)


def detail_of(fetching: Coroutine[Any, Any, object]) -> str:
    """Return why fetching failed."""
    with pytest.raises(FetchFailed) as caught:
        asyncio.run(fetching)
    return caught.value.detail


@pytest.mark.parametrize(
    ("cache", "max_age_s"),
    [
        (b"", None),
        (b"cache-control: public, max-age=600\r\n", 600),
        (b"cache-control: no-store, max-age=600\r\n", 0),
        (b"cache-control: s-maxage=600\r\n", None),
        (b"cache-control: max-age=-1\r\n", None),
    ],
)
def test_json_and_its_freshness(cache: bytes, max_age_s: int | None) -> None:
    """The value comes with the time for which it may be kept (RFC 9111, 5.2.2)."""
    fetched = asyncio.run(fetch(answer(b'{"a": [1]}', JSON + cache)))
    assert fetched == Fetched(value={"a": [1]}, max_age_s=max_age_s)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"a":1,"a":2}', b'{"a":NaN}', b'"\xff"', b"[" * 100_000, b'{"a":{"b":1,"b":1}}'],
)
def test_only_strict_json_is_taken(body: bytes) -> None:
    """Repeated members, NaN, bad UTF-8 and bottomless nesting are refused."""
    assert detail_of(fetch(answer(body))) == "the answer is not strict JSON"


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        ((answer(b"{}", JSON.replace(b"200 OK", b"404 No")),), "answered with status 404"),
        (
            (answer(b"{}", b"HTTP/1.1 302 F\r\nlocation: /y\r\ncontent-type: a/json\r\n"),),
            "answered with status 302",
        ),
        ((answer(b"{}", JSON.replace(b"cation/json", b"cation/jsonp")),), "the answer is not JSON"),
        ((answer(b"a" * 101),), "the answer is larger than 100 bytes"),
        ((JSON + b"\r\n", Repeat(part=b"a" * 10)), "the answer is larger than 100 bytes"),
        ((Act.STALL,), "no answer in time"),
        ((JSON, Repeat(part=b"a: b\r\n", every_s=0.02)), "no answer in time"),
        ((Act.CLOSE,), "no usable answer (RemoteProtocolError)"),
    ],
)
def test_what_is_refused(script: Script, detail: str) -> None:
    """Other statuses, redirects, other types, large and slow answers are refused."""
    assert detail_of(fetch(*script, bytes_max=100, timeout_s=0.3)).startswith(detail)


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("http://127.0.0.1:1/", "plain http is allowed to loopback only, and only where told"),
        ("http://example.test/", "plain http is allowed to loopback only, and only where told"),
        ("file:///etc/passwd", "the URL is neither https nor http"),
        ("https://a:b@example.test/", "the URL has a user name, a query or a fragment"),
    ],
)
def test_only_https_unless_loopback_is_allowed(url: str, detail: str) -> None:
    """The scheme is judged before anything is resolved."""
    assert detail_of(fetch_json(url, allow_loopback_http=False)) == detail


@pytest.mark.parametrize("query", ["\x00", "\ud800", "x" * 70_000])
def test_a_url_that_cannot_be_read_fails_like_any_other(query: str) -> None:
    """Whatever is wrong with a URL, FetchFailed alone leaves."""
    url = f"http://127.0.0.1:1/?{query}"

    assert detail_of(fetch_json(url, allow_loopback_http=True)) == "the URL cannot be read"


def test_the_connected_address_is_judged() -> None:
    """U-09: a name that leads to loopback is refused before a byte of TLS is sent."""

    async def run() -> tuple[str, list[bytes]]:
        async with open_scripted(()) as service:
            with pytest.raises(FetchFailed) as caught:
                await fetch_json(f"https://localhost:{service.port}/", allow_loopback_http=False)
            return caught.value.detail, service.requests

    assert asyncio.run(run()) == ("its address is not allowed by the egress rule", [])


def test_nobody_there() -> None:
    """A refused connection is told in a phrase, without the URL."""
    fetching = fetch_json("http://127.0.0.1:1/secret", allow_loopback_http=True)
    assert detail_of(fetching) == "no connection"


def test_a_caller_makes_ordinary_requests() -> None:
    """The command line sees status, fields and the body as they came, and follows nothing."""

    async def run() -> tuple[Answer, list[bytes]]:
        moved = b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 3\r\n\r\nabc"
        async with open_scripted(((moved,),)) as service, open_client() as caller:
            url = f"{service.base_url}/x"
            return await caller.request("PUT", url, {"a": "b"}, b"body"), service.requests

    seen, requests = asyncio.run(run())
    assert seen == Answer(
        status=302, headers=((b"location", b"/y"), (b"content-length", b"3")), body=b"abc"
    )
    assert requests[0].startswith(b"PUT /x HTTP/1.1\r\n")
    assert requests[0].endswith(b"\r\n\r\nbody")


def test_a_caller_fails_in_a_phrase() -> None:
    """Nobody there, and schemes that are not HTTP, are FetchFailed."""

    async def run(url: str) -> None:
        async with open_client() as caller:
            await caller.request("GET", url)

    assert detail_of(run("http://127.0.0.1:1/")) == "no connection"
    assert detail_of(run("ftp://a.test/")) == "no usable answer (UnsupportedProtocol)"
