"""Answers read as their caller would."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway.demo.answers import eligible_among, fields_of, hint_of, reason_of, records_of
from gateway.demo.channel import Answer


def _answer(body: str | bytes, media_type: str = "application/json") -> Answer:
    content = body if isinstance(body, bytes) else body.encode()
    return Answer(
        status=200, headers={"content-type": f"{media_type}; charset=utf-8"}, body=content
    )


@pytest.mark.parametrize(
    ("body", "records_at", "count"),
    [
        ('{"records": [{"a": 1}, {"a": 2}]}', "/records", 2),
        ('[{"a": 1}]', "/records", 1),
        ('{"known": true}', "/records", 1),
        ('{"entry": [{"a": 1}, {"b": 2}, {"c": 3}]}', "/entry", 3),
        ('{"a": {"b": [[{"x": 1}]]}}', "/a/b/0", 1),
        ("no json", "/records", 0),
        ('{"a": [[1]]}', "/a/²", 1),
    ],
)
def test_finds_the_records_of_json(body: str, records_at: str, count: int) -> None:
    """Records stand where the pointer says; a list is its own, another object is one record."""
    assert len(records_of(_answer(body), records_at)) == count


def test_rows_of_a_table_are_its_records() -> None:
    """A CSV answer has one record a row; a media type without records has none."""
    assert records_of(_answer("a,b\n1,2\n3,4\n", "text/csv")) == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "4"},
    ]
    assert records_of(_answer(b"\x00\x01", "application/octet-stream")) == []


def test_rows_of_parquet_are_its_records() -> None:
    """A Parquet answer has typed rows."""
    file = io.BytesIO()
    pq.write_table(pa.table({"a": [1, None], "b": ["x", "y"]}), file)
    answer = Answer(
        status=200,
        headers={"content-type": "application/vnd.apache.parquet"},
        body=file.getvalue(),
    )
    assert records_of(answer) == [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]


def test_fields_are_those_of_every_record() -> None:
    """Records of different shape never equal an expected set of fields."""
    assert fields_of([]) is None
    assert fields_of([{"a": 1}, {"a": 2}]) == frozenset({"a"})
    mixed = fields_of([{"a": 1}, {"b": 2}])
    assert mixed is not None
    assert mixed > {"a", "b"}


def test_counts_who_is_eligible() -> None:
    """Yes is true in JSON or as text, in a field that tells eligibility."""
    records: list[dict[str, object]] = [
        {"x_eligible": "true"},
        {"eligible": True},
        {"x_eligible": "false"},
        {"b": "true"},
    ]
    assert eligible_among(records) == 2


def test_reads_the_reason_of_a_refusal() -> None:
    """The reason is in problem+json, or in an OperationOutcome's coding."""
    problem = json.dumps({"reason_code": "PURPOSE_NOT_PERMITTED", "hint": "ask"})
    coding = {"system": "/problems", "code": "TOKEN_EXPIRED"}
    outcome = json.dumps({"issue": [{"details": {"coding": [coding]}}]})
    assert reason_of(_answer(problem, "application/problem+json")) == "PURPOSE_NOT_PERMITTED"
    assert hint_of(_answer(problem, "application/problem+json")) == "ask"
    assert reason_of(_answer(outcome, "application/fhir+json")) == "TOKEN_EXPIRED"
    assert reason_of(_answer("a,b\n", "text/csv")) is None
    assert hint_of(_answer("[]")) is None


@pytest.mark.parametrize("media_type", ["text/csv", "application/vnd.apache.parquet"])
def test_what_is_no_table_has_no_records(media_type: str) -> None:
    """A body that is other than its media type says is no failure of the player."""
    assert records_of(_answer(b"\xff\x00", media_type)) == []
