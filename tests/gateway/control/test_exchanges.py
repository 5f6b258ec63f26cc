"""Tests of exchanges over the API, and of the record that each reading leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.audit.entry import Kind, Record
from gateway.audit.reading.reader import find_log
from gateway.audit.search.access import Use
from gateway.audit.search.query import Filters, find
from gateway.clock import new_uuid7, system_time_us, uuid_text
from tests.control_listener import Control

SUBJECT = "9990000018"
PEOPLE: dict[str, object] = {"type": "nhs_number", "ids": [SUBJECT]}


def denial(exchange: bytes, *, agreement: str = "DSA-2020-0001", client: str = "app") -> Record:
    """Return the record of a refused exchange about a synthetic person."""
    return Record(
        record_id=new_uuid7(),
        kind=Kind.DENY,
        exchange=exchange,
        at_us=system_time_us(),
        sections={
            "core": {"agreement": agreement, "decision": "deny", "status": 403},
            "actor": {"client": client},
            "subject": {"ids": [SUBJECT]},
        },
    )


def readings(control: Control) -> list[dict[str, object]]:
    """Return what was recorded of readings, newest first."""
    page = find(find_log(control.directory / "audit"), Filters(kind=Kind.ACCESS), keys=control.keys)
    return [
        {name: item.get(name) for name in ("verb", "use", "filters", "exchange", "sections")}
        for item in page.items
    ]


def test_an_exchange_is_shown_whole_and_the_reading_recorded(control: Control) -> None:
    """The view merges the records; the log then says who looked, at what, and for which use."""
    exchange = new_uuid7()
    control.written.append(denial(exchange))
    path = f"/api/v1/exchanges/{uuid_text(exchange)}"
    (answer,) = control.get(f"{path}?use=verify_lawfulness")
    view = answer.json()

    assert view["exchange_id"] == uuid_text(exchange)
    assert view["decision"] == "deny"
    assert view["sections"]["subject"] == {"ids": [SUBJECT]}
    assert readings(control) == [
        {
            "verb": "show",
            "use": "verify_lawfulness",
            "filters": None,
            "exchange": uuid_text(exchange),
            "sections": {"actor": {"principal": "bootstrap", "via": "api"}},
        }
    ]


def test_a_list_shows_no_personal_section(control: Control) -> None:
    """A list serves to find an exchange; whom it was about is shown with the exchange itself."""
    control.written.extend(
        [denial(new_uuid7()), denial(new_uuid7(), agreement="DSA-2026-0002", client="other")]
    )
    everything, filtered, by_client = control.get(
        "/api/v1/exchanges",
        "/api/v1/exchanges?agreement=DSA-2026-0002&from=2020-01-01T00:00:00Z",
        "/api/v1/exchanges?client=other",
    )

    assert len(everything.json()["exchanges"]) == 2
    assert [one["agreement"] for one in filtered.json()["exchanges"]] == ["DSA-2026-0002"]
    assert [one["agreement"] for one in by_client.json()["exchanges"]] == ["DSA-2026-0002"]
    for answer in (everything, filtered, by_client):
        assert SUBJECT not in answer.text
    assert [one["filters"] for one in readings(control)] == [
        ["client"],
        ["agreement", "from_us"],
        [],
    ]
    sealed = [one["sections"] for one in readings(control)]
    assert isinstance(sealed[0], dict)
    assert sealed[0]["payload"] == {"client": "other"}
    assert {one["use"] for one in readings(control)} == {Use.SELF_MONITORING}


def test_pages_follow_each_other(control: Control) -> None:
    """The cursor of a page leads to the next, and the last page has none."""
    control.written.extend(denial(new_uuid7()) for _ in range(3))
    (first,) = control.get("/api/v1/exchanges?limit=2")
    (second,) = control.get(f"/api/v1/exchanges?limit=2&cursor={first.json()['cursor']}")

    assert len(first.json()["exchanges"]) == 2
    assert len(second.json()["exchanges"]) == 1
    assert second.json()["cursor"] is None


@pytest.mark.parametrize(
    "query",
    [
        "use=curiosity",
        "limit=0",
        "limit=201",
        "from=yesterday",
        "a=b",
        "status=1000",
        f"cursor={1 << 64}",
    ],
)  # fmt: skip
def test_a_search_that_is_not_understood_is_refused_and_not_recorded(
    control: Control, query: str
) -> None:
    """Uses and parameters are closed lists."""
    (answer,) = control.get(f"/api/v1/exchanges?{query}")

    assert answer.status_code == 400
    assert readings(control) == []


def test_without_a_record_nothing_is_shown(control: Control) -> None:
    """If the log cannot record the reading, the exchange stays closed."""
    exchange = new_uuid7()
    control.written.append(denial(exchange))
    control.log_fails = True
    answers = control.get("/api/v1/exchanges", f"/api/v1/exchanges/{uuid_text(exchange)}")

    for answer in answers:
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/audit-unavailable"
        assert SUBJECT not in answer.text


def test_a_person_is_sought_by_tag(control: Control) -> None:
    """By address or in the body: what is recorded is a tag, and no answer repeats the value."""
    named = denial(new_uuid7())
    control.written.append(replace(named, sections={**named.sections, "subject": PEOPLE}))
    control.written.append(denial(new_uuid7()))
    sought = f"nhs_number:{SUBJECT[:3]} {SUBJECT[3:6]} {SUBJECT[6:]}"
    (by_address,) = control.get(f"/api/v1/exchanges?person={sought}")
    in_body = control.post("/api/v1/exchanges/search", {"person": sought, "decision": "deny"})

    for answer in (by_address, in_body):
        (found,) = answer.json()["exchanges"]
        assert found["exchange_id"] == uuid_text(named.exchange or b"")
        assert answer.json()["indexed"]["next_index"] >= 4
        assert SUBJECT not in answer.text
    assert SUBJECT not in str(readings(control))
    sealed = readings(control)[0]["sections"]
    assert isinstance(sealed, dict)
    assert sealed["payload"]["person"].startswith("nhs_number:")


@pytest.mark.parametrize("person", [SUBJECT, "nhs_number:", "NHS:1"])
def test_a_person_that_is_none_is_refused_and_not_repeated(control: Control, person: str) -> None:
    """The problem says the form, and the log records no search."""
    answer = control.post("/api/v1/exchanges/search", {"person": person})

    assert answer.status_code == 400
    assert readings(control) == []
    assert f"{SUBJECT}." not in answer.json()["detail"].replace("such as nhs_number:9990000018", "")


def test_times_beyond_the_logs_own_find_what_is_there(control: Control) -> None:
    """However far away a time is, the search is recorded and answered."""
    control.written.append(denial(new_uuid7()))
    times = "from=0001-01-01T00:00:00Z&until=9999-01-01T00:00:00Z"
    (answer,) = control.get(f"/api/v1/exchanges?{times}")

    assert len(answer.json()["exchanges"]) == 1
