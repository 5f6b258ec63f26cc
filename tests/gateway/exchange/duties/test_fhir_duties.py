"""Duties on FHIR records: Bundles and single resources, never narrowed in silence."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.duties.applied import Applied, Shape, Withheld
from gateway.exchange.duties.apply import apply_duties
from gateway.exchange.duties.fhir_duties import apply_to_fhir
from gateway.exchange.duties.fhir_resource import MASKED, SUBSETTED
from policies.decision import Duties, ReasonCode, Restricted

FIELDS = frozenset({"Patient.birthDate", "Patient.address.city", "Flag.code.text"})
DUTIES = Duties(
    allowed=FIELDS,
    declared=FIELDS | {"Patient.id", "Patient.address.district", "Patient.identifier.value"},
    scope={"Patient.address.district": frozenset({"E1"})},
    restricted=Restricted(when={"Patient.active": "false"}, redact=frozenset({"Patient.address"})),
    subject_field="Patient.identifier.value",
    records_max=3,
)
PLAIN = Duties(allowed=FIELDS, declared=FIELDS)


def patient(number: str = "9991000011", district: str = "E1", **more: Any) -> dict[str, Any]:
    """Build a patient whose address is open."""
    return {
        "resourceType": "Patient",
        "id": "MARKER-ID",
        "identifier": [{"value": number}],
        "active": True,
        "birthDate": "1948-03-02",
        "address": [{"city": "Northvale", "district": district, "line": ["MARKER-LINE"]}],
        **more,
    }


def bundle(*resources: dict[str, Any], **more: Any) -> bytes:
    """Build a searchset that says all that a server says."""
    entries = [
        {
            "fullUrl": "https://internal.example/MARKER-URL",
            "resource": resource,
            "search": {"mode": "match", "score": 0.5},
        }
        for resource in resources
    ]
    return json.dumps(
        {
            "resourceType": "Bundle",
            "id": "MARKER-BUNDLE",
            "type": "searchset",
            "total": len(resources),
            "link": [{"relation": "self", "url": "https://internal.example/?MARKER-LINK"}],
            "entry": entries,
            **more,
        }
    ).encode()


def apply(duties: Duties, body: bytes, shape: Shape | None = None) -> Applied:
    """Apply duties to an answer that is expected to be released."""
    applied = apply_to_fhir(duties, shape or Shape(), body)
    assert isinstance(applied, Applied)
    assert b"MARKER" not in applied.body
    return applied


def test_scope_protection_and_fields_work_together() -> None:
    """Resources out of scope go and the total follows; a protected address is not there."""
    body = bundle(
        patient("1"), patient("2", "E2"), patient("3", active=False), patient("4", active="x")
    )
    applied = apply(DUTIES, body)
    document = json.loads(applied.body)
    resources = [entry["resource"] for entry in document["entry"]]

    assert {name: document[name] for name in ("resourceType", "type", "total", "meta")} == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 3,
        "meta": {"tag": [SUBSETTED]},
    }
    assert resources[0] == {
        "resourceType": "Patient",
        "meta": {"tag": [SUBSETTED]},
        "birthDate": "1948-03-02",
        "address": [{"city": "Northvale"}],
    }
    assert ["address" in resource for resource in resources] == [True, False, False]
    assert document["entry"][0]["search"] == {"mode": "match"}
    assert (applied.records, applied.records_dropped) == (3, 1)
    assert applied.subjects == {"1", "3", "4"}
    assert applied.redacted_subjects == 2
    assert applied.fields_sent == ("Patient.address.city", "Patient.birthDate")
    assert "Patient.id" in applied.fields_withheld
    assert applied.leaked == ("Patient.address.line",)


def test_a_single_resource_is_narrowed() -> None:
    """What is read by its id has the same duties."""
    applied = apply(DUTIES, json.dumps(patient()).encode())

    assert json.loads(applied.body)["birthDate"] == "1948-03-02"
    assert applied.records == 1


def test_a_required_element_that_is_withheld_is_masked() -> None:
    """A flag without status or subject would be no flag; that they are withheld shows."""
    flag = {
        "resourceType": "Flag",
        "status": "active",
        "code": {"text": "falls", "coding": [{"code": "MARKER"}]},
        "subject": {"reference": "Patient/MARKER"},
    }
    resource = json.loads(apply(PLAIN, json.dumps(flag).encode()).body)

    assert resource["_status"] == resource["subject"] == MASKED
    assert resource["code"] == {"text": "falls"}


def test_resources_that_no_field_names_are_dropped() -> None:
    """What was included, and the service's own messages, are not in the agreement."""
    entries = [
        {"resource": patient(), "search": {"mode": "match"}},
        {"resource": {"resourceType": "Coverage", "id": "MARKER"}, "search": {"mode": "include"}},
        {
            "resource": {"resourceType": "OperationOutcome", "issue": [{"diagnostics": "MARKER"}]},
            "search": {"mode": "outcome"},
        },
    ]
    applied = apply(PLAIN, bundle(entry=entries, total=1))
    document = json.loads(applied.body)

    assert document["total"] == len(document["entry"]) == 1
    assert applied.records_dropped == 1


