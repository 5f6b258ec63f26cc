"""Who decides, advises and signs, and when it matters."""

from __future__ import annotations

import pytest

from policies.authoring import Code
from policies.authoring.governance import STEP_OUTCOMES, STEP_ROLES
from policies.words import STEP_OUTCOMES as OUTCOME_WORDS
from policies.words import STEP_ROLES as ROLE_WORDS
from policies.words import STEPS as STEP_WORDS
from tests.policies.authoring.examples import DOCUMENTS, DWP, STEPS, Change, faults_of


def codes(of: int, change: Change) -> set[Code]:
    """Return the codes that a change brings."""
    return {one.code for one in faults_of(of, change)}


def test_every_step_has_its_roles_and_outcomes() -> None:
    """The tables cover the words of the schema and use no others."""
    assert set(STEP_ROLES) == set(STEP_OUTCOMES) == set(STEP_WORDS)
    assert set().union(*STEP_ROLES.values()) == set(ROLE_WORDS)
    assert set().union(*STEP_OUTCOMES.values()) == set(OUTCOME_WORDS)


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ("draft", set()),
        ("rejected", set()),
        ("approved", {Code.OWNER_DECISION_MISSING}),
        ("signed", {Code.OWNER_DECISION_MISSING, Code.SIGNATURE_MISSING}),
        (
            "active",
            {Code.OWNER_DECISION_MISSING, Code.SIGNATURE_MISSING, Code.ACTIVATION_MISSING},
        ),
    ],
)
def test_each_state_asks_for_the_steps_that_lead_to_it(status: str, wanted: set[Code]) -> None:
    """Nothing is asked of a draft; an active agreement needs them all."""
    assert codes(3, {("status",): status, STEPS: []}) == wanted


@pytest.mark.parametrize("outcome", ["favourable_with_conditions", "unfavourable"])
def test_advice_is_answered_in_the_note_of_the_decision(outcome: str) -> None:
    """A note answers it; going against it needs the SIRO as well."""
    advised = {(*STEPS, 2, "outcome"): outcome}
    answered = {**advised, (*STEPS, 4, "note"): "only the flag is returned"}
    risk = {Code.RISK_NOT_ACCEPTED} if outcome == "unfavourable" else set()
    assert codes(3, advised) == {Code.ADVICE_NOT_ANSWERED} | risk
    assert codes(3, answered) == risk


def test_the_siro_accepts_what_break_glass_risks() -> None:
    """Taken out of the safeguarding protocol, the acceptance is missed."""
    decisions = DOCUMENTS[2]["governance"]["decisions"]  # type: ignore[index]  # a plain document
    without = [one for one in decisions if one["step"] != "risk_acceptance"]
    assert codes(2, {STEPS: without}) == {Code.RISK_NOT_ACCEPTED}


def test_a_suspended_agreement_says_so() -> None:
    """The last of activation and suspension decides, and another activation ends it."""
    decisions = DOCUMENTS[3]["governance"]["decisions"]  # type: ignore[index]  # a plain document
    stop = {"step": "suspension", "role": "operator", "org": "ods:X9Z", "outcome": "suspended"}
    stopped = [*decisions, {**stop, "at": "2026-10-01T09:00:00Z"}]
    again = [*stopped, {**decisions[-1], "at": "2026-10-02T09:00:00Z"}]
    assert codes(3, {STEPS: stopped}) == {Code.STATUS_CONTRADICTS_STEPS}
    assert codes(3, {STEPS: stopped, ("status",): "suspended"}) == set()
    assert codes(3, {STEPS: again}) == set()


def test_the_order_of_steps_holds_to_the_second() -> None:
    """A signature at the instant of the approval stands; one a second before does not."""
    at = (*STEPS, 5, "at")
    assert codes(3, {at: "2026-08-03T09:00:00Z"}) == set()
    assert codes(3, {at: "2026-08-03T08:59:59Z"}) == {Code.STEPS_OUT_OF_ORDER}


def test_a_person_of_another_body_may_have_the_same_reference() -> None:
    """References name people within their organisation."""
    decided = {(*STEPS, 4, "person_ref"): "p-1"}
    assert codes(3, {**decided, (*STEPS, 0, "person_ref"): "p-1"}) == set()
    same = {**decided, (*STEPS, 0, "person_ref"): "p-1", (*STEPS, 0, "org"): DWP}
    assert codes(3, same) == {Code.DUTIES_NOT_SEPARATED}
