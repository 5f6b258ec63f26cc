"""The elements that FHIR resources cannot be without."""

from __future__ import annotations

import re

import pytest

from gateway.exchange.duties.fhir_required import REQUIRED, Required


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("Patient", []),
        ("Encounter", ["class", "status"]),
        ("Observation", ["code", "status"]),
        ("Patient.link", ["other", "type"]),
        ("Condition.note", ["text"]),
        (
            "MedicationAdministration",
            ["effectiveDateTime", "medicationCodeableConcept", "status", "subject"],
        ),
    ],
)
def test_the_table_has_what_fhir_says(path: str, names: list[str]) -> None:
    """A few lines, as anybody can look them up in FHIR R4."""
    assert [one.name for one in REQUIRED[path]] == names


def test_every_line_is_read_whole() -> None:
    """No mark of the notation is left in a name, and every structure belongs to a resource."""
    for path, elements in REQUIRED.items():
        assert path.partition(".")[0] in REQUIRED
        assert all(re.fullmatch(r"[a-z][A-Za-z0-9]*", one.name) for one in elements), path


def test_lists_and_objects_are_told() -> None:
    """A value that is withheld is masked in the shape that it has."""
    assert REQUIRED["Schedule"] == (Required(name="actor", structured=True, repeats=True),)
    assert REQUIRED["List.entry"] == (Required(name="item", structured=True),)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"occurrenceString": "x"}, True),
        ({"_occurrenceDateTime": {}}, True),
        ({"occurrences": 1}, False),
        ({"occurrence": 1}, False),
        ({}, False),
    ],
)
def test_one_type_of_a_choice_is_enough(members: dict[str, object], expected: bool) -> None:
    """``occurrence[x]`` is there as a date, or as text."""
    one = Required(name="occurrenceDateTime", choice="occurrence")

    assert one.is_among(members) is expected