def test_a_search_without_a_hit_leaves() -> None:
    """Nobody was found: FHIR has no empty list, so there is none."""
    document = json.loads(apply(DUTIES, bundle(patient(district="E2"))).body)

    assert document["total"] == 0
    assert "entry" not in document


@pytest.mark.parametrize(
    "more",
    [
        {"link": [{"relation": "next", "url": "https://internal.example/?page=2"}]},
        {"total": 40},
        {"total": 1.0},
    ],
)
def test_a_page_of_several_is_withheld(more: dict[str, Any]) -> None:
    """A total of what is on this page would pass off a part as the whole."""
    assert isinstance(apply_to_fhir(PLAIN, Shape(), bundle(patient(), **more)), Withheld)


@pytest.mark.parametrize(
    "document",
    [
        {"resourceType": "OperationOutcome", "issue": []},
        {"resourceType": "Coverage", "id": "x"},
        {"resourceType": "Bundle", "type": "history", "entry": []},
        {"resourceType": "Bundle", "entry": []},
        {"resourceType": "Bundle", "type": "searchset", "entry": [{"fullUrl": "x"}]},
        {"resourceType": "Bundle", "type": "searchset", "entry": {"resource": patient()}},
        {"resourceType": 1},
        {"birthDate": "1948-03-02"},
        [patient()],
        patient(birthDate={"x": 1}),
        patient(modifierExtension=[{"url": "urn:not", "valueBoolean": True}]),
        patient(district="E2"),
    ],
)
def test_what_is_not_understood_is_withheld(document: object) -> None:
    """Other documents, other shapes, other people: nothing of them leaves."""
    withheld = apply_to_fhir(DUTIES, Shape(), json.dumps(document).encode())

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.DUTY_NOT_APPLICABLE


@pytest.mark.parametrize("mode", ["MARKER", "Match", ""])
def test_a_reason_of_the_search_that_is_no_code_withholds_the_answer(mode: str) -> None:
    """Where FHIR has a code, free text could be anything, a person's name included."""
    entry = {"resource": patient(), "search": {"mode": mode}}
    body = {"resourceType": "Bundle", "type": "searchset", "entry": [entry]}

    assert isinstance(apply_to_fhir(PLAIN, Shape(), json.dumps(body).encode()), Withheld)


def test_a_type_whose_required_elements_are_unknown_is_withheld() -> None:
    """What cannot be masked rightly is not narrowed at all."""
    duties = Duties(allowed=frozenset({"Strange.id"}))
    body = b'{"resourceType":"Strange","id":"x"}'

    assert isinstance(apply_to_fhir(duties, Shape(), body), Withheld)


def test_too_many_resources_are_withheld() -> None:
    """The rule's limit counts what would leave."""
    withheld = apply_to_fhir(DUTIES, Shape(), bundle(*[patient(str(n)) for n in range(4)]))

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.VOLUME_EXCEEDED


def test_the_guard_holds_for_records_too() -> None:
    """Counts that the service says it has are judged before anything is narrowed."""
    duties = replace(PLAIN, allowed=frozenset({"Group.quantity"}), small_number_guard=True)
    shape = Shape(records_at="/entry", count_at=("/entry/*/resource/quantity",))
    answers = [
        apply_to_fhir(duties, shape, bundle({"resourceType": "Group", "quantity": count}))
        for count in (3, 40)
    ]

    assert isinstance(answers[0], Withheld)
    assert answers[0].reason is ReasonCode.SMALL_NUMBERS_WITHHELD
    assert isinstance(answers[1], Applied)


def test_a_protected_person_never_matches_a_filter_on_a_redacted_field() -> None:
    """Their presence would tell what is redacted, so the resource goes."""
    duties = replace(
        DUTIES, restricted=Restricted(when={"Patient.active": "false"}, redact=frozenset({"city"}))
    )
    applied = apply(duties, bundle(patient(active=False)), Shape(filtered_on=frozenset({"city"})))

    assert applied.records == 0


@given(st.binary(max_size=60) | st.text().map(str.encode))
def test_any_bytes_give_an_answer(body: bytes) -> None:
    """Unreadable answers are withheld; nothing is ever raised."""
    assert isinstance(apply_to_fhir(DUTIES, Shape(), body), Applied | Withheld)


def test_fhir_is_told_by_its_media_type() -> None:
    """XML and older names of FHIR's JSON are withheld."""
    body = json.dumps(patient()).encode()
    for media_type, kind in (
        ("application/fhir+json; fhirVersion=4.0", Applied),
        ("application/fhir+xml", Withheld),
        ("application/json+fhir", Withheld),
    ):
        found = apply_duties(PLAIN, Shape(), media_type=media_type, body=body)
        assert isinstance(found, kind)
