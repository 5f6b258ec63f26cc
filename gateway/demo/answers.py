"""Reads an answer as its caller would: its records, their fields, and why it was refused."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.demo.channel import Answer

DEFAULT_RECORDS_AT: Final = "/records"
_CSV: Final = "text/csv"
_PARQUET: Final = "application/vnd.apache.parquet"
_YES: Final = frozenset({"true", "True"})
_ELIGIBLE: Final = "eligible"
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
"""A place in a list (RFC 6901, section 4)."""


def records_of(answer: Answer, records_at: str = DEFAULT_RECORDS_AT) -> list[Mapping[str, object]]:
    """Return the records of an answer; `records_at` is a JSON pointer to their list.

    A bare list or a table is its own list; any other object without the list is one record. What
    cannot be read as its media type says has none.
    """
    if answer.media_type == _CSV:
        try:
            return list(csv.DictReader(io.StringIO(answer.body.decode("utf-8"))))
        except (UnicodeDecodeError, csv.Error):
            return []
    if answer.media_type == _PARQUET:
        return _rows_of_parquet(answer.body)
    if not answer.media_type.endswith("json"):
        return []
    try:
        value = answer.json()
    except ValueError:
        return []
    found = _at(value, records_at)
    records = found if isinstance(found, list) else value if isinstance(value, list) else [value]
    return [record for record in records if isinstance(record, Mapping)]


def _rows_of_parquet(body: bytes) -> list[Mapping[str, object]]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        rows: list[Mapping[str, object]] = parquet.read_table(pa.BufferReader(body)).to_pylist()
    except pa.ArrowInvalid:
        return []
    return rows


def fields_of(records: Sequence[Mapping[str, object]]) -> frozenset[str] | None:
    """Return the fields that every record has, or None where there is no record.

    Where records differ, a mark in the set keeps it from equalling any expectation.
    """
    if not records:
        return None
    sets = {frozenset(record) for record in records}
    together = frozenset().union(*sets)
    return together if len(sets) == 1 else together | {"(not in every record)"}


def eligible_among(records: Sequence[Mapping[str, object]]) -> int:
    """Return how many records answer yes in a field that tells eligibility."""
    return sum(
        any(name.endswith(_ELIGIBLE) and str(value) in _YES for name, value in record.items())
        for record in records
    )


def reason_of(answer: Answer) -> str | None:
    """Return the reason code of a refusal, from problem+json or a FHIR OperationOutcome."""
    members = _object(answer)
    reason = members.get("reason_code")
    if reason is None:
        reason = _at(members, "/issue/0/details/coding/0/code")
    return reason if isinstance(reason, str) else None


def hint_of(answer: Answer) -> str | None:
    """Return the hint of a refusal in problem+json."""
    hint = _object(answer).get("hint")
    return hint if isinstance(hint, str) else None


def _object(answer: Answer) -> Mapping[str, object]:
    try:
        value = answer.json()
    except ValueError:
        return {}
    return value if isinstance(value, Mapping) else {}


def _at(value: object, pointer: str) -> object:
    """Return what stands at a JSON pointer (RFC 6901), or None."""
    for step in pointer.split("/")[1:]:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and _INDEX.fullmatch(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value
