"""Every call of the scenario pack that can be decided without a network is decided as expected."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from policies.decision import Decision

ON_RECORD = ("action", "instrument")


def test_every_call_of_the_pack_is_decided_as_it_expects(pack: Any) -> None:
    """Decision, status, reason, rule, hint, action, instrument and alert are those expected."""
    wrong, decided = [], 0
    for call in pack.calls():
        if call.get("proof"):
            continue  # the token does not hold, so nothing is decided
        decided += 1
        wrong += [(call["id"], *found) for found in _differences(call, pack.play(call))]
    assert not wrong
    assert decided > 0


def _differences(call: dict[str, Any], decision: Decision) -> list[tuple[str, object, object]]:
    expected, record = call["expect"], call["audit"]
    withheld = expected["decision"] == "permit" and expected["status"] >= 500
    pairs: list[tuple[str, object, object]] = [
        ("decision", expected["decision"], decision.verdict.value),
        ("permitted", expected["decision"] != "deny", decision.permitted),
    ]
    if not withheld:
        pairs.append(("reason", expected["reason"], decision.reason.value))
    if not decision.permitted:
        pairs.append(("status", expected["status"], decision.status))
    pairs += [
        (name, expected[name], getattr(decision, name))
        for name in ("rule", "hint")
        if name in expected
    ]
    if decision.rule is not None or decision.permitted:
        pairs += [
            (name, record[name], getattr(decision, name)) for name in ON_RECORD if name in record
        ]
    if record.get("alert") and not withheld:
        pairs.append(("alert", True, decision.alert))
    if "fields" in expected:
        pairs.append(("fields", set(expected["fields"]), decision.duties.allowed))
    if "subject_view" in record:
        hidden = decision.duties.hide_from_subject
        pairs.append(("view", record["subject_view"], "hidden" if hidden else "visible"))
    if "notify" in record and decision.break_glass:
        pairs.append(("notify", tuple(record["notify"]), decision.break_glass.notify))
        due = datetime.fromisoformat(record["review_due"])
        pairs.append(("review due", due, decision.break_glass.review_due))
    return [pair for pair in pairs if pair[1] != pair[2]]


def test_the_same_calls_without_a_named_agreement_find_it(pack: Any) -> None:
    """A permitted call that names no agreement is permitted under the one that fits it."""
    for call in pack.calls():
        named = pack.play(call)
        if named.permitted:
            assert named == pack.play({**call, "agreement": None}), call["id"]
