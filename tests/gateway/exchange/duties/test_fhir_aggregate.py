"""FHIR aggregates: only documents of which every member is understood pass whole."""

from __future__ import annotations

import copy
import json
from importlib.resources import files
from typing import Any

import pytest

from gateway.exchange.duties.apply import Applied, Shape, Withheld, apply_duties
from gateway.exchange.duties.fhir_aggregate import entries_in, is_aggregate
from policies.decision import Duties, ReasonCode

MASKED = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "masked",
        }
    ]
}
CONCEPT = {"coding": [{"system": "urn:x", "code": "a", "display": "A b"}], "text": "85+"}
REPORT: dict[str, Any] = {
    "resourceType": "MeasureReport",
    "id": "adm-001",
    "meta": {"versionId": "1", "lastUpdated": "2026-11-05T09:00:00+00:00"},
    "status": "complete",
    "type": "summary",
    "measure": "https://example.org/Measure/m|1.0.0",
    "date": "2026-11-05",
    "reporter": {"identifier": {"system": "urn:x", "value": "R9Z"}, "display": "A trust"},
    "period": {"start": "2026-08", "end": "2026-08-31"},
    "group": [
        {
            "code": CONCEPT,
            "population": [{"code": CONCEPT, "count": 145}, {"_count": MASKED}],
            "stratifier": [
                {"code": [CONCEPT], "stratum": [{"value": CONCEPT, "population": [{"count": 10}]}]}
            ],
        }
    ],
}
DUTIES = Duties(allowed=frozenset(), aggregate=True, small_number_guard=True)


def bundle(*reports: object, **more: object) -> dict[str, object]:
    """Build a searchset of `reports`."""
    entries = [{"resource": report, "search": {"mode": "match"}} for report in reports]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entries, **more}


def changed(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """Build a report with one member set to `value`; None: taken out."""
    report = copy.deepcopy(REPORT)
    place: Any = report
    for part in path[:-1]:
        place = place[part]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return report


@pytest.mark.parametrize(
    ("name", "passes"),
    [("s4-measure-reports.fhir.json", True), ("s4-measure-reports-LEAKY.fhir.json", False)],
)
def test_the_packs_reports_are_judged_by_their_counts(name: str, passes: bool) -> None:
    """Reports that say which counts they masked pass whole; one small number withholds them."""
    body = files("gateway.demo").joinpath("pack", "data", name).read_bytes()
    shape = Shape(records_at="/entry", count_at=("/entry/*/resource/group/*/population/*/count",))

    applied = apply_duties(DUTIES, shape, media_type="application/fhir+json", body=body)

    if passes:
        assert applied == Applied(body=body, records=10)
    else:
        assert isinstance(applied, Withheld)
        assert applied.reason is ReasonCode.SMALL_NUMBERS_WITHHELD


def test_a_report_and_a_bundle_of_reports_are_aggregates() -> None:
    """Whether read one by one or searched for; an empty search says nothing of anyone."""
    link = [{"relation": "self", "url": "https://example.org/MeasureReport?period=2026"}]

    assert is_aggregate(REPORT)
    assert is_aggregate(bundle(REPORT, REPORT, total=2, link=link))
    assert is_aggregate({"resourceType": "Bundle", "type": "collection", "total": 0})
    assert entries_in(REPORT) == 1
    assert entries_in(bundle(REPORT, REPORT)) == 2
    assert entries_in({"resourceType": "Bundle"}) == 0


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("text",), {"status": "generated", "div": "<div>3 admissions of Jane Smith</div>"}),
        (("contained",), [{"resourceType": "Patient"}]),
        (("extension",), [{"url": "urn:x", "valueInteger": 2}]),
        (("modifierExtension",), []),
        (("subject",), {"reference": "Patient/1"}),
        (("evaluatedResource",), [{"reference": "Patient/1"}]),
        (("_id",), MASKED),
        (("valueInteger",), 2),
        (("resourceType",), "Patient"),
        (("type",), "individual"),
        (("type",), None),
        (("status",), 3),
        (("id",), 3),
        (("id",), "Jane Smith"),
        (("measure",), "3 admissions of Jane Smith"),
        (("date",), "3 admissions"),
        (("period", "start"), "3"),
        (("period", "end"), 3),
        (("meta", "tag"), []),
        (("reporter", "identifier", "value"), 3),
        (("reporter", "identifier", "assigner"), {}),
        (("group",), []),
        (("group",), {}),
        (("group",), None),
        (("group", 0, "measureScore"), {"value": 3}),
        (("group", 0, "extension"), []),
        (("group", 0, "code", "text"), 3),
        (("group", 0, "code", "text"), "a\nb"),
        (("group", 0, "code", "coding", 0, "userSelected"), True),
        (("group", 0, "population"), None),
        (("group", 0, "population", 0, "count"), None),
        (("group", 0, "population", 0, "count"), "145"),
        (("group", 0, "population", 0, "count"), 145.0),
        (("group", 0, "population", 0, "count"), -10),
        (("group", 0, "population", 0, "count"), True),
        (("group", 0, "population", 0, "_count"), MASKED),
        (("group", 0, "population", 0, "subjectResults"), {"reference": "List/1"}),
        (("group", 0, "population", 1, "_count", "id"), "3"),
        (("group", 0, "population", 1, "_count", "extension", 0, "valueInteger"), 3),
        (("group", 0, "population", 1, "_count", "extension", 0, "valueCode"), "as-text"),
        (("group", 0, "population", 1, "_count", "extension", 0, "url"), "urn:x"),
        (("group", 0, "stratifier", 0, "stratum", 0, "measureScore"), {"value": 3}),
        (("group", 0, "stratifier", 0, "stratum", 0, "population"), None),
        (("group", 0, "stratifier", 0, "stratum", 0, "value"), 3),
    ],
)
def test_a_report_with_anything_else_is_no_aggregate(
    path: tuple[str | int, ...], value: object
) -> None:
    """One member that is not understood, or not where it belongs, and the report does not pass."""
    report = changed(path, value)

    assert not is_aggregate(report)
    assert not is_aggregate(bundle(REPORT, report))


@pytest.mark.parametrize(
    "document",
    [
        bundle({"resourceType": "Patient", "name": [{"family": "Smith"}]}),
        bundle(REPORT, {"resourceType": "OperationOutcome", "issue": []}),
        bundle(bundle(REPORT)),
        bundle(REPORT, total=3),
        bundle(REPORT, total=True),
        bundle(REPORT, total="1"),
        bundle(REPORT, signature={"data": "x"}),
        bundle(REPORT, entry=[{"fullUrl": "urn:x"}]),
        bundle(REPORT, entry=[{"resource": REPORT, "search": {"mode": "match", "score": 3}}]),
        bundle(REPORT, type="transaction-response"),
        bundle(REPORT, total=1, link=[{"relation": "self", "url": "3 admissions"}]),
        {"resourceType": "Patient"},
        {},
        [REPORT],
        "MeasureReport",
        3,
        None,
    ],
)
def test_a_document_with_anything_else_is_no_aggregate(document: object) -> None:
    """Neither another resource in a bundle, nor a number of its own, nor another document."""
    assert not is_aggregate(json.loads(json.dumps(document)))
