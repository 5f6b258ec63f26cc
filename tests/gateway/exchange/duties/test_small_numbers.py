"""The small-number guard: which counts may leave, and where they are looked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.duties.small_numbers import (
    count_columns,
    counts_in,
    is_safe_count,
    pointer_parts,
)

FHIR = "/entry/*/resource/group/*/population/*/count"


def report(count: object) -> dict[str, object]:
    """Build a FHIR bundle of one MeasureReport with one count."""
    group = {"population": [{"count": count}]}
    return {"entry": [{"resource": {"group": [group]}}]}


@pytest.mark.parametrize("count", [0, 10, 145, "0", "10", "*", "", None, 10**30])
def test_masked_and_rounded_counts_are_safe(count: object) -> None:
    """Nothing, a mask, zero, and multiples of five above seven may leave."""
    assert is_safe_count(count)


@pytest.mark.parametrize("count", [1, 5, 7, 8, 9, 11, -5, -10, True, False, 10.0, [], {}, [10]])
def test_small_and_unrounded_counts_are_not_safe(count: object) -> None:
    """A count of 1 to 7, one not rounded to 5, or anything that is no integer stays."""
    assert not is_safe_count(count)


@pytest.mark.parametrize(
    "count",
    ["5", "12", "12.0", "10.0", "1e1", "010", "+10", " 10", "-10", "١٠", "ten", "<5", "9" * 19],
)
def test_text_other_than_a_safe_plain_integer_is_not_safe(count: str) -> None:
    """Only canonical decimal digits are read as a count."""
    assert not is_safe_count(count)


@given(st.integers(min_value=0, max_value=10**6))
def test_text_and_number_are_judged_alike(count: int) -> None:
    """A count means the same as a JSON number, as a JSON string and as a CSV cell."""
    expected = count == 0 or (count > 7 and count % 5 == 0)

    assert is_safe_count(count) is expected
    assert is_safe_count(str(count)) is expected


@pytest.mark.parametrize(
    ("document", "pointer", "counts"),
    [
        (report(145), FHIR, [145]),
        (report(None), FHIR, [None]),
        ({"entry": [{"resource": {}}]}, FHIR, []),
        ({"counts": [10, 3]}, "/counts/*", [10, 3]),
        ({"counts": {"a": 10, "b": 3}}, "/counts/*", [10, 3]),
        ([[10, 3]], "/0/1", [3]),
        ([[10, 3]], "/0/2", []),
        ([[10, 3]], "/1/0", []),
        (3, "/a", []),
    ],
)
def test_counts_are_found_at_their_pointers(
    document: object, pointer: str, counts: list[object]
) -> None:
    """``*`` stands for every item; a count that is absent is not found, one that is null is."""
    assert list(dict.fromkeys(counts_in(document, (pointer,)))) == counts


def test_counts_that_moved_are_found_by_name() -> None:
    """A MeasureReport's stratifier has counts of its own, and they tell as much."""
    bundle = report(145)
    bundle["contained"] = {"stratifier": [{"stratum": [{"count": 3}]}]}

    assert set(counts_in(bundle, (FHIR,))) == {145, 3}
    assert counts_in({"records": [{"admissions": 3}]}, ("/*/admissions",)) == [3]


def test_pointers_follow_rfc_6901() -> None:
    """Tokens are unescaped in the order that the RFC gives; the empty pointer is the whole."""
    assert pointer_parts("") == ()
    assert pointer_parts("/a~1b/m~0n/~01") == ("a/b", "m~n", "~1")


def test_the_last_part_names_the_column() -> None:
    """In a table a pointer's last part is the name of a column."""
    assert count_columns(("/*/admissions", "/*/beds", "")) == {"admissions", "beds"}
