"""Requests are written byte for byte, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Call, CallFailed, Failure, Headers
from connectors.rendering import NOT_SENT, HeadWriter

WRITER = HeadWriter(b"example.test:8443", b"/base")


def test_a_head_without_a_body() -> None:
    """The target is sent as it is, below the base path, with our own Host."""
    call = Call(method="GET", target=b"/a%2f/..;?x=%00&y=''", headers=((b"accept", b"*/*"),))
    assert WRITER.render(call) == (
        b"GET /base/a%2f/..;?x=%00&y='' HTTP/1.1\r\nhost: example.test:8443\r\naccept: */*\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("POST", b"abc", b"content-length: 3\r\n"),
        ("POST", b"", b"content-length: 0\r\n"),
        ("POST", None, b"content-length: 0\r\n"),
        ("PATCH", None, b"content-length: 0\r\n"),
        ("DELETE", None, b""),
        ("GET", b"ab", b"content-length: 2\r\n"),
    ],
)
def test_the_framing_is_ours(method: str, body: bytes | None, length: bytes) -> None:
    """Content-Length follows from the body and the method (RFC 9110, 8.6)."""
    head = WRITER.render(Call(method=method, target=b"/", body=body))
    assert head.partition(b"8443\r\n")[2] == length + b"\r\n"


@pytest.mark.parametrize("method", ["get", "TRACE", "CONNECT", "GET /x HTTP/1.1\r\nA:", ""])
def test_other_methods_are_not_sent(method: str) -> None:
    """Only the methods of services are known; nothing is injected by one."""
    with pytest.raises(CallFailed):
        WRITER.render(Call(method=method, target=b"/"))


@pytest.mark.parametrize("target", [b"", b"a", b"/a b", b"/a#b", b"/\r\nx: y", b"/\x00", b"/\xff"])
def test_targets_that_could_be_read_twice_are_not_sent(target: bytes) -> None:
    """A space, a fragment, a control or a raw byte in the target is refused."""
    with pytest.raises(CallFailed) as caught:
        WRITER.render(Call(method="GET", target=target))
    assert (caught.value.failure, caught.value.sent) == (Failure.REFUSED, False)


@pytest.mark.parametrize("name", [*sorted(NOT_SENT), b"", b"a b", b"a:", b"A", b"a\r\nb"])
def test_framing_credentials_and_bad_names_are_not_sent(name: bytes) -> None:
    """A call cannot bring framing, a Host, or the caller's credentials."""
    with pytest.raises(CallFailed):
        WRITER.render(Call(method="GET", target=b"/", headers=((name, b"x"),)))


def test_the_gateway_s_credential_is_a_field_of_every_request() -> None:
    """It can be replaced, comes once, and no call can bring a field of its name."""
    writer = HeadWriter(b"example.test", b"")
    call = Call(method="GET", target=b"/", headers=((b"x-api-key", b"forged"),))
    assert b"x-api-key: forged" in writer.render(call)
    for secret in (b"k1", b"k2"):
        writer.authorize(b"x-api-key", secret)
        assert writer.render(Call(method="GET", target=b"/")) == (
            b"GET / HTTP/1.1\r\nhost: example.test\r\nx-api-key: %s\r\n\r\n" % secret
        )
        with pytest.raises(CallFailed):
            writer.render(call)


@given(
    headers=st.lists(
        st.tuples(st.sampled_from([b"accept", b"x-a"]), st.binary(max_size=20)), max_size=4
    ).map(tuple)
)
def test_no_value_makes_a_line_of_its_own(headers: Headers) -> None:
    """Whatever the values are, the head has one line for each field, or is not sent."""
    try:
        head = WRITER.render(Call(method="GET", target=b"/", headers=headers))
    except CallFailed:
        assert any(set(value) & {*range(9), *range(10, 32), 127} for _, value in headers)
    else:
        lines = head.split(b"\r\n")
        assert lines[2:-2] == [name + b": " + value for name, value in headers]


def test_a_body_in_pieces_has_a_length_or_chunks() -> None:
    """Framing is ours, and never both (RFC 9112, section 6.2)."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"

    sized = WRITER.render(Call(method="PUT", target=b"/", body=pieces(), body_bytes=3))
    chunked = WRITER.render(Call(method="PUT", target=b"/", body=pieces()))
    assert sized.endswith(b"\r\ncontent-length: 3\r\n\r\n")
    assert b"transfer-encoding" not in sized
    assert chunked.endswith(b"\r\ntransfer-encoding: chunked\r\n\r\n")
    assert b"content-length" not in chunked
