"""What is said of an answer: the names that did not leave, and the limit on records."""

from __future__ import annotations

from dataclasses import replace

from gateway.exchange.duties.applied import (
    NAMES_LOGGED_MAX,
    Withheld,
    not_applicable,
    volume_exceeded,
    withheld_names,
)
from policies.decision import Duties, ReasonCode

DUTIES = Duties(
    allowed=frozenset({"uprn", "eligible"}),
    declared=frozenset({"uprn", "eligible", "award"}),
    records_max=2,
)


def test_names_withheld_are_declared_or_returned() -> None:
    """A declared field that may not leave is withheld whether or not the service returned it."""
    returned = frozenset({"uprn", "lad_code", "note"})

    withheld, leaked = withheld_names(DUTIES, returned, ("lad_code",))

    assert withheld == ("award", "lad_code", "note")
    assert leaked == ("note",)


def test_a_name_that_may_never_leave_is_leaked_where_it_is_returned() -> None:
    """A service that serves what no rule may let out is as wrong as one that adds a field."""
    duties = replace(DUTIES, never=frozenset({"award", "flag"}))
    returned = frozenset({"uprn", "award", "flag"})

    assert withheld_names(duties, returned, ("flag",)) == (("award", "flag"), ("award",))
    assert withheld_names(duties, frozenset({"uprn"}), ()) == (("award",), ())


def test_names_that_look_like_values_are_not_logged() -> None:
    """A service that uses people's identifiers as member names does not get them into the log."""
    returned = frozenset({"9991000011", "a@example.org", "two words", "", "é", "x" * 65, "ok_name"})

    assert withheld_names(DUTIES, returned, ())[1] == ("ok_name",)


def test_the_number_of_strange_names_is_capped() -> None:
    """A service that invents names without end fills no record with them."""
    returned = frozenset(f"field_{number}" for number in range(1000))

    assert len(withheld_names(DUTIES, returned, ())[1]) == NAMES_LOGGED_MAX


def test_nothing_is_withheld_where_all_may_leave() -> None:
    """Without an allow-list no name counts as withheld."""
    assert withheld_names(Duties(), frozenset({"a"}), ()) == ((), ())


def test_more_records_than_agreed_are_withheld() -> None:
    """The limit is inclusive; without one any number may leave."""
    assert volume_exceeded(DUTIES, 2) is None
    assert volume_exceeded(Duties(), 10**9) is None

    exceeded = volume_exceeded(DUTIES, 3)

    assert exceeded is not None
    assert exceeded.reason is ReasonCode.VOLUME_EXCEEDED


def test_a_duty_that_cannot_be_applied_has_one_reason() -> None:
    """Every such answer is withheld under the same stable code."""
    expected = Withheld(reason=ReasonCode.DUTY_NOT_APPLICABLE, detail="why")

    assert not_applicable("why") == expected
