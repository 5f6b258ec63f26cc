"""Decisions in plain English."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policies.decide import decide
from policies.decision import Decision, ReasonCode, Verdict
from policies.explain import detail_of, explain
from policies.select import refuse


@pytest.mark.parametrize("reason", list(ReasonCode))
def test_every_reason_has_a_sentence(reason: ReasonCode) -> None:
    """Whatever the reason, the caller gets a sentence."""
    said = detail_of(Decision(verdict=Verdict.DENY, reason=reason))
    assert said.endswith(".")


def test_a_party_is_told_what_failed(pack: Any) -> None:
    """The sentence of the check that gave the reason."""
    said = detail_of(pack.decide("S1R1"))
    assert said == "COPI-NOTICE-GENERAL@5 ended at 2022-06-30T23:00:00+00:00."


def test_a_stranger_is_told_nothing_of_the_agreement(pack: Any) -> None:
    """Only the general sentence of the reason, whatever else failed."""
    for call_id in ("S1R6", "S3R6", "S1R7"):
        decision = pack.decide(call_id)
        assert detail_of(decision) == detail_of(refuse(decision.reason))


def test_a_refusal_is_explained_check_by_check(pack: Any) -> None:
    """The outcome first, then every failed check with its clause."""
    first, *others = explain(pack.decide("S3R1", on_behalf_of="ods:X9Z"))
    assert first == (
        "Refused under DSA-2026-0003 version 1, rule R1: The operation is closed at this time."
    )
    assert [one.split(":")[0] for one in others] == [
        "TIME_WINDOW_CLOSED (access.rules.R1.hours)",
        "ONWARD_SHARING_NOT_PERMITTED (onward_sharing)",
    ]


def test_a_permit_is_explained_with_its_law(pack: Any) -> None:
    """An urgent one says how long it lasts."""
    assert explain(pack.decide("S3A1")) == (
        "Permitted under DSA-2026-0003 version 1, rule R1, relying on DEA2017-s35-FUEL-POVERTY@1.",
    )
    assert "as an urgent grant until 2026-11-19T03:38" in explain(pack.decide("S2B1"))[0]


def test_what_could_not_be_told_is_said_so(pack: Any) -> None:
    """A check that could not be made counts as no, and says it."""
    policy, lawless = pack.policies["DSA-2026-0003"], replace(pack.law, instruments={})
    denied = decide(policy, pack.query("S3A1"), lawless)
    assert "could not be told" in explain(denied)[1]
