"""Whether somebody was among the people of an answer."""

from __future__ import annotations

import pytest

from gateway.audit.merkle import leaf_hash, verify_inclusion
from gateway.audit.people import Person
from gateway.audit.search.membership import membership
from gateway.exchange.duties.named_people import name_people
from gateway.exchange.records import _base64url


def section(ids: frozenset[str], *, kept: int | None = None) -> dict[str, object]:
    """Return what a record says of an answer's people."""
    named = name_people(ids)
    root = _base64url(named.root).decode()
    return {"type": "nhs_number", "ids": list(named.ids[:kept]), "root": root}


FOUR_THOUSAND = frozenset(f"999{number:07}" for number in range(4_000))
SOMEBODY, NOBODY = Person("nhs_number", "9990002345"), Person("nhs_number", "9991234567")


def test_somebody_among_four_thousand_is_proved() -> None:
    """The path of RFC 6962 leads from the identifier to the root of all people in the record."""
    found = membership(section(FOUR_THOUSAND), SOMEBODY)
    assert (found.among, found.named, found.complete) == (True, 4_000, True)
    assert found.index == 2_345
    assert found.root is not None
    leaf = leaf_hash(SOMEBODY.normalised_id.encode())
    assert verify_inclusion(leaf, 2_345, 4_000, found.path) == found.root


def test_somebody_else_was_not_among_them() -> None:
    """The record names all of them, and its root says so."""
    found = membership(section(FOUR_THOUSAND), NOBODY)
    assert (found.among, found.complete, found.index) == (False, True, None)


@pytest.mark.parametrize(("person", "among"), [(SOMEBODY, True), (NOBODY, None)])
def test_of_more_people_than_are_named_only_presence_is_told(
    person: Person, among: bool | None
) -> None:
    """Who is named was there; of any other it cannot be told."""
    found = membership(section(FOUR_THOUSAND, kept=3_000), person)
    assert (found.among, found.complete, found.path) == (among, False, ())


def test_of_another_type_or_erased_nothing_can_be_told() -> None:
    """An identifier of another kind may well belong to one of them (I9)."""
    assert membership(section(FOUR_THOUSAND), Person("nino", "QQ123456C")).among is None
    assert membership(None, SOMEBODY).among is None


def test_one_person_alone_needs_no_path() -> None:
    """The leaf is the root."""
    found = membership(section(frozenset({"9990002345"})), SOMEBODY)
    assert (found.among, found.index, found.path) == (True, 0, ())
    assert found.root == leaf_hash(b"9990002345")
