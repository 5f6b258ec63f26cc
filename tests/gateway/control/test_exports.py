"""Tests of exports over the API, and of the record that each leaves first."""

from __future__ import annotations

import orjson

from gateway.audit.entry import Kind
from gateway.audit.reader import find_log, snapshot
from gateway.audit.selection import Selection, pick
from gateway.clock import new_uuid7
from tests.control_listener import Control
from tests.gateway.control.test_exchanges import SUBJECT, denial


def test_records_are_streamed_and_the_export_recorded(control: Control) -> None:
    """The selection's events, nothing personal; the log says who took them and for what."""
    control.written.extend(
        [denial(new_uuid7()), denial(new_uuid7(), agreement="DSA-2026-0002", client="other")]
    )
    (answer,) = control.get(
        "/api/v1/exports?format=ocsf&agreement=DSA-2026-0002&use=integrity_and_security"
    )
    (event,) = [orjson.loads(line) for line in answer.content.splitlines()]
    assert event["class_uid"] == 6003
    assert SUBJECT not in answer.text
    with snapshot(find_log(control.directory / "audit")) as db:
        (recorded,) = pick(db, Selection(kind=Kind.EXPORT), end=1_000)
    core = recorded.section("core")
    assert (core["use"], core["filters"]) == ("integrity_and_security", ["agreement"])


def test_personal_sections_are_open_only_if_asked_for(control: Control) -> None:
    """The answer's media type is that of its form."""
    control.written.append(denial(new_uuid7()))
    closed, opened = control.get(
        "/api/v1/exports?format=fhir", "/api/v1/exports?format=csv&personal=true"
    )
    assert closed.headers["content-type"] == "application/fhir+ndjson"
    assert SUBJECT not in closed.text
    assert opened.headers["content-type"].startswith("text/csv")
    assert SUBJECT in opened.text


def test_what_cannot_be_exported_is_a_problem(control: Control) -> None:
    """Without a checkpoint nothing can be proved; strangers and unknown forms are refused."""
    unproved, unknown = control.get(
        "/api/v1/exports?format=ndjson", "/api/v1/exports?format=parquet"
    )
    (stranger,) = control.get("/api/v1/exports", secret=None)
    assert (unproved.status_code, unknown.status_code, stranger.status_code) == (503, 400, 401)
