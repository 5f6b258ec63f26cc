"""The strict reading of compact JWS: one spelling, JSON objects only, no exception but its own."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.jws import (
    JSON_DEPTH_MAX,
    NotJws,
    decode_base64url,
    encode_base64url,
    is_type,
    read_json_object,
    read_jws,
)
from tests.tokens import make_key, sign

LONG_HEADER = encode_base64url(b'{"alg":"' + b"x" * 100 + b'"}')


@given(st.binary(max_size=64))
def test_base64url_has_one_spelling(decoded: bytes) -> None:
    """What was encoded decodes to itself, and the encoding has no padding."""
    encoded = encode_base64url(decoded)

    assert decode_base64url(encoded) == decoded
    assert b"=" not in encoded


@pytest.mark.parametrize(
    "segment",
    [
        pytest.param(b"YQ==", id="T-35-padding"),
        pytest.param(b"-_+/", id="T-35-other-alphabet"),
        pytest.param(b"YW\nJj", id="T-35-newline-inside"),
        pytest.param(b"YWJj ", id="T-35-trailing-space"),
        pytest.param(b"YR", id="T-35-stray-bits"),
        pytest.param(b"Y", id="impossible-length"),
        pytest.param("é".encode(), id="not-ascii"),
    ],
)
def test_base64url_refuses_other_spellings(segment: bytes) -> None:
    """A second spelling of the same bytes would be a second token."""
    with pytest.raises(NotJws):
        decode_base64url(segment)


def test_reads_a_signed_object() -> None:
    """A canonical JWS is taken apart into header, payload, signing input and signature."""
    token = sign({"alg": "ES256"}, {"a": [1, {"b": "ü"}]}, make_key())
    jws = read_jws(token, bytes_max=1000, header_bytes_max=100)

    assert jws.header == {"alg": "ES256"}
    assert jws.payload == {"a": [1, {"b": "ü"}]}
    assert token == jws.signing_input + b"." + encode_base64url(jws.signature)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"[]", id="T-19-array"),
        pytest.param(b'"x"', id="T-19-string"),
        pytest.param(b"1", id="T-19-number"),
        pytest.param(b"null", id="T-16-null"),
        pytest.param(b"", id="T-19-empty"),
        pytest.param('{"a":1}'.encode("utf-16"), id="T-19-utf-16"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', id="T-19-byte-order-mark"),
        pytest.param(b'{"a":"\xff"}', id="T-19-invalid-utf-8"),
        pytest.param(b'{"sub":"\\ud800"}', id="T-19-lone-surrogate"),
        pytest.param(b'{"\\udfff":1}', id="T-19-lone-surrogate-name"),
        pytest.param(b'{"sub":"a","sub":"b"}', id="T-20-duplicate"),
        pytest.param(b'{"a":{"b":1,"b":1}}', id="T-20-duplicate-inside"),
        pytest.param(b'{"a":NaN}', id="T-27-nan"),
        pytest.param(b'{"a":-Infinity}', id="T-27-infinity"),
        pytest.param(b'{"a":' + b"1" * 5000 + b"}", id="T-27-endless-number"),
        pytest.param(b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}", id="T-17-nested-30000"),
        pytest.param(b'{"a":' * JSON_DEPTH_MAX + b"{}" + b"}" * JSON_DEPTH_MAX, id="T-17-one-more"),
        pytest.param(b'{"a":1} x', id="trailing"),
    ],
)
def test_refuses_what_is_no_json_object(raw: bytes) -> None:
    """Anything but one sound JSON object is refused with the parser's own error."""
    with pytest.raises(NotJws):
        read_json_object(raw)


def test_depth_is_allowed_up_to_its_limit() -> None:
    """An object nested exactly as deep as allowed is read."""
    raw = b'{"a":' * (JSON_DEPTH_MAX - 1) + b"{}" + b"}" * (JSON_DEPTH_MAX - 1)

    assert json.loads(raw) == read_json_object(raw)


@pytest.mark.parametrize(
    ("unverified", "why"),
    [
        pytest.param(b"e30.e30", "segments", id="T-36-two-parts"),
        pytest.param(b"e30.e30.e30.e30", "segments", id="T-36-four-parts"),
        pytest.param(b"e30.e30.e30.e30.e30", "segments", id="T-36-encrypted"),
        pytest.param(b'{"payload":"e30","signatures":[]}', "segments", id="T-36-json"),
        pytest.param(b"e30." + b"A" * 2000 + b".e30", "longer than 1000", id="T-18-too-long"),
        pytest.param(LONG_HEADER + b".e30.", "header", id="T-06-header-too-long"),
    ],
)
def test_refuses_what_is_no_compact_jws(unverified: bytes, why: str) -> None:
    """Another serialisation, or one beyond the caps, is refused before it is decoded."""
    with pytest.raises(NotJws, match=why):
        read_jws(unverified, bytes_max=1000, header_bytes_max=100)


@given(st.binary(max_size=200) | st.lists(st.binary(max_size=40), max_size=4).map(b".".join))
def test_any_bytes_are_read_or_refused(unverified: bytes) -> None:
    """No bytes make the reader fail in another way than its own."""
    try:
        jws = read_jws(unverified, bytes_max=1000, header_bytes_max=100)
    except NotJws:
        return
    assert unverified.startswith(jws.signing_input)


@given(st.binary(max_size=100))
def test_any_bytes_are_json_or_refused(raw: bytes) -> None:
    """The JSON reader raises its own error only, whatever it is given."""
    with contextlib.suppress(NotJws):
        assert isinstance(read_json_object(raw), dict)


@pytest.mark.parametrize(
    ("typ", "expected"),
    [
        ("at+jwt", True),
        ("AT+JWT", True),
        ("application/at+jwt", True),
        ("JWT", False),
        ("", False),
        (None, False),
        (["at+jwt"], False),
    ],
)
def test_type_is_a_media_type(typ: object, expected: bool) -> None:
    """`typ` is compared without regard to case, with or without its prefix."""
    assert expected == is_type({"typ": typ}, "at+jwt")
