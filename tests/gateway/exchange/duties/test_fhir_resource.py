"""One FHIR resource, narrowed: what leaves was named, and what is missing shows."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.exchange.duties.fhir_resource import (
    ABSENT_REASON,
    DEPTH_MAX,
    MASKED,
    SUBSETTED,
    FhirUnreadable,
    Narrowing,
    text_at,
)
from gateway.exchange.duties.record_layouts import read_members

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "MARKER-ID",
    "meta": {"versionId": "MARKER-META", "security": [{"code": "MARKER-LABEL"}]},
    "text": {"status": "generated", "div": "<div>MARKER-NARRATIVE</div>"},
    "contained": [{"resourceType": "Organization", "id": "o", "name": "MARKER-CONTAINED"}],
    "extension": [{"url": "urn:x", "valueString": "MARKER-EXTENSION"}],
    "identifier": [{"system": "urn:nhs", "value": "9991000011", "assigner": {"display": "MARKER"}}],
    "name": [
        {
            "family": "SYNTHETIC",
            "given": ["Ann", "Bea"],
            "_given": [None, {"extension": [{"url": "urn:x", "valueString": "MARKER-PRIMITIVE"}]}],
            "extension": [{"url": "urn:x", "valueString": "MARKER-DEEP"}],
        },
        {"text": "MARKER-NAME"},
    ],
    "birthDate": "1948-03-02",
    "_birthDate": {"extension": [{"url": "urn:time", "valueDateTime": "MARKER-TIME"}]},
    "communication": [{"preferred": True, "language": {"text": "MARKER-LANGUAGE"}}],
}


def narrow(
    resource: dict[str, Any] | bytes, *permitted: str, declared: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Narrow a resource and read what is left as a consumer would."""
    body = resource if isinstance(resource, bytes) else json.dumps(resource).encode()
    members = read_members(body)
    kind = json.loads(bytes(members["resourceType"]))
    narrowed = Narrowing(declared | set(permitted)).narrow(kind, members, frozenset(permitted))
    read: dict[str, Any] = json.loads(msgspec.json.encode(narrowed))
    return read


def test_only_named_values_leave() -> None:
    """Nothing of the narrative, contained resources, extensions, ids or metadata is left."""
    narrowed = narrow(
        PATIENT,
        "Patient.name.family",
        "Patient.name.given",
        "Patient.birthDate",
        "Patient.identifier.value",
    )

    assert narrowed == {
        "resourceType": "Patient",
        "meta": {"tag": [SUBSETTED]},
        "identifier": [{"value": "9991000011"}],
        "name": [{"family": "SYNTHETIC", "given": ["Ann", "Bea"]}],
        "birthDate": "1948-03-02",
    }


def test_a_resource_says_that_it_is_incomplete() -> None:
    """The tag joins those that may leave."""
    resource = {"resourceType": "Patient", "meta": {"tag": [{"code": "a", "display": "b"}]}}

    assert narrow(resource, "Patient.meta.tag.code")["meta"] == {"tag": [{"code": "a"}, SUBSETTED]}


def test_numbers_are_as_they_came() -> None:
    """Digits of a clinical value have a meaning; none is rewritten."""
    body = b'{"resourceType":"Observation","valueQuantity":{"value":1.500e1,"unit":"x"}}'
    members = read_members(body)
    narrowed = Narrowing(frozenset()).narrow(
        "Observation", members, frozenset({"Observation.valueQuantity.value"})
    )

    assert b'"valueQuantity":{"value":1.500e1}' in msgspec.json.encode(narrowed)


def test_required_elements_that_are_withheld_are_masked() -> None:
    """Never silent: each in the shape that FHIR gives it, whether the service had it or not."""
    assert narrow({"resourceType": "Encounter", "status": "MARKER", "id": "x"}, "Encounter.id") == {
        "resourceType": "Encounter",
        "meta": {"tag": [SUBSETTED]},
        "id": "x",
        "_status": MASKED,
        "class": MASKED,
    }
    assert narrow({"resourceType": "Schedule"}, "Schedule.id")["actor"] == [MASKED]
    assert narrow({"resourceType": "Immunization"}, "Immunization.id")["_occurrenceDateTime"] == (
        MASKED
    )


