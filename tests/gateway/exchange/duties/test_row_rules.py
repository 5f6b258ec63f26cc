"""Row rules: scope, protected people, and the count of people."""

from __future__ import annotations

import pytest

from gateway.exchange.duties.applied import Shape
from gateway.exchange.duties.row_rules import Fate, RowRules, people, row_rules
from policies.decision import Duties, Restricted

PROTECTED = Restricted(when={"pds_restricted": "true"}, redact=frozenset({"postcode", "phone"}))
SCOPE = {"lad_code": frozenset({"E06999001"})}


def fate(rules: RowRules, **values: str | None) -> Fate:
    """Decide on a record that has `values` by column name."""
    return rules.fate([values.get(name) for name in rules.columns])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("E06999001", Fate.KEEP),
        ("E06999002", Fate.DROP),
        ("e06999001", Fate.DROP),
        (" E06999001", Fate.DROP),
        ("", Fate.DROP),
        (None, Fate.DROP),
    ],
)
def test_only_rows_in_scope_stay(value: str | None, expected: Fate) -> None:
    """A row whose scope column is missing or has any other value is dropped."""
    assert fate(row_rules(Duties(scope=SCOPE), Shape()), lad_code=value) is expected


@pytest.mark.parametrize(
    ("mark", "cleared_by"),
    [
        ("true", ("false", "False", "FALSE")),
        ("True", ("false", "False", "FALSE")),
        ("false", ("true", "True", "TRUE")),
        ("Y", ("n", "N")),
        ("yes", ("no", "No", "NO")),
        ("1", ("0",)),
        ("restricted", ("open", "none", "RESTRICT", "0")),
    ],
)
def test_a_person_is_cleared_by_the_opposite_of_the_mark(
    mark: str, cleared_by: tuple[str, ...]
) -> None:
    """Where the mark has an opposite only that clears, else any other text does."""
    restricted = Restricted(when={"flag": mark}, redact=frozenset({"postcode"}))
    rules = row_rules(Duties(restricted=restricted), Shape())

    assert {fate(rules, flag=value) for value in cleared_by} == {Fate.KEEP}


@pytest.mark.parametrize(
    "value",
    [*("true", "True", " TRUE ", "Y", "1", "0", "yes", "no", "restricted", "t", "falsey"),
     *("", " ", "false ", " false", "fal\u017fe", "null", None)],
)  # fmt: skip
def test_whatever_is_not_the_opposite_protects(value: str | None) -> None:
    """Another word for yes, a word nobody knows, nothing at all: the person stays protected."""
    rules = row_rules(Duties(restricted=PROTECTED), Shape())

    assert fate(rules, pds_restricted=value) is Fate.REDACT


@pytest.mark.parametrize("value", ["restricted", " Restricted ", "RESTRICTED", "", "  ", None])
def test_a_mark_without_an_opposite_protects_in_any_spelling(value: str | None) -> None:
    """The mark in other letters or with spaces, an empty value or none clears nobody."""
    restricted = Restricted(when={"flag": "restricted"}, redact=frozenset({"postcode"}))
    rules = row_rules(Duties(restricted=restricted), Shape())

    assert fate(rules, flag=value) is Fate.REDACT


def test_one_clear_column_clears_a_person() -> None:
    """Where several columns have to match, one that does not is enough."""
    restricted = Restricted(when={"a": "5", "b": "6"}, redact=frozenset())
    rules = row_rules(Duties(restricted=restricted), Shape())

    assert fate(rules, a="5", b="6") is Fate.REDACT
    assert fate(rules, a="5", b="7") is Fate.KEEP
    assert fate(rules, a=None, b="7") is Fate.KEEP


def test_withholding_drops_the_record() -> None:
    """Where the rule says so, records of protected people do not leave at all."""
    restricted = Restricted(when={"flag": "true"}, redact=frozenset(), withhold=True)
    rules = row_rules(Duties(restricted=restricted), Shape())

    assert fate(rules, flag="true") is Fate.DROP


def test_a_filter_on_a_redacted_field_never_matches_a_protected_person() -> None:
    """Otherwise their mere presence in the answer would tell the value that was redacted."""
    by_postcode = Shape(filtered_on=frozenset({"postcode"}))
    by_area = Shape(filtered_on=frozenset({"lad_code"}))
    duties = Duties(restricted=PROTECTED)

    assert fate(row_rules(duties, by_postcode), pds_restricted="true") is Fate.DROP
    assert fate(row_rules(duties, by_postcode), pds_restricted="false") is Fate.KEEP
    assert fate(row_rules(duties, by_area), pds_restricted="true") is Fate.REDACT


def test_scope_comes_before_protection() -> None:
    """A protected person outside the scope is dropped, not redacted."""
    rules = row_rules(Duties(scope=SCOPE, restricted=PROTECTED), Shape())

    assert fate(rules, lad_code="E06999002", pds_restricted="true") is Fate.DROP


def test_each_column_is_read_once() -> None:
    """A column that serves several duties is listed once."""
    restricted = Restricted(when={"lad_code": "E06999009"}, redact=frozenset())
    duties = Duties(scope=SCOPE, restricted=restricted, subject_field="lad_code")

    assert row_rules(duties, Shape()).columns == ("lad_code",)


def test_without_row_duties_nothing_is_read() -> None:
    """An allow-list alone asks for no column and judges no row."""
    rules = row_rules(Duties(allowed=frozenset({"a"})), Shape())

    assert rules.columns == ()
    assert not rules.judges
    assert not rules.counts


@pytest.mark.parametrize(
    ("persons", "known", "identified", "count"),
    [
        (["a", "b", "a"], set(), {"a", "b"}, 2),
        (["a", None, ""], set(), {"a"}, 3),
        ([None, None], set(), set(), 2),
        ([None, None], {"a"}, {"a"}, 1),
        (["b", None], {"a"}, {"a", "b"}, 2),
        ([], {"a"}, {"a"}, 1),
        ([], set(), set(), 0),
    ],
)
def test_people_are_counted_once_each(
    persons: list[str | None], known: set[str], identified: set[str], count: int
) -> None:
    """Known people count once; a record without identifier is one of them, or one of its own."""
    assert people(persons, frozenset(known)) == (frozenset(identified), count)
