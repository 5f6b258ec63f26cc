"""The strict front's verdicts on the framing of requests (F- ids of the catalogue)."""

from __future__ import annotations

import pytest

from gateway.errors import ProblemCode
from gateway.exchange.front.rules import FrontSettings, Head, check_head
from gateway.exchange.messages import FrontRefusal

Fields = list[tuple[bytes, bytes]]
_HOST = (b"host", b"gateway.example")


def _check(
    fields: Fields,
    *,
    method: bytes = b"POST",
) -> Head | FrontRefusal:
    settings = FrontSettings()
    return check_head(method, b"/a", b"HTTP/1.1", fields, settings=settings, secure=False)


def _code(verdict: Head | FrontRefusal) -> ProblemCode | None:
    return verdict.code if isinstance(verdict, FrontRefusal) else None


def _accepted(verdict: Head | FrontRefusal) -> Head:
    assert isinstance(verdict, Head)
    return verdict


def _framing(length: list[bytes], coding: list[bytes]) -> Fields:
    return [
        _HOST,
        *((b"content-length", value) for value in length),
        *((b"transfer-encoding", value) for value in coding),
    ]


_BAD_FRAMING: dict[str, list[Fields]] = {
    "F-01": [_framing([b"5"], [b"chunked"])],
    "F-02": [_framing(lengths, []) for lengths in ([b"5", b"6"], [b"5", b"5"], [b"5, 5"])],
    "F-03": [
        _framing([length], [])
        for length in (b"+5", b"-1", b"0x5", b"5_0", b"", b"5a", b"1" + b"0" * 30, b"5 5")
    ],
    "F-04": [
        _framing([], [coding])
        for coding in (b"xchunked", b"chunked, cow", b'"chunked"', b"chunk", b",chunked", b"gzip")
    ],
    "F-05": [_framing([], [b"chunked", b"chunked"]), _framing([], [b"chunked", b"identity"])],
    "F-20": [_framing([b"0"], [b"chunked"])],
}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(fields, id=f"{name}-{[v[:12] for _, v in fields[1:]]!r}")
        for name, cases in _BAD_FRAMING.items()
        for fields in cases
    ],
)
def test_length_is_told_in_one_way(fields: Fields) -> None:
    """Whatever could end a body in two places is 400 (RFC 9112, section 6.3)."""
    assert _code(_check(fields)) is ProblemCode.AMBIGUOUS_FRAMING


@pytest.mark.parametrize("coding", [b"cow, chunked", b"gzip, chunked", b"gzip,chunked"])
def test_f_04_other_codings_are_not_implemented(coding: bytes) -> None:
    """A known form with an unknown coding is 501 (RFC 9112, section 6.1)."""
    assert _code(_check(_framing([], [coding]))) is ProblemCode.NOT_IMPLEMENTED


@pytest.mark.parametrize(
    ("fields", "body_bytes"),
    [
        (_framing([b"5"], []), 5),
        (_framing([b"05"], []), 5),
        (_framing([b"0"], []), 0),
        (_framing([], [b"chunked"]), None),
        (_framing([], [b"Chunked"]), None),
        (_framing([], []), 0),
    ],
)
def test_a_body_has_a_length_or_chunks(fields: Fields, body_bytes: int | None) -> None:
    """One number, or the chunked coding in any case."""
    assert _accepted(_check(fields)).body_bytes == body_bytes


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE"])
def test_f_15_a_request_without_content_has_no_body(method: bytes) -> None:
    """Content without a meaning is refused (RFC 9110, section 9.3.1); a zero length is none."""
    for fields in (_framing([b"5"], []), _framing([], [b"chunked"])):
        assert _code(_check(fields, method=method)) is ProblemCode.MALFORMED_REQUEST
    assert _accepted(_check(_framing([b"0"], []), method=method)).body_bytes == 0
