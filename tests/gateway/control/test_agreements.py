"""Tests of agreements over the API."""

from __future__ import annotations

from dataclasses import replace

from gateway.registry.store import StopKind
from policies.document import digest
from tests.configured import pack_configuration
from tests.control_listener import Control

KEY = "DSA-2020-0001"


def test_agreements_in_force_are_listed(control: Control) -> None:
    """The list tells what is agreed with whom, for what, and whether it is stopped."""
    configuration = pack_configuration()
    control.registry.apply(configuration, by="test")
    control.registry.stop(StopKind.AGREEMENT, KEY, reason="incident", by="test")
    (answer,) = control.get("/api/v1/agreements")
    listed = {one["agreement_id"]: one for one in answer.json()["agreements"]}

    assert set(listed) == set(configuration.agreements)
    assert listed[KEY] == {
        "agreement_id": KEY,
        "version": 4,
        "title": "Shielded patients list to Northvale Council for support packages",
        "kind": "dsa",
        "status": "active",
        "stopped": True,
        "parties": ["ods:X9Z", "gss:E06999001"],
        "purposes": ["SHIELDING_SUPPORT", "SHIELDING_FEEDBACK"],
        "digest": digest(configuration.agreements[KEY]),
        "since_revision": 1,
    }
    assert not listed["DSA-2026-0002"]["stopped"]


def test_one_agreement_is_shown_with_its_history(control: Control) -> None:
    """The document stands as it was signed, with every state that it was in."""
    first = pack_configuration()
    changed = {**first.agreements[KEY], "version": 5}
    control.registry.apply(first, by="test")
    control.registry.apply(replace(first, agreements={**first.agreements, KEY: changed}), by="test")
    (answer,) = control.get(f"/api/v1/agreements/{KEY}")
    shown = answer.json()

    assert shown["document"] == changed
    assert (shown["present"], shown["stopped"]) == (True, False)
    assert [(one["version"], one["until_revision"]) for one in shown["history"]] == [
        (5, None),
        (4, 2),
    ]


def test_an_agreement_that_was_removed_is_still_shown(control: Control) -> None:
    """What was once in force can be looked up for ever."""
    configuration = pack_configuration()
    control.registry.apply(configuration, by="test")
    control.registry.apply(replace(configuration, agreements={}), by="test")
    listed, shown = control.get("/api/v1/agreements", f"/api/v1/agreements/{KEY}")

    assert listed.json() == {"agreements": []}
    assert shown.json()["present"] is False
