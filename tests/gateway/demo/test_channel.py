"""HTTP as a consumer's application speaks it."""

from __future__ import annotations

import pytest

from gateway.demo.channel import Answer, Channel, ChannelFailed
from gateway.demo.listener import LOOPBACK, listen


def test_credentials_never_travel_in_the_clear() -> None:
    """Plain HTTP is for loopback; anything else must be https."""
    with Channel() as channel:
        for url in ("http://gateway.example/", "ftp://127.0.0.1/", "/path"):
            with pytest.raises(ChannelFailed, match="neither https nor"):
                channel.send("GET", url)


def test_nobody_there_is_told_with_the_address() -> None:
    """A refused connection names whom nobody could reach."""
    with listen() as free:
        port = free.getsockname()[1]
    with Channel(timeout_s=1) as channel, pytest.raises(ChannelFailed, match=f"{LOOPBACK}:{port}"):
        channel.send("GET", f"http://{LOOPBACK}:{port}/")


def test_the_media_type_has_no_parameters() -> None:
    """Parameters and case do not matter; a missing type is empty."""
    answer = Answer(status=200, headers={"content-type": "Text/CSV; charset=utf-8"}, body=b"")
    assert answer.media_type == "text/csv"
    assert Answer(status=204, headers={}, body=b"").media_type == ""


def test_what_is_no_url_is_told() -> None:
    """A host that is cut short is nobody's address, nor is a port that there cannot be."""
    with Channel() as channel:
        for url in ("http://[::1/", "http://127.0.0.1:99999/", "http://127.0.0.1:x/"):
            with pytest.raises(ChannelFailed, match="is no URL"):
                channel.send("GET", url)


def test_what_is_no_method_is_told() -> None:
    """Neither a space nor a letter beyond ASCII goes on the wire."""
    with Channel(timeout_s=1) as channel:
        for method in ("GÉT", "G T"):
            with pytest.raises(ChannelFailed):
                channel.send(method, f"http://{LOOPBACK}:9/")


def test_json_that_is_nested_without_end_is_none() -> None:
    """The reader's own limit is no other failure than any."""
    answer = Answer(status=200, headers={}, body=b"[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        answer.json()
