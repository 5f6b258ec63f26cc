"""The values of a call sheet."""

from __future__ import annotations

from gateway.demo.packs import Pack


def test_a_public_caller_is_one_without_a_token(pack: Pack) -> None:
    """Calls of the organisation ``public``, and only those, carry no token."""
    for call in pack.sheet.calls:
        assert call.token.public == (call.token.client is None)
