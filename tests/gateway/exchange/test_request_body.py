"""Which bodies are read, and what is known of one that is not."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.exchange.request_body import is_read, read_body
from tests.world import make_request


@pytest.mark.parametrize(
    ("content_type", "read"),
    [
        ("application/json", True),
        ("application/fhir+json; charset=utf-8", True),
        ("application/json; charset=utf-16", False),
        ("text/csv", False),
        ("", False),
    ],
)
def test_only_json_is_read(content_type: str, read: bool) -> None:
    """Everything else is decided about before a byte of it is wanted."""
    request = make_request("POST", "/a", headers={"content-type": content_type}, body=b"{}")
    assert is_read(request) is read


def test_a_body_that_is_not_read_is_not_asked_for() -> None:
    """Its media type is all that the decision may know; without a rule for it, it is refused."""

    class Untouchable:
        """A body that fails when it is asked for."""

        async def read(self, bytes_max: int) -> bytes:
            """Fail."""
            raise AssertionError

        def chunks(self) -> None:
            """Fail."""
            raise AssertionError

    request = make_request("POST", "/a", headers={"content-type": "Text/CSV; x=y"}, body=b"a")
    body = asyncio.run(read_body(replace(request, body=Untouchable()), asked=True))  # type: ignore[arg-type]  # not even its type is looked at
    assert body.media_type == "text/csv"
    assert body.unreadable is not None
    assert body.unreadable.code == "unsupported-media-type"


@pytest.mark.parametrize("asked", [True, False])
def test_a_body_that_no_decision_asks_for_is_taken_in_unread(asked: bool) -> None:
    """Its octets are there for the record; nobody pays for what they say."""
    request = make_request("POST", "/a", headers={"content-type": "application/json"}, body=b"{")
    body = asyncio.run(read_body(request, asked=asked))
    assert body.content == b"{"
    assert (body.unreadable is not None) is asked
