"""Versions of one agreement."""

from __future__ import annotations

import pytest

from policies.authoring import Code, check_succession
from tests.policies.authoring.examples import DOCUMENTS, changed, faults_of

SIGNED = DOCUMENTS[1]


def codes(*pair: dict[str, object]) -> list[Code]:
    """Return the codes of a succession."""
    present, proposed = pair
    return [one.code for one in check_succession(present, proposed)]


@pytest.mark.parametrize(
    ("said", "clear"),
    [
        ("DSA-2020-0001@3", True),
        ("DSA-2020-0001@1", True),
        ("DSA-2019-0009@7", True),
        ("DSA-2020-0001@4", False),
        ("DSA-2020-0001@5", False),
        ("DSA-2020-0001", False),
        (None, False),
    ],
)
def test_a_version_replaces_an_earlier_one(said: str | None, clear: bool) -> None:
    """Of itself it must be an earlier one; of another agreement it may be any."""
    found = faults_of(1, {("supersedes",): said})
    assert [one.code for one in found] == ([] if clear else [Code.SUPERSESSION_UNCLEAR])


def test_a_new_version_may_change_anything() -> None:
    """That is what versions are for."""
    assert codes(dict(SIGNED), changed(SIGNED, {("version",): 5, ("title",): "New"})) == []


def test_a_version_never_falls() -> None:
    """An earlier version does not come back."""
    assert codes(dict(SIGNED), changed(SIGNED, {("version",): 3})) == [Code.VERSION_NOT_INCREASED]


def test_what_was_signed_stays() -> None:
    """Status and steps go on; anything else needs a new version and new signatures."""
    going_on = changed(SIGNED, {("status",): "suspended", ("governance", "decisions"): []})
    assert codes(dict(SIGNED), going_on) == []
    retitled = changed(SIGNED, {("title",): "Something else", ("retention", "legal_hold"): None})
    (found,) = check_succession(SIGNED, retitled)
    assert found.code is Code.SIGNED_VERSION_CHANGED
    assert "retention, title" in found.message


def test_a_draft_changes_freely() -> None:
    """Nobody has signed it yet."""
    draft = changed(SIGNED, {("status",): "draft"})
    assert codes(draft, changed(draft, {("title",): "Better"})) == []
