"""Tests of the header fields of every answer."""

from __future__ import annotations

import pytest

from tests.control_listener import Control


@pytest.mark.parametrize("path", ["/livez", "/openapi.json", "/api/v1/agreements", "/nothing"])
def test_every_answer_is_closed_in(control: Control, path: str) -> None:
    """Whatever is answered is not kept, framed, sniffed or allowed to load anything."""
    (answer,) = control.get(path)

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
