"""Authoring codes are stable words."""

from __future__ import annotations

from policies.authoring import Code


def test_a_code_is_its_name() -> None:
    """Name and value cannot differ, so that a code in a report can be searched for."""
    assert all(code.value == code.name for code in Code)
