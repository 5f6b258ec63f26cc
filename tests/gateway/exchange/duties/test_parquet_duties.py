"""Duties on Parquet: what they are on CSV, on typed columns."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from gateway.exchange.duties.applied import Applied, Shape, Withheld
from gateway.exchange.duties.csv_duties import apply_to_csv
from gateway.exchange.duties.parquet_duties import apply_to_parquet
from policies.decision import Duties, ReasonCode, Restricted

OPEN = Shape(count_at=("/*/admissions",))
GUARDED = Duties(allowed=frozenset({"month", "admissions"}), small_number_guard=True)
SHIELDED = Duties(
    allowed=frozenset({"id", "town"}),
    declared=frozenset({"id", "town", "reason"}),
    scope={"area": frozenset({"E1"})},
    restricted=Restricted(when={"protected": "true"}, redact=frozenset({"town"})),
    subject_field="id",
    records_max=3,
)
PEOPLE = {
    "id": [1, 2, 3, 4],
    "town": ["North, vale", "MARKER-SCOPE", "MARKER-PROTECTED", 'East "vale"'],
    "area": ["E1", "E2", "E1", "E1"],
    "protected": [False, False, True, False],
    "reason": ["MARKER-FIELD"] * 4,
}


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    """Write columns as a file that hides nothing by compressing it."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="NONE", **options)
    return sink.getvalue()


def apply(duties: Duties, body: bytes, shape: Shape | None = None) -> Applied:
    """Apply duties to an answer that is expected to be released."""
    applied = apply_to_parquet(duties, shape or Shape(), body)
    assert isinstance(applied, Applied)
    return applied


def read(body: bytes) -> dict[str, list[object]]:
    """Read a file as a consumer would."""
    columns: dict[str, list[object]] = pq.read_table(pa.BufferReader(body)).to_pydict()
    return columns


@pytest.mark.parametrize("options", [{}, {"row_group_size": 1}, {"use_dictionary": False}])
def test_scope_protection_and_columns_work_together(options: dict[str, Any]) -> None:
    """Rows out of scope go, protected values are null, and no byte of either is in the file."""
    applied = apply(SHIELDED, parquet(PEOPLE, **options))

    assert read(applied.body) == {"id": [1, 3, 4], "town": ["North, vale", None, 'East "vale"']}
    assert b"MARKER" not in applied.body
    assert (applied.records, applied.records_dropped) == (3, 1)
    assert applied.subjects == {"1", "3", "4"}
    assert applied.subjects_counted == 3
    assert applied.redacted_subjects == 1
    assert applied.fields_sent == ("id", "town")
    assert applied.fields_withheld == ("area", "protected", "reason")
    assert applied.leaked == ()


def test_what_is_recorded_is_the_same_as_for_csv() -> None:
    """The duties do not depend on the format in which a service answers."""
    text = io.BytesIO()
    pa.csv.write_csv(pa.table(PEOPLE), text)
    from_csv = apply_to_csv(SHIELDED, Shape(), text.getvalue())

    assert isinstance(from_csv, Applied)
    assert replace(apply(SHIELDED, parquet(PEOPLE)), body=b"") == replace(from_csv, body=b"")


def test_too_many_rows_are_withheld() -> None:
    """The rule's limit on records counts what would leave."""
    withheld = apply_to_parquet(replace(SHIELDED, records_max=2), Shape(), parquet(PEOPLE))

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.VOLUME_EXCEEDED


@pytest.mark.parametrize("column", ["area", "protected"])
@pytest.mark.parametrize("kind", ["missing", "nested", "null", "fraction"])
def test_a_mark_that_cannot_be_read_is_decided_against_release(column: str, kind: str) -> None:
    """A row whose scope nobody can tell goes; a person whom nothing clears is protected."""
    columns: dict[str, Any] = dict(PEOPLE)
    del columns[column]
    spoilt = {"nested": [["E1"]] * 4, "null": [None] * 4, "fraction": [0.0] * 4}
    columns |= {column: spoilt[kind]} if kind in spoilt else {}

    applied = apply(SHIELDED, parquet(columns))

    assert applied.records == (0 if column == "area" else 3)
    assert read(applied.body)["town"] == [None] * applied.records


