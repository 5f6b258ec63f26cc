"""Records as OCSF and FHIR events: required members, and nothing personal unless opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.entry import Kind
from gateway.audit.exports.events import fhir_audit_event, is_event, iso_time, ocsf_event
from gateway.audit.exports.selection import Picked, Selection, pick
from gateway.audit.reading.reader import snapshot
from tests.gateway.audit.exporting import PERSON, RECORDS, export_log
from tests.gateway.audit.records import ORIGIN, keys_in

OCSF_REQUIRED = {
    "activity_id", "category_uid", "class_uid", "severity_id", "time", "type_uid", "metadata",
    "actor", "api", "src_endpoint",
}  # fmt: skip
PERSONAL = (PERSON, "192.0.2.7", "SYNTHETIC-USER", "council-app")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a log."""
    return export_log(tmp_path_factory.mktemp("log"))


def events_of(log: Path, *, personal: bool) -> list[Picked]:
    """Return the records that are events."""
    keys = keys_in(log.parent.parent) if personal else None
    with snapshot(log) as db:
        return list(filter(is_event, pick(db, Selection(), end=RECORDS, keys=keys)))


def first(events: list[Picked], kind: Kind) -> Picked:
    """Return the first event of a kind."""
    return next(item for item in events if item.kind is kind)


def test_an_exchange_is_one_event(log: Path) -> None:
    """Its intent is told by its end, so that counts of events are counts of exchanges."""
    kinds = {item.kind for item in events_of(log, personal=False)}
    assert kinds == {Kind.OPEN, Kind.CHANGE, Kind.OUTCOME, Kind.DENY}


def test_ocsf_has_every_required_member(log: Path) -> None:
    """Class 6003, with the activity of the method, for all kinds of records (OCSF 1.5.0)."""
    for picked in events_of(log, personal=False):
        event: dict[str, Any] = ocsf_event(picked, ORIGIN)
        assert event.keys() >= OCSF_REQUIRED
        assert event["class_uid"] == 6003
        assert event["type_uid"] == 600300 + event["activity_id"]
        assert event["metadata"]["sequence"] == picked.index
        assert {"version", "product", "uid"} <= event["metadata"].keys()
        assert event["api"]["operation"]
        assert event["actor"]["user"]
        assert event["src_endpoint"]


def test_ocsf_tells_what_was_decided(log: Path) -> None:
    """A refusal is denied and blocked, an answered exchange allowed, with the agreement."""
    events = events_of(log, personal=False)
    refused: dict[str, Any] = ocsf_event(first(events, Kind.DENY), ORIGIN)
    allowed: dict[str, Any] = ocsf_event(first(events, Kind.OUTCOME), ORIGIN)
    assert (refused["action_id"], refused["status_code"]) == (2, "PURPOSE_NOT_PERMITTED")
    assert (allowed["action_id"], allowed["activity_id"]) == (1, 2)
    assert allowed["api"]["operation"] == "GET /spl/v1/people"
    policy = allowed["actor"]["authorizations"][0]["policy"]
    assert (policy["uid"], policy["version"]) == ("DSA-2026-0003", "1")
    change: dict[str, Any] = ocsf_event(first(events, Kind.CHANGE), ORIGIN)
    assert (change["activity_id"], change["api"]["operation"]) == (3, "admin.change")


def test_fhir_has_every_required_member(log: Path) -> None:
    """type, recorded, agent.requestor and source.observer (FHIR R4 AuditEvent), for all kinds."""
    for picked in events_of(log, personal=False):
        event: dict[str, Any] = fhir_audit_event(picked, ORIGIN)
        assert event["resourceType"] == "AuditEvent"
        assert {"system", "code"} <= event["type"].keys()
        assert event["recorded"] == iso_time(picked.at_us)
        assert event["action"] in set("CRUDE")
        assert event["outcome"] in {"0", "4", "8", "12"}
        assert all(isinstance(agent["requestor"], bool) for agent in event["agent"])
        assert event["agent"][0]["requestor"]
        assert event["source"]["observer"]


def test_personal_sections_are_told_only_if_opened(log: Path) -> None:
    """Who asked, from where and about whom stays in the log unless it was asked for."""
    for personal in (False, True):
        events = events_of(log, personal=personal)
        for make in (ocsf_event, fhir_audit_event):
            text = json.dumps([make(item, ORIGIN) for item in events])
            assert [word in text for word in PERSONAL] == [personal] * len(PERSONAL)
