"""Identifiers are judged by their syntax and check digits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.identifiers import IDENTIFIER_KINDS, is_identifier, is_nhs_number


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("nhs_number", "9991000011"),
        ("nhs_number", "9992000074"),
        ("uprn", "999000000501"),
        ("uprn", "1"),
        ("nino", "QQ000001A"),
        ("nino", "AB123456C"),
        ("gss", "E06999001"),
        ("ods", "X9Z"),
    ],
)
def test_well_formed_identifiers_are_taken(kind: str, text: str) -> None:
    """Each kind takes its own, synthetic ranges included."""
    assert is_identifier(kind, text)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("nhs_number", "9991000047"),
        ("nhs_number", "999 100 0011"),
        ("nhs_number", "9991000011\n"),
        ("nhs_number", "٩٩٩١٠٠٠٠١١"),
        ("nhs_number", 9991000011),
        ("uprn", "1234567890123"),
        ("uprn", ""),
        ("nino", "DA123456C"),
        ("nino", "AB123456E"),
        ("nino", "ZZ123456A"),
        ("gss", "X06999001"),
        ("ods", "x9z"),
        ("passport", "123"),
    ],
)
def test_others_are_not(kind: str, value: object) -> None:
    """Wrong check digits, spaces, other digits, other types and unknown kinds are refused."""
    assert not is_identifier(kind, value)


@given(st.integers(min_value=0, max_value=10**9 - 1))
def test_nine_digits_have_at_most_one_check_digit(number: int) -> None:
    """One in eleven prefixes has none; no prefix has two."""
    right = [digit for digit in range(10) if is_nhs_number(f"{number:09d}{digit}")]
    assert len(right) <= 1


@given(st.sampled_from(sorted(IDENTIFIER_KINDS)), st.text() | st.integers() | st.none())
def test_any_value_gets_an_answer(kind: str, value: object) -> None:
    """The checks are total."""
    assert is_identifier(kind, value) in (True, False)
