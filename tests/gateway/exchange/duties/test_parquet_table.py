"""Strict Parquet: one table of plain columns, or none; what is written anew holds nothing else."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway.exchange.duties import parquet_table
from gateway.exchange.duties.parquet_table import (
    BATCH_ROWS,
    ParquetTable,
    ParquetUnreadable,
    texts_of,
)

TYPES: dict[str, tuple[Any, list[object]]] = {
    "flag": (pa.bool_(), [True, None]),
    "number": (pa.int64(), [2**63 - 1, None]),
    "small": (pa.uint8(), [255, 0]),
    "fraction": (pa.float64(), [0.1, None]),
    "money": (pa.decimal128(9, 2), [Decimal("1.50"), None]),
    "text": (pa.string(), ["é\n", ""]),
    "bytes": (pa.binary(), [b"\x00", None]),
    "day": (pa.date32(), [date(2026, 11, 20), None]),
    "hour": (pa.time64("us"), [time(9, 30), None]),
    "instant": (pa.timestamp("us", "UTC"), [datetime(2026, 11, 20, tzinfo=UTC), None]),
}
"""Columns of every plain type, with two values each."""
PLAIN = pa.table({name: pa.array(values, kind) for name, (kind, values) in TYPES.items()})


def written(table: Any, **options: Any) -> bytes:
    """Write a table as a service would."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def rewritten(body: bytes, names: Sequence[str]) -> bytes:
    """Write `names` of a file anew, every row kept."""
    table = ParquetTable(body)
    writing = table.writer(names)
    for batch in table.batches(names):
        writing.add(batch, [True] * len(batch), [False] * len(batch), frozenset())
    return writing.close()


def read(body: bytes) -> Any:
    """Read a file as a consumer would."""
    return pq.read_table(pa.BufferReader(body))


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}, {"data_page_version": "2.0"}])
def test_values_of_every_plain_type_leave_as_they_came(options: dict[str, Any]) -> None:
    """A file that is written anew has the same columns, types and values."""
    body = rewritten(written(PLAIN, **options), PLAIN.column_names)

    assert read(body).equals(PLAIN)


def test_the_codec_is_kept() -> None:
    """A publisher's choice stays, a codec that consumers may not know becomes Snappy."""
    codecs = {
        codec: pq.ParquetFile(
            pa.BufferReader(rewritten(written(PLAIN, compression=codec), ["text"]))
        )
        .metadata.row_group(0)
        .column(0)
        .compression
        for codec in ("NONE", "ZSTD", "LZ4")
    }

    assert codecs == {"NONE": "UNCOMPRESSED", "ZSTD": "ZSTD", "LZ4": "SNAPPY"}


def test_columns_are_chosen_in_the_order_of_the_file() -> None:
    """Rows come some at a time, whole, and only with the columns asked for."""
    rows = BATCH_ROWS + 1
    table = ParquetTable(written(pa.table({"b": range(rows), "a": range(rows)})))

    batches = list(table.batches(["a"]))

    assert table.names == ("b", "a")
    assert [batch.schema.names for batch in batches] == [["a"], ["a"]]
    assert [value for batch in batches for value in batch["a"].to_pylist()] == list(range(rows))


def test_a_file_without_rows_keeps_its_columns() -> None:
    """Nobody was found: that is an answer too."""
    body = rewritten(written(PLAIN.slice(0, 0)), ["number", "text"])

    assert read(body).schema.names == ["number", "text"]
    assert read(body).num_rows == 0


def test_nothing_of_the_old_file_but_values_is_in_the_new_one() -> None:
    """Metadata, comments on columns, statistics, dictionaries and other columns stay behind."""
    schema = pa.schema(
        [
            pa.field("kept", pa.dictionary(pa.int8(), pa.string()), metadata={"a": "MARKER-FIELD"}),
            pa.field("other", pa.string()),
        ],
        metadata={"note": "MARKER-FILE"},
    )
    kept = pa.array(["open", "MARKER-ROW"]).dictionary_encode().cast(schema.field("kept").type)
    source = pa.table([kept, pa.array(["MARKER-COLUMN"] * 2)], schema=schema)
    body = written(source, compression="NONE", write_page_index=True)
    table = ParquetTable(body)
    writing = table.writer(["kept"])
    for batch in table.batches(["kept"]):
        writing.add(batch, [True, False], [False, False], frozenset())
    new = writing.close()

    assert all(mark in body for mark in (b"MARKER-FILE", b"MARKER-ROW", b"MARKER-COLUMN"))
    assert b"MARKER" not in new
    assert read(new).to_pydict() == {"kept": ["open"]}


