"""Body framing: where a body ends, and that trailers go nowhere."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.front.chunked import (
    CHUNK_LINE_BYTES_MAX,
    TRAILER_BYTES_MAX,
    ChunkedDecoder,
    FramingFault,
    LengthDecoder,
)


def _decode(*segments: bytes) -> tuple[bytes, bytes]:
    decoder = ChunkedDecoder()
    content = b"".join(piece for segment in segments for piece in decoder.decode(segment))
    assert decoder.complete
    return content, decoder.rest


@pytest.mark.parametrize(
    ("wire", "content", "rest"),
    [
        (b"0\r\n\r\n", b"", b""),
        (b"5\r\nhello\r\n0\r\n\r\nGET /", b"hello", b"GET /"),
        (b"00A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", b""),
        (b'3;a;b=c;d="e\\"f"\r\nabc\r\n0;x\r\n\r\n', b"abc", b""),
        pytest.param(
            b"1\r\na\r\n0\r\nAuthorization: Bearer x\r\nHost: evil\r\n\r\nnext",
            b"a",
            b"next",
            id="H-02-trailers-are-thrown-away",
        ),
    ],
)
def test_chunks_are_decoded(wire: bytes, content: bytes, rest: bytes) -> None:
    """Content, extensions, trailers and what follows are told apart, however the wire is cut."""
    assert _decode(wire) == (content, rest)
    whole = wire.removesuffix(rest)
    assert _decode(*(whole[at : at + 1] for at in range(len(whole)))) == (content, b"")


_BAD_CHUNKS = {
    "F-07": [b"0x5", b"5_0", b"+5", b" 5", b"5 ", b"", b"F" * 17, b"-1", b"G"],
    "F-09": [b"5;a\rb", b'5;a="b', b"5; a", b"5;", b"5;" + b"a" * CHUNK_LINE_BYTES_MAX],
}


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(line + b"\r\nhello\r\n0\r\n\r\n", id=f"{name}-{line[:20]!r}")
        for name, lines in _BAD_CHUNKS.items()
        for line in lines
    ]
    + [
        pytest.param(b"5\r\nhelloXX0\r\n\r\n", id="F-08-two-octets"),
        pytest.param(b"5\r\nhello\n0\r\n\r\n", id="F-08-lf"),
        pytest.param(b"5\r\nhello\r0\r\n\r\n", id="F-08-cr"),
        pytest.param(b"5\nhello\r\n0\r\n\r\n", id="F-10-lf"),
        pytest.param(b"0\r\nno colon\r\n\r\n", id="H-02-trailer-syntax"),
        pytest.param(b"0\r\nX\x00: y\r\n\r\n", id="H-02-trailer-octet"),
        pytest.param(b"0\r\n" + b"X: y\r\n" * TRAILER_BYTES_MAX, id="H-03-trailers"),
        pytest.param(b"0\r\nX: " + b"y" * TRAILER_BYTES_MAX, id="H-03-one-trailer"),
    ],
)
def test_a_chunk_that_breaks_the_grammar_is_a_fault(wire: bytes) -> None:
    """Sizes, extensions, chunk ends and trailers have one spelling and a limit."""
    with pytest.raises(FramingFault):
        ChunkedDecoder().decode(wire)
    with pytest.raises(FramingFault):
        _decode(*(wire[at : at + 1] for at in range(len(wire))))


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=30), max_size=8),
    rest=st.binary(max_size=10),
    cut=st.integers(min_value=0, max_value=200),
)
def test_what_is_chunked_is_found_again(chunks: list[bytes], rest: bytes, cut: int) -> None:
    """Encoding and decoding are inverse, wherever the wire is cut."""
    wire = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    cut = min(cut, len(wire) - 1)
    assert _decode(wire[:cut], wire[cut:] + rest) == (b"".join(chunks), rest)


@given(st.binary(max_size=60))
def test_any_octets_are_chunks_or_a_fault(wire: bytes) -> None:
    """The decoder raises nothing but its own fault."""
    with contextlib.suppress(FramingFault):
        ChunkedDecoder().decode(wire)


def test_a_length_is_counted() -> None:
    """Exactly the announced octets belong to the body (F-13)."""
    decoder = LengthDecoder(5)
    assert (decoder.decode(b"he"), decoder.complete) == ([b"he"], False)
    assert (decoder.decode(b"lloGET /"), decoder.complete) == ([b"llo"], True)
    assert decoder.rest == b"GET /"