def test_a_protected_person_never_matches_a_filter_on_a_hidden_field() -> None:
    """Their presence would tell what is redacted, so the row goes."""
    applied = apply(SHIELDED, parquet(PEOPLE), Shape(filtered_on=frozenset({"town"})))

    assert read(applied.body)["id"] == [1, 4]


def test_masked_and_rounded_counts_leave() -> None:
    """Counts may be numbers or text, as the publisher has them."""
    for counts in ([145, None, 0], ["145", "*", "0"]):
        body = parquet({"month": ["a", "b", "c"], "admissions": counts, "note": ["x"] * 3})
        applied = apply(GUARDED, body, OPEN)
        assert read(applied.body) == {"month": ["a", "b", "c"], "admissions": counts}
        assert applied.records == 3


@pytest.mark.parametrize("counts", [[3], [143], [10.0], [-5], ["<5"], [True], [[10]], [b"10"]])
def test_small_or_unreadable_counts_withhold_the_file(counts: list[object]) -> None:
    """One count that could single somebody out is enough, wherever it stands."""
    withheld = apply_to_parquet(GUARDED, OPEN, parquet({"month": ["a"], "admissions": counts}))

    assert isinstance(withheld, Withheld)
    assert withheld.reason in {
        ReasonCode.SMALL_NUMBERS_WITHHELD,
        *({ReasonCode.DUTY_NOT_APPLICABLE} if counts == [[10]] else ()),
    }


def test_the_guard_judges_rows_and_columns_that_do_not_leave() -> None:
    """A publisher who did not suppress is to know, even if this caller would not have seen it."""
    duties = replace(GUARDED, allowed=frozenset({"month"}), scope={"area": frozenset({"E1"})})
    body = parquet({"month": ["a", "b"], "area": ["E1", "E2"], "admissions": [145, 3]})

    withheld = apply_to_parquet(duties, OPEN, body)

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.SMALL_NUMBERS_WITHHELD


@pytest.mark.parametrize("counts", [{"Admissions": [3]}, {"admissions": [{"n": 3}]}, {}])
def test_a_file_without_a_column_of_counts_is_withheld_under_the_guard(
    counts: dict[str, object],
) -> None:
    """Counts under another name, or inside something else, would pass unjudged."""
    duties = replace(GUARDED, allowed=frozenset({"month"}))
    withheld = apply_to_parquet(duties, OPEN, parquet({"month": ["a"], **counts}))

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.SMALL_NUMBERS_WITHHELD


@pytest.mark.parametrize(
    "columns", [{"id": [1], "town": [["a"]]}, {"id": [{"town": "a"}]}, {"reason": ["a"]}]
)
def test_structures_and_files_without_an_allowed_column_are_withheld(
    columns: dict[str, object],
) -> None:
    """An agreement knows no fields inside fields, and there is no table of no columns."""
    withheld = apply_to_parquet(SHIELDED, Shape(), parquet(columns))

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.DUTY_NOT_APPLICABLE


def test_a_structure_that_may_not_leave_is_no_matter() -> None:
    """It is dropped without being decoded."""
    applied = apply(SHIELDED, parquet({**PEOPLE, "history": [[{"a": "MARKER"}]] * 4}))

    assert applied.leaked == ("history",)
    assert b"MARKER" not in applied.body


def test_without_an_allow_list_the_file_is_written_anew_all_the_same() -> None:
    """Whatever else the service's file had in it stays behind."""
    body = parquet(PEOPLE)
    applied = apply(Duties(subject_field="id"), body)

    assert read(applied.body) == PEOPLE
    assert applied.subjects_counted == 4
    assert applied.fields_sent == ()


@pytest.mark.parametrize("body", [b"PAR1", b"[]", parquet(PEOPLE)[:-4] + b"PARE"])
def test_what_cannot_be_read_is_withheld(body: bytes) -> None:
    """Broken, encrypted, or something else: nobody can say what is in it."""
    withheld = apply_to_parquet(SHIELDED, Shape(), body)

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.DUTY_NOT_APPLICABLE