def test_hidden_values_are_null_and_gone() -> None:
    """A value under a null is no value that a reader could dig out."""
    schema = pa.schema([pa.field("id", pa.int8(), nullable=False), pa.field("town", pa.string())])
    body = written(pa.table([[1, 2], ["MARKER", "x"]], schema=schema), compression="NONE")
    table = ParquetTable(body)
    writing = table.writer(["id", "town"])
    for batch in table.batches(["id", "town"]):
        writing.add(batch, [True, True], [True, False], frozenset({"town", "id"}))
    new = writing.close()

    assert b"MARKER" not in new
    assert read(new).to_pydict() == {"id": [None, 2], "town": [None, "x"]}


def test_structures_are_told_from_values() -> None:
    """Lists, objects and maps are no single values; a dictionary of values is."""
    table = ParquetTable(
        written(
            pa.table(
                {
                    "list": [[1]],
                    "object": [{"a": 1}],
                    "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())),
                    "word": pa.array(["x"]).dictionary_encode(),
                    "length": pa.array([1], pa.duration("s")),
                }
            )
        )
    )

    assert [name for name in table.names if table.has_structure([name])] == [
        *("list", "object", "map", "length"),
    ]


def test_a_name_with_a_dot_is_not_taken_for_another_column() -> None:
    """`a.b` names a column, and what stands under `a` too: nobody can tell what is meant."""
    body = written(pa.table({"a": [{"b": "MARKER"}], "a.b": ["open"]}))

    with pytest.raises(ParquetUnreadable):
        list(ParquetTable(body).batches(["a.b"]))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"PAR1",
        b"PAR1PAR1",
        b"not a file at all",
        written(PLAIN)[:-1],
        written(PLAIN)[4:],
        written(PLAIN)[:-4] + b"PARE",
        written(PLAIN)[:-8] + b"\xff\xff\xff\x7fPAR1",
        written(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])),
    ],
)
def test_what_is_no_table_is_unreadable(body: bytes) -> None:
    """A broken or encrypted footer, and a name given twice, which readers take differently."""
    with pytest.raises(ParquetUnreadable):
        ParquetTable(body)


def test_a_broken_page_is_unreadable() -> None:
    """A page whose checksum is wrong was changed on its way, or is not what it says."""
    body = bytearray(
        written(pa.table({"a": ["word"] * 3}), write_page_checksum=True, compression="NONE")
    )
    body[body.index(b"word")] ^= 1

    with pytest.raises(ParquetUnreadable):
        rewritten(bytes(body), ["a"])


def test_text_that_is_no_text_is_unreadable() -> None:
    """A column of text holds UTF-8."""
    body = written(pa.table({"a": ["word"]}), compression="NONE").replace(b"word", b"w\xffrd")

    with pytest.raises(ParquetUnreadable):
        rewritten(body, ["a"])


@pytest.mark.parametrize(
    ("limit", "value"),
    [("ROWS_MAX", 1), ("COLUMNS_MAX", 9), ("ROW_GROUPS_MAX", 1), ("DECODED_BYTES_MAX", 100)],
)
def test_sizes_are_judged_before_anything_is_decoded(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    """The footer says how much there is; too much is not even begun."""
    body = written(PLAIN, row_group_size=1)
    ParquetTable(body)
    monkeypatch.setattr(parquet_table, limit, value)

    with pytest.raises(ParquetUnreadable):
        ParquetTable(body)


def test_deep_schemas_are_not_followed() -> None:
    """A structure of structures without end is none that an agreement could name."""
    kind = pa.int8()
    for _ in range(parquet_table.SCHEMA_DEPTH_MAX):
        kind = pa.struct([("a", kind)])

    with pytest.raises(ParquetUnreadable):
        ParquetTable(written(pa.table({"a": pa.array([None], kind)})))


def test_values_are_text_as_json_has_them() -> None:
    """What has one spelling can be compared; everything else clears nobody."""
    found = {name: texts_of(PLAIN[name])[0] for name in TYPES}

    assert {name: text for name, text in found.items() if text is not None} == {
        "flag": "true",
        "number": "9223372036854775807",
        "small": "255",
        "text": "é\n",
        "day": "2026-11-20",
    }


def test_a_day_outside_the_calendar_is_unreadable() -> None:
    """A date that no calendar has cannot be judged."""
    with pytest.raises(ParquetUnreadable):
        texts_of(pa.array([2**31 - 1], pa.int32()).cast(pa.date32()))
