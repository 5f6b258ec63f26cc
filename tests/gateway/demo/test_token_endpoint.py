"""The memory of the token endpoint; its HTTP face is tested in test_issuers.py."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from gateway.demo import token_endpoint
from gateway.demo.clock import DemoClock
from gateway.demo.token_endpoint import Desk, TokenEndpoint, new_key


def _desk(folder: Path) -> Desk:
    clock = DemoClock.create(folder / "clock", datetime(2026, 1, 1, tzinfo=UTC))
    return Desk(clock=clock, clients={})


def test_an_identifier_is_used_once(tmp_path: Path) -> None:
    """The second use of an identifier is told."""
    desk = _desk(tmp_path)
    assert [desk.use_once("a"), desk.use_once("b"), desk.use_once("a")] == [True, True, False]


def test_the_memory_of_identifiers_is_bounded(tmp_path: Path) -> None:
    """The oldest identifiers are forgotten, so that memory does not grow for ever."""
    desk = _desk(tmp_path)
    for number in range(token_endpoint._USED_IDS_MAX + 5):
        desk.use_once(str(number))
    assert len(desk.used_ids) == token_endpoint._USED_IDS_MAX


def test_only_client_credentials_are_granted(tmp_path: Path) -> None:
    """Any other grant is refused in OAuth's own words (RFC 6749, section 5.2)."""
    endpoint = TokenEndpoint(
        issuer="https://idp.example",
        url="http://127.0.0.1/token",
        key=new_key(),
        desk=_desk(tmp_path),
    )
    status, body, _ = endpoint.answer({"grant_type": "password"}, [])
    assert status == 400
    assert body["error"] == "unsupported_grant_type"
