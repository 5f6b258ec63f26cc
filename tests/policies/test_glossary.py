"""Every member of an agreement has a meaning, and says how it is enforced."""

from __future__ import annotations

import pytest

from policies.effects import _JUDGES
from policies.glossary import MEANINGS, When, meaning_of
from policies.shape import agreement_shape, walk


def test_the_glossary_is_whole() -> None:
    """It has every member of the document, and no other."""
    assert list(MEANINGS.keys() - {path for path, _ in walk(agreement_shape())}) == []
    assert list({path for path, _ in walk(agreement_shape())} - MEANINGS.keys()) == []


def test_each_meaning_is_said_in_sentences() -> None:
    """A label, a meaning, how it is enforced, and when."""
    for one in MEANINGS.values():
        assert one.label
        assert one.meaning.endswith((".", "?"))
        assert one.how.endswith(".")
        assert one.when


def test_what_changes_access_is_no_mere_record() -> None:
    """A clause whose change widens or narrows access is enforced, or is about onward sharing."""
    kept = {"onward_sharing.recipients", "data[].identifiability", "purpose.prohibited"}
    for path in _JUDGES.keys() - kept - {"legal.provider_basis", "legal.consumer_basis"}:
        assert When.CALL in meaning_of(path).when, path


def test_an_unknown_member_has_no_meaning() -> None:
    """Asking for one is a mistake of the program."""
    with pytest.raises(KeyError):
        meaning_of("no.such.member")
