"""Base URLs are taken apart strictly."""

from __future__ import annotations

import pytest

from connectors.origin import BaseUrlInvalid, Origin


def test_https_with_a_path() -> None:
    """The path becomes the prefix of every target; the port has its default."""
    origin = Origin.parse("https://Data.Example.test/api/v1/", allow_loopback=False)
    assert (origin.secure, origin.host, origin.port) == (True, "data.example.test", 443)
    assert (origin.prefix, origin.authority) == (b"/api/v1", b"data.example.test")


@pytest.mark.parametrize("url", ["http://127.0.0.1:81", "http://localhost/x", "http://[::1]:81/"])
def test_plain_http_is_for_loopback_where_told(url: str) -> None:
    """The demo and tests may speak plain HTTP on loopback; nobody else may."""
    assert not Origin.parse(url, allow_loopback=True).secure
    with pytest.raises(BaseUrlInvalid):
        Origin.parse(url, allow_loopback=False)


@pytest.mark.parametrize(
    "url",
    [
        "", "ftp://a.test", "https://", "//a.test", "https://user:pass@a.test", "https://a.test?x=1",
        "https://a.test/#f", "https://a.test/../b", "https://a.test/a//b", "https://a.test/a b",
        "https://a.test/\r\nx", "https://a_b.test", "https://a.test:99999", "https://[::1",
        "http://127.0.0.1.a.test", "http://10.0.0.1", "https://é.test", "https://a.test/%2e%2e",
    ],
)  # fmt: skip
def test_anything_doubtful_is_refused(url: str) -> None:
    """User names, queries, odd hosts and paths that are not canonical are refused."""
    with pytest.raises(BaseUrlInvalid):
        Origin.parse(url, allow_loopback=True)
