"""Who is specified for which objective of DEA 2017 s.35, on a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.registry.lawbooks import product_document
from policies.reading import DocumentInvalid
from policies.statutes import read_specified_persons
from tests.configured import pack_configuration

MADE = datetime(2018, 7, 18, 23, tzinfo=UTC)
PRODUCT = read_specified_persons(product_document("dea2017-s35"))
PACK = read_specified_persons(pack_configuration().law["dea2017-s35"])


@pytest.mark.parametrize(
    ("objective", "paragraph", "specified"),
    [
        ("fuel_poverty", 7, True),
        ("fuel_poverty", 12, True),
        ("fuel_poverty", 22, False),
        ("multiple_disadvantages", 22, True),
        ("water_poverty", 6, False),
        ("no_such_objective", 7, False),
    ],
)
def test_a_body_is_specified_for_some_objectives(
    objective: str, paragraph: int, specified: bool
) -> None:
    """A chief officer of police is in multiple disadvantages, and not in fuel poverty."""
    for table in (PACK, PRODUCT):
        assert table.specified(objective, paragraph, MADE + timedelta(days=9)) == specified


def test_an_objective_is_law_from_its_regulations() -> None:
    """SI 2018/912 has effect from 19 July 2018, London time."""
    assert not PRODUCT.has_objective("fuel_poverty", MADE - timedelta(seconds=1))
    assert PRODUCT.has_objective("fuel_poverty", MADE)
    assert PRODUCT.specified("fuel_poverty", 7, MADE)
    assert not PRODUCT.specified("fuel_poverty", 7, MADE - timedelta(seconds=1))


def test_an_amendment_is_an_entry_of_its_own() -> None:
    """After it the new list stands, before it the old one."""
    amended = {
        **product_document("dea2017-s35"),
        "objective": {
            "warmth": [
                {"paragraphs": ["7"], "in_force_until": "2027-01-01"},
                {"paragraphs": ["7", "22-23"], "in_force_from": "2027-01-01"},
            ]
        },
    }
    table = read_specified_persons(amended)
    new_year = datetime(2027, 1, 1, tzinfo=UTC)
    assert not table.specified("warmth", 22, new_year - timedelta(seconds=1))
    assert table.specified("warmth", 22, new_year)


def test_pack_and_product_say_the_same() -> None:
    """The two copies of the table do not drift apart."""
    at = datetime(2026, 11, 22, tzinfo=UTC)
    for objective in PACK.objectives:
        for paragraph in range(1, 60):
            ours = PRODUCT.specified(objective, paragraph, at)
            assert ours == PACK.specified(objective, paragraph, at)
    assert PACK.bodies == PRODUCT.bodies
    assert PACK.onward == PRODUCT.onward


def test_paragraphs_are_read_strictly() -> None:
    """What is no range, and a range that runs backwards, is refused at its place."""
    wrong = {
        **product_document("dea2017-s35"),
        "objective": {"a": ["8-6"], "b": [{"paragraphs": ["x"]}]},
    }
    with pytest.raises(DocumentInvalid) as refused:
        read_specified_persons(wrong)
    assert [fault.pointer for fault in refused.value.faults] == [
        ("objective", "a"),
        ("objective", "b", 0, "paragraphs"),
    ]
