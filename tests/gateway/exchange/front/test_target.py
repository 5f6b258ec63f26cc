"""Targets: one canonical spelling (P- ids of the bad input catalogue), or a refusal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProblemCode
from gateway.exchange.front.target import (
    PARAMETERS_MAX,
    SEGMENTS_MAX,
    TARGET_BYTES_MAX,
    read_target,
)
from gateway.exchange.messages import FrontRefusal, Target


@pytest.mark.parametrize(
    ("raw", "path", "segments", "parameters"),
    [
        (b"/", "/", (), ()),
        (b"/a/b-1._~", "/a/b-1._~", ("a", "b-1._~"), ()),
        (b"/a/", "/a/", ("a", ""), ()),
        (b"/urn:x@y,z;"[:-1], "/urn:x@y,z", ("urn:x@y,z",), ()),
        (b"/caf%C3%A9/a%20b", "/café/a b", ("café", "a b"), ()),
        (b"/a%3Fx%23y", "/a?x#y", ("a?x#y",), ()),
        (b"/a?", "/a", ("a",), ()),
        (b"/a?b=1&b=2&c&d=", "/a", ("a",), (("b", "1"), ("b", "2"), ("c", ""), ("d", ""))),
        (b"/a?q=x+y%20z%2B&k=a%3bb", "/a", ("a",), (("q", "x y z+"), ("k", "a;b"))),
        (b"/a?u=http://b/?c=/../d", "/a", ("a",), (("u", "http://b/?c=/../d"),)),
    ],
)
def test_a_canonical_target_is_read(
    raw: bytes,
    path: str,
    segments: tuple[str, ...],
    parameters: tuple[tuple[str, str], ...],
) -> None:
    """Path, segments and parameters are decoded once, and the octets stay as they came."""
    assert read_target(raw) == Target(raw=raw, path=path, segments=segments, parameters=parameters)


_BAD_PATHS = {
    "P-01": [b"/d/a/../b/x", b"/..", b"/d/.."],
    "P-02": [b"/d/a/%2e%2e/b/x", b"/d/a/%2E%2e/b", b"/d/a/.%2e/b", b"/d/%2E"],
    "P-03": [b"/d/a/..;/b", b"/..;jsessionid=1/", b"/;x=/../b", b"/d/a%3Bx"],
    "P-04": [b"/d/a%2f..%2fb", b"/d/a%2Fb", b"/d/a%5cb", b"/d/a%5Cb", b"/d\\..\\b"],
    "P-05": [b"//d/b", b"/d//b", b"///", b"/d/./b", b"/d/b/."],
    "P-06": [b"/....//b", b"/d/.../b", b"/%2e%2e%2e%2e//b"],
    "P-07": [b"/d/%252e%252e%252fb", b"/d/%252E"],
    "P-08": [
        b"/%c0%ae",
        b"/%C0%AE",
        b"/%E0%80%AE",
        b"/%FF",
        b"/%ED%A0%80",
        b"/e%CC%81",
        b"/a%EF%BC%8Fb",
        b"/%EF%BC%8E%EF%BC%8E/b",
        b"/a%E2%80%AEb",
    ],
    "P-09": [b"/a%00", b"/a%0d%0ab", b"/a%0A", b"/a%09b", b"/a%20", b"/%20a", b"/a%7F"],
    "P-10": [b"/%zz", b"/%", b"/a%2", b"/%%", b"/a%c3%a9"],
    "P-11": [b"/caf\xc3\xa9", b"/a b", b"/a\tb", b'/a"b', b"/a<b>", b"/a\x00"],
    "P-13": [b"/a#/x", b"/#"],
    "P-14": [b"*", b"foo", b"?x", b"", b"a:443"],
    "P-16": [b"/d/a%0d%0aX-Evil:%201", b"/d/a%0D%0AX-Evil:%201"],
    "P-19": [b"/%64/a", b"/%7Ea", b"/%5F", b"/%2D", b"/%30", b"/%5A", b"/%4f"],
    "P-21": [b"/d/b;/d/a"],
}


@pytest.mark.parametrize(
    "raw",
    [pytest.param(raw, id=f"{name}-{raw!r}") for name, raws in _BAD_PATHS.items() for raw in raws],
)
def test_a_path_with_two_readings_is_refused(raw: bytes) -> None:
    """Whatever two systems could read differently is refused, not repaired."""
    verdict = read_target(raw)
    assert isinstance(verdict, FrontRefusal)
    assert verdict.code is ProblemCode.PATH_NOT_CANONICAL


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"/a?b=1;c=2", id="P-22-semicolon"),
        pytest.param(b"/a?b=1&&c=2", id="P-22-empty-pair"),
        pytest.param(b"/a?nhs[]=1", id="P-22-brackets"),
        pytest.param(b"/a?b=%zz", id="P-10-query"),
        pytest.param(b"/a?b=%C0%AE", id="P-08-query"),
        pytest.param(b"/a?b=%0d%0a", id="P-16-query"),
        pytest.param(b"/a?b=\xc3\xa9", id="P-11-query"),
        pytest.param(b"/a?b=1#x", id="P-13-query"),
    ],
)
def test_a_query_with_two_readings_is_refused(raw: bytes) -> None:
    """A query is read in one documented way; raw semicolons and bad escapes have no reading."""
    verdict = read_target(raw)
    assert isinstance(verdict, FrontRefusal)
    assert verdict.code is ProblemCode.MALFORMED_REQUEST


@pytest.mark.parametrize(
    ("longest", "longer"),
    [
        pytest.param(
            b"/" + b"a" * (TARGET_BYTES_MAX - 1), b"/" + b"a" * TARGET_BYTES_MAX, id="P-15-octets"
        ),
        pytest.param(b"/a" * SEGMENTS_MAX, b"/a" * (SEGMENTS_MAX + 1), id="P-15-segments"),
        pytest.param(
            b"/a?" + b"&".join([b"b=1"] * PARAMETERS_MAX),
            b"/a?" + b"&".join([b"b=1"] * (PARAMETERS_MAX + 1)),
            id="P-15-parameters",
        ),
    ],
)
def test_a_target_has_limits(longest: bytes, longer: bytes) -> None:
    """Length, segments and parameters are taken up to their limit, and 414 beyond it."""
    assert isinstance(read_target(longest), Target)
    verdict = read_target(longer)
    assert isinstance(verdict, FrontRefusal)
    assert verdict.code is ProblemCode.URI_TOO_LONG


@given(
    st.binary(max_size=60)
    | st.lists(
        st.sampled_from(
            [b"/", b".", b"%2E", b"%C3%A9", b"a", b"?", b"&", b"=", b"+", b";", b"%25"]
        ),
        max_size=20,
    ).map(b"".join)
)
def test_any_octets_give_a_target_or_a_refusal(raw: bytes) -> None:
    """The reader is total, and what it accepts it reads again as the same, segment by segment."""
    verdict = read_target(raw)
    if isinstance(verdict, FrontRefusal):
        return
    assert verdict.raw == raw
    assert read_target(verdict.raw) == verdict
    assert not {".", ".."} & set(verdict.segments)
    assert "" not in verdict.segments[:-1]
    assert not any("/" in segment or "\\" in segment for segment in verdict.segments)
