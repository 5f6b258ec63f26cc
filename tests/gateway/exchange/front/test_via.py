"""Gateways are known again in `Via`, whatever other proxies write there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.front.via import gateways_passed, pseudonym_of, via_of


@pytest.mark.parametrize(
    ("url", "pseudonym"),
    [
        ("https://Gw.example.nhs.uk", b"concordat-gw.example.nhs.uk"),
        ("http://127.0.0.1:8080", b"concordat-127.0.0.1-8080"),
        ("http://[::1]:8080", b"concordat-1-8080"),
        ("https://a_b.example.", b"concordat-a_b.example."),
    ],
)
def test_a_gateway_has_a_name_of_its_own(url: str, pseudonym: bytes) -> None:
    """It is a token, and another one for another public base URL."""
    assert pseudonym_of(url) == pseudonym
    assert gateways_passed(via_of(pseudonym)) == (pseudonym,)


@pytest.mark.parametrize(
    ("via", "passed"),
    [
        (b"1.1 concordat-a", (b"concordat-a",)),
        (b"1.0 fred, HTTP/1.1 Concordat-A (x)", (b"concordat-a",)),
        (b"1.1  concordat-a,1.1 concordat-b:80, 2 concordat-c", (b"concordat-a", b"concordat-c")),
        (b"1.1 a.example (1.1 concordat-a)", ()),
        (b"concordat-a", ()),
        (b"1.1 xconcordat-a", ()),
        (b"", ()),
    ],
)  # fmt: skip
def test_other_proxies_are_left_out(via: bytes, passed: tuple[bytes, ...]) -> None:
    """Only a member's own name counts, in whatever letter case."""
    assert gateways_passed(via) == passed


@given(st.lists(st.from_regex(rb"concordat-[a-z0-9._-]{1,20}", fullmatch=True)))
def test_what_is_written_is_read(passed: list[bytes]) -> None:
    """Each gateway adds itself to those before it."""
    assert gateways_passed(via_of(*passed)) == tuple(passed)


@given(st.binary(max_size=200))
def test_any_octets_are_read(via: bytes) -> None:
    """Nothing is ever raised."""
    assert isinstance(gateways_passed(via), tuple)
