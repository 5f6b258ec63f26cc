"""A table in pieces: the same octets leave and the same verdicts fall, wherever it was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.duties.applied import Applied, Shape, Withheld
from gateway.exchange.duties.csv_duties import apply_to_csv
from gateway.exchange.duties.csv_stream import ROW_CHARACTERS_MAX, CsvStream
from gateway.exchange.duties.streamed import Unfit
from policies.decision import Duties, Restricted

DUTIES = Duties(
    allowed=frozenset({"area", "note"}),
    declared=frozenset({"area", "note", "phone"}),
    scope={"area": frozenset({"N", "S", ""})},
    restricted=Restricted(when={"hidden": "true"}, redact=frozenset({"note"})),
)
CELLS = st.sampled_from(
    ["N", "S", "E", "", "true", "false", '"a ""b"""', '"x\r\ny"', '"1,2"', "é", '""', '"\n"']
)
ODD = st.sampled_from(['"', "a\rb", "\n", "\r\n", 'a"b', '"a"b', "N,S", "\x00"])


def in_pieces(pieces: list[bytes]) -> tuple[bytes, Applied] | Withheld:
    """Apply the duties to a table that comes in `pieces`."""
    stream = CsvStream(DUTIES, Shape())
    try:
        left = b"".join([stream.feed(piece) for piece in pieces]) + stream.finish()
    except Unfit as unfit:
        return unfit.withheld
    return left, stream.applied()


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Draw the octets of a table, or of what only looks like one."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    header = draw(st.permutations(["area", "note", "hidden", "phone"]))
    row = st.lists(CELLS, min_size=4, max_size=4)
    rows = [list(header), *draw(st.lists(row, max_size=6))]
    if draw(st.integers(0, 3)) == 0:
        draw(st.sampled_from(rows)).append(draw(ODD))
    text = end.join(",".join(cells) for cells in rows)
    mark = draw(st.sampled_from(["", "\ufeff"]))
    return (mark + text + draw(st.sampled_from(["", end]))).encode()


@given(table=tables(), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_pieces_are_judged_like_the_whole(table: bytes, cuts: list[int]) -> None:
    """Cut anywhere, inside a character, a quote or a line end: octets and record are the same."""
    at = sorted(cuts)
    pieces = [table[a:b] for a, b in zip([0, *at], [*at, max(len(table), 200)], strict=True)]
    whole, streamed = apply_to_csv(DUTIES, Shape(), table), in_pieces(pieces)
    if isinstance(whole, Withheld):
        assert streamed == whole
    else:
        assert not isinstance(streamed, Withheld)
        left, applied = streamed
        assert left == whole.body
        assert (applied.records, applied.records_dropped) == (whole.records, whole.records_dropped)
        assert applied.redacted_subjects == whole.redacted_subjects
        assert applied.fields_sent == whole.fields_sent
        assert (applied.fields_withheld, applied.leaked) == (whole.fields_withheld, whole.leaked)


def test_rows_leave_as_they_come() -> None:
    """Whole rows are not kept back for what comes behind them."""
    stream = CsvStream(DUTIES, Shape())
    assert stream.feed(b"area,note,hidden\nN,a,false\nS,b") == b"area,note\nN,a"
    assert stream.feed(b",false\n") == b"\nS,b"
    assert stream.finish() == b"\n"


@pytest.mark.parametrize(("opening", "filling"), [(b"", b"a"), (b'"', b"a\n")])
def test_a_row_without_end_is_not_waited_for(opening: bytes, filling: bytes) -> None:
    """Memory stays flat whatever a service sends, an open quote included."""
    stream = CsvStream(DUTIES, Shape())
    assert stream.feed(b"area,note,hidden\nN," + opening) == b"area,note"
    block = filling * (ROW_CHARACTERS_MAX // 4 // len(filling))
    for _ in range(3):
        assert stream.feed(block) == b""
    with pytest.raises(Unfit):
        stream.feed(block * 2)


def test_nothing_leaves_of_a_table_without_a_column_that_may() -> None:
    """The header decides before the first row."""
    stream = CsvStream(DUTIES, Shape())
    with pytest.raises(Unfit) as unfit:
        stream.feed(b"phone\n07700900000\n")
    assert "none of the fields" in unfit.value.withheld.detail
