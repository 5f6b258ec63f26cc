"""Tests of the check that every route passes."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import Request

from gateway.access import Permission
from gateway.control.guard import Require
from gateway.errors import CredentialsInvalid
from tests.control_listener import Control


@pytest.mark.parametrize(
    "path", ["/api/v1/agreements", "/api/v1/agreements/x", "/api/v1/exchanges"]
)
def test_without_a_secret_nothing_is_told(control: Control, path: str) -> None:
    """Permission is checked before existence: what is there and what is not look alike."""
    (missing,) = control.get(path, secret=None)
    (wrong,) = control.get(path, secret="wrong")

    assert missing.status_code == wrong.status_code == 401
    assert missing.headers["www-authenticate"] == "Bearer"
    assert missing.json()["type"] == "/problems/token-missing"
    assert wrong.json()["type"] == "/problems/token-invalid"


def test_two_authorization_fields_are_refused(control: Control) -> None:
    """Which of two would count is nobody's guess."""
    field = (b"authorization", f"Bearer {control.secret}".encode())
    request = Request({"type": "http", "headers": [field, field]})

    with pytest.raises(CredentialsInvalid):
        asyncio.run(Require(Permission.READ_AGREEMENTS, control.registry)(request))
