"""Duties on CSV: nothing outside the allow-list leaves, and cells are as they came."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.duties.applied import Applied, Shape, Withheld
from gateway.exchange.duties.csv_duties import apply_to_csv
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
PEOPLE = (
    b"id,town,area,protected,reason\r\n"
    b'1,"North, vale",E1,false,SYN\r\n'
    b"2,Southvale,E2,false,SYN\r\n"
    b"3,Hidden,E1,true,SYN\r\n"
    b'4,"East ""vale""",E1,false,SYN\r\n'
)
ALLOWED = Duties(allowed=frozenset({"a", "c"}))
CELLS = st.text(alphabet='xy ,"\n', max_size=4)


def apply(duties: Duties, body: bytes, shape: Shape | None = None) -> Applied:
    """Apply duties to an answer that is expected to be released."""
    applied = apply_to_csv(duties, shape or Shape(), body)
    assert isinstance(applied, Applied)
    return applied


def table(rows: list[list[str]]) -> bytes:
    """Write rows as CSV, quoted where needed."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


@given(
    st.permutations(["a", "b", "c", "A"]),
    st.lists(st.lists(CELLS, min_size=4, max_size=4), max_size=4),
)
def test_nothing_but_allowed_columns_leaves(names: list[str], rows: list[list[str]]) -> None:
    """Every row keeps its allowed cells, whole and in order, and no other."""
    applied = apply(ALLOWED, table([names, *rows]))
    kept = [at for at, name in enumerate(names) if name in {"a", "c"}]
    expected = [[row[at] for at in kept] for row in (names, *rows)]

    text = io.StringIO(applied.body.decode(), newline="")

    assert list(csv.reader(text, strict=True)) == expected
    assert apply(ALLOWED, applied.body).body == applied.body


@given(st.binary(max_size=60))
def test_any_bytes_give_an_answer(body: bytes) -> None:
    """Unreadable answers are withheld; nothing is ever raised."""
    assert isinstance(apply_to_csv(SHIELDED, Shape(), body), Applied | Withheld)


def test_scope_protection_and_columns_work_together() -> None:
    """Rows out of scope go, protected cells are emptied, and the rest is byte for byte."""
    applied = apply(SHIELDED, PEOPLE)

    assert applied.body == b'id,town\r\n1,"North, vale"\r\n3,\r\n4,"East ""vale"""\r\n'
    assert (applied.records, applied.records_dropped) == (3, 1)
    assert applied.subjects == {"1", "3", "4"}
    assert applied.subjects_counted == 3
    assert applied.redacted_subjects == 1
    assert applied.fields_sent == ("id", "town")
    assert applied.fields_withheld == ("area", "protected", "reason")
    assert applied.leaked == ()


def test_too_many_rows_are_withheld() -> None:
    """The rule's limit on records holds for tables too."""
    body = PEOPLE + b"5,Westvale,E1,false,SYN\r\n"

    withheld = apply_to_csv(SHIELDED, Shape(), body)

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.VOLUME_EXCEEDED


def test_a_table_without_the_scope_column_gives_no_row() -> None:
    """Where the column to check is missing nobody can tell which rows may leave."""
    applied = apply(SHIELDED, PEOPLE.replace(b"area", b"Area", 1))

    assert applied.body == b"id,town\r\n"
    assert applied.records_dropped == 4


def test_a_table_without_the_mark_protects_everybody() -> None:
    """Where the column is missing nobody can tell who is not to be found."""
    applied = apply(SHIELDED, PEOPLE.replace(b"protected", b"flag", 1))

    assert applied.body == b"id,town\r\n1,\r\n3,\r\n4,\r\n"


def test_a_table_without_an_allowed_column_is_withheld() -> None:
    """There is no table of no columns."""
    assert isinstance(apply_to_csv(ALLOWED, Shape(), b"b,d\n1,2\n"), Withheld)


def test_an_emptied_only_cell_still_is_a_row() -> None:
    """A row of one empty cell is quoted: a blank line would be no row to many readers."""
    restricted = Restricted(when={"p": "true"}, redact=frozenset({"a"}))
    duties = Duties(allowed=frozenset({"a"}), restricted=restricted)

    assert apply(duties, b"a,p\nx,true\ny,false\n").body == b'a\n""\ny\n'


def test_masked_and_rounded_counts_leave() -> None:
    """The column is named by the last part of the pointer; ``*`` and empty cells are masks."""
    body = b"month,age,admissions\n2026-08,65-74,145\n2026-08,85+,*\n2026-09,85+,\n2026-10,x,0\n"

    applied = apply(GUARDED, body, OPEN)

    assert applied.body == b"month,admissions\n2026-08,145\n2026-08,*\n2026-09,\n2026-10,0\n"
    assert applied.records == 4


@pytest.mark.parametrize("count", [b"3", b"143", b'"7"', b"10.0", b"-5", b" 10", b"<5"])
def test_small_or_unreadable_counts_withhold_the_table(count: bytes) -> None:
    """One count that could single somebody out is enough."""
    body = b"month,admissions\n2026-08,145\n2026-09," + count + b"\n"

    withheld = apply_to_csv(GUARDED, OPEN, body)

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.SMALL_NUMBERS_WITHHELD


def test_the_guard_judges_rows_and_columns_that_do_not_leave() -> None:
    """A publisher who did not suppress is to know, even if this caller would not have seen it."""
    duties = Duties(
        allowed=frozenset({"month"}), scope={"area": frozenset({"E1"})}, small_number_guard=True
    )
    body = b"month,area,admissions\n2026-08,E1,145\n2026-08,E2,3\n"

    assert isinstance(apply_to_csv(duties, OPEN, body), Withheld)


def test_a_table_without_a_column_of_counts_is_withheld_under_the_guard() -> None:
    """Counts under another name would pass unjudged."""
    withheld = apply_to_csv(GUARDED, OPEN, b"month,Admissions\n2026-08,3\n")

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.SMALL_NUMBERS_WITHHELD


def test_without_an_allow_list_the_table_is_only_counted() -> None:
    """Counting changes no byte."""
    applied = apply(Duties(subject_field="id"), PEOPLE)

    assert applied.body == PEOPLE
    assert applied.subjects_counted == 4
