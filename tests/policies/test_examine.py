"""Every check of a decision is listed, those that passed too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from policies.decide import decide
from policies.decision import Outcome
from policies.examine import CHECK_NAMES, examine

POLICIES = Path(__file__).parents[2] / "policies"


def test_a_permit_lists_what_it_passed(pack: Any) -> None:
    """Every check of a permit passed, and each says against which clause."""
    found = examine(pack.policies["DSA-2026-0002"], pack.query("S2A2"), pack.law)
    assert found.decision.permitted
    assert {check.outcome for check in found.checks} == {Outcome.PASSED}
    assert {"hours", "role", "assurance", "request context", "legal instrument"} <= {
        check.name for check in found.checks
    }
    assert all(check.clause and check.detail.endswith(".") for check in found.checks)


def test_failed_checks_are_the_decisions_own(pack: Any) -> None:
    """What is listed as failed is what the decision holds, in its order, and nothing else."""
    for call in pack.calls():
        policy, query = pack.policies[call["agreement"]], pack.query(call["id"])
        found = examine(policy, query, pack.law)
        failed = [check for check in found.checks if check.outcome is not Outcome.PASSED]
        assert sorted(failed, key=repr) == sorted(decide(policy, query, pack.law).checks, key=repr)
        passed = {check.name for check in found.checks if check.outcome is Outcome.PASSED}
        assert not passed & {check.name for check in failed}


def test_no_rule_no_checks_of_a_rule(pack: Any) -> None:
    """Where no rule is the caller's, nothing is said of a rule's clauses."""
    found = examine(pack.policies["DSA-2026-0002"], pack.query("S2R9"), pack.law)
    assert not [check for check in found.checks if check.clause.startswith("access.rules.")]
    assert "operation" in {check.name for check in found.checks}


def test_urgent_access_says_what_it_sets_aside(pack: Any) -> None:
    """Hours that were closed and a role that was let in are told as such."""
    found = examine(pack.policies["DSA-2026-0002"], pack.query("S2B1"), pack.law)
    said = {check.name: check.detail for check in found.checks}
    assert said["hours"] == "Urgent access sets the opening hours aside."
    assert said["role"] == "Urgent access lets this role in."


def test_every_check_has_its_place() -> None:
    """Each name that a check can give is known here, so that none is left out of the order."""
    source = "".join((POLICIES / f"{one}.py").read_text() for one in ("checks", "request_checks"))
    named = set(re.findall(r'Finding\(\s*"([a-z -]+)"', source))
    assert named <= CHECK_NAMES
    assert len(named) > len(CHECK_NAMES) // 2
