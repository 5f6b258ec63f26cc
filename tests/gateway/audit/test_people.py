"""People in the log, and their tags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from gateway.audit.people import (
    IDENTIFIER_CHARS_MAX,
    PersonInvalid,
    normalise,
    parse_person,
    subject_tag,
    year_of,
)

VECTORS: Final = json.loads(
    (Path(__file__).parents[2] / "vectors" / "audit-log-vectors.json").read_text()
)


def test_the_published_subject_tag_is_computed() -> None:
    """The keyed tag of a data subject is that of the vectors."""
    tag = VECTORS["subject_tag"]
    assert subject_tag(bytes.fromhex(tag["key"]), "nino", "QQ123456C").hex() == tag["tag16"]


def test_another_key_or_type_gives_another_tag() -> None:
    """A tag tells nothing of a person without its year's key, and types are kept apart."""
    tags = {
        subject_tag(key, id_type, "9990000018")
        for key in (bytes(32), bytes([1]) * 32)
        for id_type in ("nhs_number", "uprn")
    }
    assert len(tags) == 4


@pytest.mark.parametrize(
    ("id_type", "written", "normalised"),
    [
        ("nhs_number", "999 000 0018", "9990000018"),
        ("nhs_number", "999-000-0018\n", "9990000018"),
        ("nino", "qq 12 34 56 c", "QQ123456C"),
        ("case", "abc-1", "ABC-1"),
    ],
)
def test_identifiers_are_found_however_they_are_written(
    id_type: str, written: str, normalised: str
) -> None:
    """Spaces, letter case and the hyphens of grouped numbers make no other person."""
    assert normalise(id_type, written) == normalised


def test_a_person_is_a_type_and_a_value() -> None:
    """A colon divides them, and the value may hold more of them."""
    person = parse_person("client:urn:app:1")
    assert (person.id_type, person.normalised_id) == ("client", "URN:APP:1")
    assert "URN" not in repr(person)


@pytest.mark.parametrize(
    "given", ["", "9990000018", "NHS:1", "nhs_number:", f"nino:{'9' * (IDENTIFIER_CHARS_MAX + 1)}"]
)
def test_what_is_no_person_is_refused_without_repeating_it(given: str) -> None:
    """The refusal names no value, for it goes to terminals and logs."""
    with pytest.raises(PersonInvalid) as refused:
        parse_person(given)
    assert "999000" not in str(refused.value) or "such as" in str(refused.value)


def test_a_record_is_of_the_year_of_its_time() -> None:
    """Years are those of UTC, however late in summer time."""
    assert (year_of(1_767_225_599_999_999), year_of(1_767_225_600_000_000)) == (2025, 2026)