def test_a_required_element_is_masked_inside_what_leaves() -> None:
    """A structure that leaves in part is explained; one that does not leave is not there."""
    narrowed = narrow(PATIENT, "Patient.communication.preferred")

    assert narrowed["communication"] == [{"preferred": True, "language": MASKED}]
    assert "communication" not in narrow(PATIENT, "Patient.birthDate")


def test_another_type_of_a_choice_is_enough() -> None:
    """Where the service chose text for ``occurrence[x]``, no date is missing."""
    resource = {"resourceType": "Immunization", "occurrenceString": "spring"}
    narrowed = narrow(resource, "Immunization.occurrenceString")

    assert narrowed["occurrenceString"] == "spring"
    assert "_occurrenceDateTime" not in narrowed


@pytest.mark.parametrize("reason", ["unknown", "asked-declined", "not-performed"])
def test_the_services_own_reason_stays(reason: str) -> None:
    """Unknown is not masked: what the service says of a value that may leave is passed on."""
    why = {"extension": [{"url": ABSENT_REASON, "valueCode": reason}]}
    resource = {"resourceType": "Encounter", "_status": why, "class": why}
    narrowed = narrow(resource, "Encounter.status", "Encounter.class.code")

    assert narrowed["_status"] == narrowed["class"] == why


@pytest.mark.parametrize(
    "why",
    [
        {"extension": [{"url": ABSENT_REASON, "valueCode": "MARKER"}]},
        {"extension": [{"url": ABSENT_REASON, "valueCode": "unknown", "id": "MARKER"}]},
        {"extension": [{"url": ABSENT_REASON, "valueCode": "unknown"}], "id": "MARKER"},
        {"extension": [{"url": "urn:MARKER", "valueCode": "unknown"}]},
        {"extension": []},
    ],
)
def test_anything_more_than_a_reason_stays_behind(why: dict[str, object]) -> None:
    """An extension that says anything else could say everything."""
    resource = {"resourceType": "Encounter", "_status": why, "class": why}
    narrowed = narrow(resource, "Encounter.status", "Encounter.class.code")

    assert narrowed["_status"] == narrowed["class"] == MASKED


WHY = json.dumps({"url": ABSENT_REASON, "valueCode": "masked"}).encode()


@pytest.mark.parametrize(
    "why",
    [
        b'{"extension":[{"url":"MARKER","valueCode":"MARKER"}],"extension":[%b]}' % WHY,
        b'{"extension":[{"url":"MARKER","valueCode":"MARKER",%b]}' % WHY[1:],
    ],
    ids=["the list", "in the list"],
)
def test_a_reason_given_twice_leaves_as_it_was_judged(why: bytes) -> None:
    """Of a member given twice the last is judged, so the first must not leave."""
    members = read_members(b'{"resourceType":"Encounter","_status":%b,"class":%b}' % (why, why))
    permitted = frozenset({"Encounter.status", "Encounter.class.code"})
    left = msgspec.json.encode(Narrowing(permitted).narrow("Encounter", members, permitted))

    # The bytes count: a reader of JSON would take the last member too, and see no difference.
    assert b"MARKER" not in left
    assert json.loads(left)["_status"] == json.loads(left)["class"] == MASKED


@pytest.mark.parametrize(
    "meta",
    [
        [{"tag": [{"code": "a"}]}],
        {"extension": [{"url": ABSENT_REASON, "valueCode": "masked"}]},
        {"tag": {"code": "a"}},
        {"tag": {"extension": [{"url": ABSENT_REASON, "valueCode": "masked"}]}},
    ],
)
def test_metadata_that_take_no_tag_withhold_the_answer(meta: object) -> None:
    """A resource that cannot be marked as incomplete does not leave, and is no fault of ours."""
    with pytest.raises(FhirUnreadable):
        narrow({"resourceType": "Patient", "meta": meta}, "Patient.meta.tag.code")


