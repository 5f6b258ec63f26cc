"""`policy explain`, as it is typed."""

from __future__ import annotations

import json

import pytest

from gateway.cli.output import Stop
from tests.gateway.cli.conftest import Run

DESCRIBED = (
    *("--agreement", "DSA-2026-0002", "--organisation", "gss:E10999001"),
    *("--client", "exampleshire-mash", "--purpose", "CHILD_SAFEGUARDING_S47", "--user", "u:1"),
    *("--path", "/safeguarding/v1/children/9992000015/known", "--at", "2026-11-18T10:00:00Z"),
    *("--context", "case_reference=MASH-1", "--acr", "AAL2"),
)


def test_a_call_of_the_pack_is_explained(run: Run) -> None:
    """The outcome first, each check with its clause, and what can be done."""
    shown = run("policy", "explain", "S2R1")
    lines = shown.stdout.splitlines()
    assert shown.exit_code == 0
    assert lines[0].startswith("Refused under DSA-2026-0002 version 2, rule R1")
    assert any(line.startswith("Failed. hours:") for line in lines)
    assert any(line.startswith("Passed. role:") for line in lines)
    assert "urgent access is open" in lines[-1]


def test_a_permit_lists_its_checks_as_data(run: Run) -> None:
    """For programs: every check of a permit, passed, with its clause."""
    told = json.loads(run("policy", "explain", "S1A1", "--json").stdout)
    assert told["permitted"]
    assert {check["outcome"] for check in told["checks"]} == {"passed"}
    assert "access.rules.R1.filters_required" in {check["clause"] for check in told["checks"]}


def test_an_urgent_call_is_explained_with_its_grant(run: Run) -> None:
    """What the grant sets aside is said, and how long it lasts."""
    lines = run("policy", "explain", "S2B1").stdout.splitlines()
    assert "as an urgent grant until 2026-11-19T03:38:00+00:00" in lines[0]
    assert any("Urgent access sets the opening hours aside." in line for line in lines)


def test_a_call_that_is_described_is_explained(run: Run) -> None:
    """The same call with and without the role that the rule asks for."""
    let_in = run("policy", "explain", *DESCRIBED, "--role", "mash-social-worker", "--json")
    kept_out = run("policy", "explain", *DESCRIBED, "--role", "data-analyst", "--json")
    assert json.loads(let_in.stdout)["reason"] == "OK"
    assert json.loads(kept_out.stdout)["reason"] == "ROLE_NOT_PERMITTED"


def test_parameters_and_narrowed_fields_are_told_apart(run: Run) -> None:
    """A filter is a parameter; `_fields` narrows the answer."""
    words = (*DESCRIBED, "--role", "mash-social-worker", "--query", "_fields=known")
    assert json.loads(run("policy", "explain", *words, "--json").stdout)["reason"] == "OK"
    told = json.loads(run("policy", "explain", *words, "--query", "town=x", "--json").stdout)
    assert told["reason"] == "FIELD_NOT_PERMITTED"


def test_a_stranger_is_told_no_clause(run: Run) -> None:
    """Where no agreement is found, there is nothing of one to tell."""
    words = ("--organisation", "ods:NEW", "--path", "/spl/v1/people", "--json")
    told = json.loads(run("policy", "explain", *words).stdout)
    assert (told["reason"], told["agreement"]) == ("AGREEMENT_NOT_FOUND", None)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("S9X9",),
        ("--organisation", "ods:X9Z"),
        (*DESCRIBED, "--at", "yesterday"),
        (*DESCRIBED, "--context", "x"),
    ],
)
def test_what_cannot_be_told_is_exit_2(run: Run, words: tuple[str, ...]) -> None:
    """No call, an unknown one, a half one, and an instant that is none."""
    with pytest.raises(Stop) as stopped:
        run("policy", "explain", *words)
    assert stopped.value.code == 2
