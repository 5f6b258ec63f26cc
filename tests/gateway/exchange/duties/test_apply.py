"""Applying duties: which answers are read, how, and which leave untouched."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.duties.apply import Applied, Shape, Withheld, apply_duties, has_body_duties
from policies.decision import Duties, ReasonCode, Restricted

AGGREGATE = Duties(
    allowed=frozenset({"month", "admissions"}), aggregate=True, small_number_guard=True
)
BUNDLES = Shape(
    records_at="/entry", count_at=("/entry/*/resource/group/*/population/*/count", "/*/admissions")
)
TABLES = Shape(count_at=("/*/admissions",))
FHIR = "application/fhir+json; charset=utf-8"


def report(count: int) -> dict[str, object]:
    """Build a FHIR MeasureReport with one count."""
    return {
        "resourceType": "MeasureReport",
        "status": "complete",
        "type": "summary",
        "group": [{"population": [{"count": count}]}],
    }


def bundle(*counts: int, more: str = "") -> bytes:
    """Build a FHIR bundle with one MeasureReport for each count."""
    entries = json.dumps([{"resource": report(count)} for count in counts])
    return f'{{"resourceType": "Bundle", "type": "searchset", "entry": {entries}{more}}}'.encode()


@pytest.mark.parametrize(
    ("duties", "expected"),
    [
        (Duties(), False),
        (Duties(declared=frozenset({"a"}), aggregate=True), False),
        (Duties(per_minute=1, requests_per_day=1, single_use="ref"), False),
        (Duties(allowed=frozenset()), True),
        (Duties(scope={"a": frozenset()}), True),
        (Duties(restricted=Restricted(when={}, redact=frozenset())), True),
        (Duties(small_number_guard=True), True),
        (Duties(records_max=1), True),
        (Duties(subject_field="a"), True),
        (Duties(counts_subjects=True), True),
    ],
)
def test_duties_on_the_body_are_known_beforehand(duties: Duties, expected: bool) -> None:
    """Only these need the answer to be read; others are for the request or the headers."""
    assert has_body_duties(duties) is expected


@given(st.binary(), st.text())
def test_without_duties_any_answer_leaves_untouched(body: bytes, media_type: str) -> None:
    """Nothing is read, so nothing can be wrong with it."""
    shape = Shape(known_subjects=frozenset({"1"}))

    applied = apply_duties(Duties(), shape, media_type=media_type, body=body)

    assert applied == Applied(body=body, subjects=frozenset({"1"}), subjects_counted=1)


@pytest.mark.parametrize("media_type", ["application/json", "text/csv", "image/png", ""])
def test_an_empty_answer_leaves(media_type: str) -> None:
    """No byte can hold what may not leave."""
    assert apply_duties(AGGREGATE, BUNDLES, media_type=media_type, body=b"") == Applied(body=b"")


@given(
    st.binary(min_size=1), st.sampled_from(["text/html", "application/x-ndjson", "", "text/xml"])
)
def test_an_answer_that_cannot_be_read_is_withheld(body: bytes, media_type: str) -> None:
    """A duty that cannot be applied withholds; the guard says so under its own reason."""
    fields = apply_duties(
        Duties(allowed=frozenset({"a"})), Shape(), media_type=media_type, body=body
    )
    guarded = apply_duties(AGGREGATE, BUNDLES, media_type=media_type, body=body)

    assert isinstance(fields, Withheld)
    assert fields.reason is ReasonCode.DUTY_NOT_APPLICABLE
    assert isinstance(guarded, Withheld)
    assert guarded.reason is ReasonCode.SMALL_NUMBERS_WITHHELD


def test_json_and_csv_give_the_same_records() -> None:
    """The duties do not depend on the format in which a service answers."""
    duties = Duties(allowed=frozenset({"a"}), subject_field="id")
    shape = Shape()

    as_json = apply_duties(
        duties, shape, media_type="application/json", body=b'[{"a":"1","id":"x","b":"2"}]'
    )
    as_csv = apply_duties(duties, shape, media_type="text/csv", body=b"a,id,b\n1,x,2\n")

    assert isinstance(as_json, Applied)
    assert isinstance(as_csv, Applied)
    assert replace(as_json, body=b"") == replace(as_csv, body=b"")
    assert (as_json.body, as_csv.body) == (b'[{"a":"1"}]', b"a\n1\n")


def test_a_safe_fhir_aggregate_leaves_as_it_is() -> None:
    """The bundle is not a table, so it passes whole, once its counts have passed the guard."""
    body = bundle(145, 0, 200)

    applied = apply_duties(AGGREGATE, BUNDLES, media_type=FHIR, body=body)

    assert applied == Applied(body=body, records=3)


@pytest.mark.parametrize(
    "body", [bundle(145, 3), bundle(143), bundle(more=', "x": [{"count": 6}]')]
)
def test_a_fhir_aggregate_with_a_small_number_is_withheld(body: bytes) -> None:
    """One unsuppressed count anywhere in the bundle is enough."""
    withheld = apply_duties(AGGREGATE, BUNDLES, media_type=FHIR, body=body)

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.SMALL_NUMBERS_WITHHELD


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceType":"Patient","id":"1","name":[{"family":"Smith"}]}',
        b'{"resourceType":"Bundle","type":"searchset","entry":[{"resource":'
        b'{"resourceType":"Patient","id":"1","identifier":[{"value":"9991000011"}]}}]}',
        json.dumps(report(145) | {"text": {"status": "generated", "div": "3 admissions"}}).encode(),
        json.dumps(report(145) | {"group": [{"measureScore": {"value": 3}}]}).encode(),
        json.dumps(report(145) | {"extension": [{"url": "x", "valueInteger": 2}]}).encode(),
        b"{}",
        b"[]",
        b"3",
    ],
)
def test_a_fhir_document_that_is_no_plain_aggregate_is_withheld(body: bytes) -> None:
    """What the gateway does not know to be counts only may name a person, so none of it leaves."""
    guarded = apply_duties(AGGREGATE, BUNDLES, media_type=FHIR, body=body)
    unguarded = apply_duties(
        replace(AGGREGATE, small_number_guard=False), BUNDLES, media_type=FHIR, body=body
    )

    assert isinstance(guarded, Withheld)
    assert guarded.reason is ReasonCode.SMALL_NUMBERS_WITHHELD
    assert isinstance(unguarded, Withheld)
    assert unguarded.reason is ReasonCode.DUTY_NOT_APPLICABLE


def test_counts_of_a_fhir_aggregate_are_guarded_wherever_they_are_said_to_stand() -> None:
    """A pointer that leads elsewhere does not take the guard off the counts that FHIR defines."""
    elsewhere = replace(BUNDLES, count_at=("/entry/*/resource/figure",))

    withheld = apply_duties(AGGREGATE, elsewhere, media_type=FHIR, body=bundle(145, 3))

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.SMALL_NUMBERS_WITHHELD


def test_a_fhir_search_without_a_hit_leaves() -> None:
    """A bundle of nothing has no count that could tell anything."""
    body = b'{"resourceType":"Bundle","type":"searchset","total":0}'

    assert apply_duties(AGGREGATE, BUNDLES, media_type=FHIR, body=body) == Applied(body=body)


def test_a_fhir_aggregate_cannot_hide_a_count_behind_another() -> None:
    """It leaves byte for byte, so a member given twice would reach readers who take the first."""
    body = bundle(145).replace(b'"count": 145', b'"count": 3, "count": 145')

    withheld = apply_duties(AGGREGATE, BUNDLES, media_type=FHIR, body=body)

    assert isinstance(withheld, Withheld)


def test_duties_on_rows_withhold_a_fhir_aggregate() -> None:
    """It has no rows to choose, and too many entries are too many records."""
    scoped = replace(AGGREGATE, scope={"month": frozenset({"2026-08"})})
    limited = replace(AGGREGATE, records_max=1)

    for duties, reason in (
        (scoped, ReasonCode.DUTY_NOT_APPLICABLE),
        (limited, ReasonCode.VOLUME_EXCEEDED),
    ):
        withheld = apply_duties(duties, BUNDLES, media_type=FHIR, body=bundle(10, 10))
        assert isinstance(withheld, Withheld)
        assert withheld.reason is reason


def test_json_that_is_no_fhir_aggregate_is_filtered_under_the_guard() -> None:
    """Both duties hold: counts are judged, and only allowed members leave."""
    body = b'[{"month":"2026-08","admissions":145,"ward":"x"}]'
    small = b'[{"month":"2026-08","admissions":6}]'

    applied = apply_duties(AGGREGATE, BUNDLES, media_type="application/json", body=body)
    withheld = apply_duties(AGGREGATE, BUNDLES, media_type="application/json", body=small)

    assert isinstance(applied, Applied)
    assert json.loads(applied.body) == [{"month": "2026-08", "admissions": 145}]
    assert isinstance(withheld, Withheld)


@pytest.mark.parametrize(
    "body", [b'[{"month":"3 people"}]', b"{}", b'{"records":[{"month":"2026-08"}]}', b'{"a":[1]}']
)
def test_the_guard_withholds_records_without_a_count(body: bytes) -> None:
    """Where no count is found, nobody can say that there is no small one; as for a table."""
    withheld = apply_duties(AGGREGATE, TABLES, media_type="application/json", body=body)

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.SMALL_NUMBERS_WITHHELD


@pytest.mark.parametrize(
    "body", [b"[]", b'{"records":[]}', b'[{"month":"2026-08","admissions":null}]']
)
def test_the_guard_lets_masked_counts_and_no_records_pass(body: bytes) -> None:
    """Nothing that was counted can be told from such an answer."""
    applied = apply_duties(AGGREGATE, TABLES, media_type="application/json", body=body)

    assert isinstance(applied, Applied)


def test_the_guard_withholds_where_counts_are_not_configured() -> None:
    """A guard that does not know where to look cannot let anything pass."""
    withheld = apply_duties(AGGREGATE, Shape(), media_type="application/json", body=b"[]")

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.SMALL_NUMBERS_WITHHELD


def test_people_named_in_the_request_count_once() -> None:
    """A look-up that says only yes or no is about the person who was asked for."""
    shape = Shape(known_subjects=frozenset({"9992000015"}))
    duties = Duties(allowed=frozenset({"known"}), subject_field="nhs_number")

    applied = apply_duties(
        duties, shape, media_type="application/json", body=b'{"known":true,"since":"2026"}'
    )

    assert isinstance(applied, Applied)
    assert applied.body == b'{"known":true}'
    assert applied.subjects == {"9992000015"}
    assert applied.subjects_counted == 1


def test_details_hold_nothing_of_the_answer() -> None:
    """What is said of a withheld answer can go into problem details and logs."""
    body = b'[{"a":"9991000011"'

    for media_type in ("application/json", "text/csv", "text/html", FHIR):
        withheld = apply_duties(AGGREGATE, BUNDLES, media_type=media_type, body=body)
        assert isinstance(withheld, Withheld)
        assert "9991000011" not in repr(withheld)
