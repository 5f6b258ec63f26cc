"""The octets of a head: strict lines, and the same verdict however they are cut."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProblemCode
from gateway.exchange.front.heads import (
    HEAD_BYTES_MAX,
    HEADER_COUNT_MAX,
    RawHead,
    find_head_end,
    split_head,
    unfinished_fault,
)
from gateway.exchange.messages import FrontRefusal

_LINE = b"GET /a HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("received", "end"),
    [(b"a\r\n\r\nb", 1), (b"\r\na\r\n\r\n", 3), (b"\r\n\r\n", -1), (b"a\r\n\r", -1), (b"", -1)],
)
def test_the_end_of_a_head_is_found(received: bytes, end: int) -> None:
    """It is the first empty line, but for one that comes before everything (F-17)."""
    assert find_head_end(received) == end


def test_a_head_is_split() -> None:
    """Names come in lower case, values without the spaces around them."""
    assert split_head(b"\r\n" + _LINE + b"Host: a\r\nX-Y:  b c  \r\nEmpty:") == RawHead(
        b"GET", b"/a", b"HTTP/1.1", [(b"host", b"a"), (b"x-y", b"b c"), (b"empty", b"")]
    )


_BAD_HEADS = {
    "F-03": [_LINE + b"Content-Length:\x0b5"],
    "F-04": [_LINE + b"Transfer-Encoding: chunked\t", _LINE + b"Transfer-Encoding: \x0bchunked"],
    "F-06": [
        _LINE + b"Transfer-Encoding\t: chunked",
        _LINE + b" Transfer-Encoding: chunked",
        _LINE + b"Transfer Encoding: chunked",
    ],
    "F-10": [
        b"GET /a HTTP/1.1\nHost: a",
        _LINE + b"Host: a\nX: y",
        _LINE + b"Host: a\rX: y",
        _LINE + b"Host: a\r\rX: y\n\n",
    ],
    "F-11": [_LINE + b"Host: a\x00b"],
    "F-16": [
        b"GET /a HTTP/1.1 x",
        b"GET  /a HTTP/1.1",
        b"GET /a",
        b"GET /a HTTP/11",
        b"GET /a http/1.1",
        b"GET\t/a HTTP/1.1",
        b" GET /a HTTP/1.1",
        b"",
    ],
    "F-17": [b"\r\n\r\n" + _LINE + b"Host: a"],
    "F-18": [b"\x16\x03\x01\x02\x00\x01", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2"],
    "H-08": [
        _LINE + b": x",
        _LINE + b"na me: x",
        _LINE + b"na\xefme: x",
        _LINE + b"na(me: x",
        _LINE + b"name: \x7f",
        _LINE + b"name: \xff",
    ],
    "H-09": [_LINE + b"Host : a", _LINE + b"Host: a\r\n folded", _LINE + b"no colon"],
    "H-12": [_LINE + b"X-A\x85: b", _LINE + b"X-A\xa0: b"],
    "P-11": [b"GET /caf\xc3\xa9 HTTP/1.1", b"GET /a b HTTP/1.1"],
}


@pytest.mark.parametrize(
    "raw",
    [pytest.param(raw, id=f"{name}-{raw!r}") for name, raws in _BAD_HEADS.items() for raw in raws],
)
def test_a_head_that_breaks_the_grammar_is_refused(raw: bytes) -> None:
    """No leniency of RFC 9112 is used: each has been a way to smuggle a request."""
    verdict = split_head(raw)
    assert isinstance(verdict, FrontRefusal)
    assert verdict.code is ProblemCode.MALFORMED_REQUEST


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(_LINE + b"\r\n".join([b"a: b"] * (HEADER_COUNT_MAX + 1)), id="H-08-count"),
        pytest.param(_LINE + b"n" * 10_000 + b": b", id="H-08-name"),
    ],
)
def test_fields_have_limits(raw: bytes) -> None:
    """Too many fields, or too long a name, are 431."""
    verdict = split_head(raw)
    assert isinstance(verdict, FrontRefusal)
    assert verdict.code is ProblemCode.HEADERS_TOO_LARGE


@pytest.mark.parametrize(
    ("received", "code"),
    [
        (b"", None),
        (b"GET /a HTTP/1.1\r", None),
        (b"GET /a HTTP/1.1\r\nHost: a\r\n", None),
        (b"GET /a HTTP/1.1\n", ProblemCode.MALFORMED_REQUEST),
        (b"GET /a HTTP/1.1\rX", ProblemCode.MALFORMED_REQUEST),
        (b"\x16\x03\x01", ProblemCode.MALFORMED_REQUEST),
        (_LINE + b"a" * HEAD_BYTES_MAX, ProblemCode.HEADERS_TOO_LARGE),
        (b"GET /" + b"a" * HEAD_BYTES_MAX, ProblemCode.URI_TOO_LONG),
        (_LINE + b"\x00" + b"a" * HEAD_BYTES_MAX, ProblemCode.MALFORMED_REQUEST),
        (_LINE + b"a" * HEAD_BYTES_MAX + b"\x00", ProblemCode.HEADERS_TOO_LARGE),
    ],
)
def test_an_unfinished_head_is_judged_at_once(received: bytes, code: ProblemCode | None) -> None:
    """Octets that can never be a head need no deadline to be refused."""
    fault = unfinished_fault(received)
    assert (fault and fault.code) == code


class _Recorder:
    """What httptools, another parser, makes of a head."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.begun = 0

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))


_TEXT = st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
_FIELDS = st.lists(
    st.tuples(st.from_regex(r"\AX-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,8}\Z"), _TEXT), max_size=6
)


@given(
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    path=st.from_regex(r"\A/[A-Za-z0-9/.?=&%_-]{0,20}\Z"),
    fields=_FIELDS,
)
def test_another_parser_reads_what_we_accept_alike(
    method: str, path: str, fields: list[tuple[str, str]]
) -> None:
    """httptools (llhttp) finds the same method, target and fields in every accepted head."""
    raw = "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in fields)]).encode()
    ours = split_head(raw)
    assert isinstance(ours, RawHead)
    recorder = _Recorder()
    theirs = httptools.HttpRequestParser(recorder)
    theirs.feed_data(raw + b"\r\n\r\n")
    assert recorder.begun == 1
    assert (theirs.get_method(), recorder.target) == (ours.method, ours.target)
    # llhttp leaves the spaces after a value in place.
    assert [(name, value.strip(b" ")) for name, value in recorder.headers] == ours.headers


@given(
    st.binary(max_size=80)
    | st.lists(st.sampled_from([b"\r", b"\n", b"a", b":", b" "])).map(b"".join)
)
def test_any_octets_give_a_head_or_a_refusal(raw: bytes) -> None:
    """The splitter is total, and refuses the whole where it has refused a part."""
    verdict = split_head(raw)
    if unfinished_fault(raw) is not None:
        assert isinstance(verdict, FrontRefusal)
