"""The values of a call sheet."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.demo.packs import Pack


def test_a_public_caller_is_one_without_a_token(pack: Pack) -> None:
    """Calls of the organisation ``public``, and only those, carry no token."""
    for call in pack.sheet.calls:
        assert call.token.public == (call.token.client is None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "G T"}, "'G T' is not a method of HTTP"),
        ({"path": "fhir/R4"}, "'fhir/R4' is not a path"),
        ({"path": "/a?b=c"}, "is in query"),
        ({"path": "/a\r\nX: y"}, "is not a path"),
        ({"at": datetime(9999, 12, 31, tzinfo=UTC)}, "at is in 9999, and calls are of 1700"),
    ],
)
def test_a_call_that_nobody_could_make_says_why(
    pack: Pack, change: dict[str, object], said: str
) -> None:
    """A client would fail before it sends anything."""
    first = pack.sheet.calls[0]
    assert first.trouble is None
    assert said in str(replace(first, **change).trouble)  # type: ignore[arg-type]  # by name


def test_who_has_a_token_has_its_issuer(pack: Pack) -> None:
    """A caller without a client has no token; a client without an issuer cannot have one."""
    first = pack.sheet.calls[0]
    stranger = replace(first, token=replace(first.token, client=None, issuer=None))
    assert stranger.token.public
    assert stranger.trouble is None
    astray = replace(first, token=replace(first.token, issuer=None))
    assert "issuer is missing" in str(astray.trouble)


def test_a_grant_begins_when_a_call_could_be_made(pack: Pack) -> None:
    """The start of a grant is recorded too."""
    urgent = next(call for call in pack.sheet.calls if call.token.break_glass is not None)
    assert urgent.token.break_glass is not None
    begun = replace(urgent.token.break_glass, started_at=datetime(1, 1, 1, tzinfo=UTC))
    early = replace(urgent, token=replace(urgent.token, break_glass=begun))
    assert "started_at is in 1," in str(early.trouble)