@pytest.mark.parametrize(
    ("reference", "leaves"),
    [
        ("Patient/9991000011", False),
        ("https://fhir.example/r4/Patient/9991000011/_history/2", False),
        ("#p1", False),
        ("urn:uuid:00000000-0000-4000-8000-000000000001", False),
        ("Organization/R9Z", True),
        ("Patient/9991000011 Ann SYNTHETIC", False),
    ],
)
def test_a_reference_leaves_where_it_tells_no_withheld_id(reference: str, leaves: bool) -> None:
    """Else an id that is withheld would leave by another name; a local one points to nothing."""
    resource = {
        "resourceType": "Flag",
        "subject": {"reference": reference, "display": "MARKER", "identifier": {"value": "MARKER"}},
    }
    narrowed = narrow(
        resource, "Flag.subject.reference", declared=frozenset({"Patient.id", "Flag.id"})
    )

    assert narrowed["subject"] == ({"reference": reference} if leaves else MASKED)


@pytest.mark.parametrize(
    "resource",
    [
        {"birthDate": {"year": 1948}},
        {"birthDate": [{"year": 1948}]},
        {"birthDate": None},
        {"birthDate": [["1948-01-01"]]},
        {"photo": [[]]},
        {"modifierExtension": [{"url": "urn:not", "valueBoolean": True}]},
        {"name": [{"modifierExtension": [{"url": "urn:not", "valueBoolean": True}]}]},
        {"implicitRules": "urn:x"},
        {"managingOrganization": {"reference": 1}},
    ],
)
def test_what_is_not_understood_withholds_the_answer(resource: dict[str, Any]) -> None:
    """Structures where a value may leave, lists in lists, elements that turn others' meaning."""
    with pytest.raises(FhirUnreadable):
        narrow(
            {"resourceType": "Patient", **resource},
            "Patient.birthDate",
            "Patient.managingOrganization.reference",
        )


def test_nesting_is_bounded() -> None:
    """A resource as deep as a well is no resource."""
    deep = b'{"a":' * (DEPTH_MAX + 2) + b"1" + b"}" * (DEPTH_MAX + 2)
    with pytest.raises(FhirUnreadable):
        narrow(b'{"resourceType":"Patient","a":' + deep + b"}", "Patient.id")


def test_names_are_kept_count_of() -> None:
    """What the service returned, less what every resource has, and what leaves."""
    narrowing = Narrowing(frozenset())
    members = read_members(json.dumps(PATIENT).encode())
    narrowing.narrow("Patient", members, frozenset({"Patient.birthDate"}))

    assert narrowing.sent == {"Patient.birthDate"}
    assert narrowing.returned == {
        *("Patient.identifier.system", "Patient.identifier.value"),
        *("Patient.identifier.assigner.display", "Patient.name.family", "Patient.name.given"),
        *("Patient.name.text", "Patient.birthDate", "Patient.communication.preferred"),
        "Patient.communication.language.text",
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Patient.birthDate", "1948-03-02"),
        ("Patient.identifier.value", "9991000011"),
        ("Patient.communication.preferred", "true"),
        ("Patient.name.given", None),
        ("Patient.name", None),
        ("Patient.name.family.x", None),
        ("Patient", None),
        ("Encounter.status", None),
        ("Patient.gender", None),
    ],
)
def test_a_value_that_is_checked_is_the_only_one(path: str, expected: str | None) -> None:
    """Which of several counts nobody can tell, so none does."""
    members = read_members(json.dumps(PATIENT).encode())

    assert text_at("Patient", members, path) == expected
