"""Strict reading and fresh writing of Parquet files, with pyarrow, which is imported at first use.

It decodes whatever a service sends, so it runs in a process of its own (`duty_processes`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, Final

ROWS_MAX: Final = 2_000_000
"""Rows of one file."""
COLUMNS_MAX: Final = 1_000
"""Columns of one file, every part of a nested one counted."""
ROW_GROUPS_MAX: Final = 10_000
DECODED_BYTES_MAX: Final = 512 * 1024 * 1024
"""Bytes of all pages without compression, as the footer says; what it does not say, the memory of
the process bounds."""
FOOTER_STRING_BYTES_MAX: Final = 1024 * 1024
FOOTER_ITEMS_MAX: Final = 1_000_000
SCHEMA_DEPTH_MAX: Final = 16
BATCH_ROWS: Final = 65_536
"""Rows that are decoded, judged and written at a time."""

_MAGIC: Final = b"PAR1"
_CODECS: Final = frozenset({"SNAPPY", "GZIP", "BROTLI", "ZSTD"})
"""Codecs that are written again as they were found; others become the first."""


class ParquetUnreadable(Exception):
    """The bytes are not one table of plain columns; the message holds nothing of it."""


class ParquetTable:
    """A Parquet file, of which nothing but the footer is decoded until rows are asked for."""

    def __init__(self, body: bytes) -> None:
        """Read the footer of `body`.

        Raises:
            ParquetUnreadable: it is no Parquet file, is encrypted, or is larger than this module
                takes; or a column's name is given twice.
        """
        import pyarrow as pa
        import pyarrow.parquet as parquet

        if not body.startswith(_MAGIC):
            raise ParquetUnreadable("not a Parquet file")
        with _reading():
            self._file: Final = parquet.ParquetFile(
                pa.BufferReader(body),
                pre_buffer=False,
                thrift_string_size_limit=FOOTER_STRING_BYTES_MAX,
                thrift_container_size_limit=FOOTER_ITEMS_MAX,
                schema_depth_limit=SCHEMA_DEPTH_MAX,
                page_checksum_verification=True,
                arrow_extensions_enabled=False,
            )
            _check_size(self._file.metadata)
            self._schema: Final[Any] = self._file.schema_arrow
            self.names: Final[tuple[str, ...]] = tuple(self._schema.names)
        if len(set(self.names)) != len(self.names):
            raise ParquetUnreadable("a column name is given twice")

    def has_structure(self, names: Sequence[str]) -> bool:
        """Whether a column of `names` holds anything but single values."""
        return any(_plain(self._schema.field(name).type) is None for name in names)

    def batches(self, names: Sequence[str]) -> Iterator[Any]:
        """Yield the rows, some at a time, as record batches of the columns `names`, decoded whole.

        Dictionaries are resolved: one that came along would carry the values of rows that were
        dropped. Raises `ParquetUnreadable`.
        """
        import pyarrow as pa

        fields = [(name, _plain(self._schema.field(name).type)) for name in names]
        plain, rows = pa.schema(fields), 0
        with _reading():
            for read in self._file.iter_batches(BATCH_ROWS, columns=list(names), use_threads=False):
                # A name with a dot in it also selects what is nested under the part before it.
                if read.schema.names != list(names):
                    raise ParquetUnreadable("columns that cannot be told apart")
                read.validate(full=True)
                rows += read.num_rows
                if rows > self._file.metadata.num_rows:
                    raise ParquetUnreadable("more rows than the footer says")
                yield pa.RecordBatch.from_arrays(
                    [column.cast(field.type) for column, field in zip(read, plain, strict=True)],
                    schema=plain,
                )
        if rows != self._file.metadata.num_rows:
            raise ParquetUnreadable("fewer rows than the footer says")

    def writer(self, names: Sequence[str]) -> ParquetWriting:
        """Begin a new file with the columns `names`, in the codec of this one."""
        import pyarrow as pa

        schema = pa.schema([(name, _plain(self._schema.field(name).type)) for name in names])
        metadata = self._file.metadata
        codec = "SNAPPY"
        if metadata.num_row_groups and metadata.num_columns:
            codec = metadata.row_group(0).column(0).compression
        return ParquetWriting(schema, codec)


class ParquetWriting:
    """A Parquet file in the making; nothing of another file's metadata gets into it."""

    def __init__(self, schema: Any, codec: str) -> None:
        """Write columns of `schema`, compressed with `codec`, or with Snappy."""
        import pyarrow.parquet as parquet

        if codec != "UNCOMPRESSED" and codec not in _CODECS:
            codec = "SNAPPY"
        self._sink: Final = io.BytesIO()
        self._schema: Final = schema
        self._writer: Final = parquet.ParquetWriter(
            self._sink,
            schema,
            compression="NONE" if codec == "UNCOMPRESSED" else codec,
            store_schema=False,
        )

    def add(
        self, batch: Any, kept: Sequence[bool], hidden: Sequence[bool], gone: frozenset[str]
    ) -> None:
        """Write the rows of `batch` that are `kept`; where `hidden`, the columns `gone` are null.

        Raises:
            ParquetUnreadable: a value cannot be written.
        """
        import pyarrow as pa
        import pyarrow.compute as compute

        with _reading():
            columns = batch.select(self._schema.names)
            if any(hidden):
                mask = pa.array(hidden, pa.bool_())
                values = [
                    compute.if_else(mask, pa.scalar(None, field.type), column)
                    if field.name in gone
                    else column
                    for column, field in zip(columns, self._schema, strict=True)
                ]
                columns = pa.RecordBatch.from_arrays(values, schema=self._schema)
            if not all(kept):
                columns = columns.filter(pa.array(kept, pa.bool_()))
            if columns.num_rows:
                self._writer.write_batch(columns)

    def close(self) -> bytes:
        """End the file and return it; a file without rows has its columns."""
        self._writer.close()
        return self._sink.getvalue()


def values_of(column: Any) -> list[object]:
    """Return a column's values; raises `ParquetUnreadable` where one is outside all calendars."""
    with _reading():
        values: list[object] = column.to_pylist()
    return values


def texts_of(column: Any) -> list[str | None]:
    """Return a column's values as text, as JSON would have them; None: missing, or no text.

    Fractions and times of day have several spellings, so they are never compared. Raises
    `ParquetUnreadable`.
    """
    return [_text(value) for value in values_of(column)]


@contextmanager
def _reading() -> Iterator[None]:
    """Make one failure of all that pyarrow raises, which depends on where a file is broken."""
    import pyarrow as pa

    broken = (pa.ArrowException, OSError, ValueError, ArithmeticError, MemoryError, RuntimeError)
    try:
        yield
    except broken as error:
        raise ParquetUnreadable("not a Parquet file that can be read safely") from error


def _text(value: object) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return value
        case date() if type(value) is date:
            return value.isoformat()
        case _:
            return None


def _check_size(metadata: Any) -> None:
    if (
        metadata.num_rows > ROWS_MAX
        or metadata.num_columns > COLUMNS_MAX
        or metadata.num_row_groups > ROW_GROUPS_MAX
    ):
        raise ParquetUnreadable("too many rows, columns or row groups")
    sizes = [metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups)]
    if any(size < 0 for size in sizes) or sum(sizes) > DECODED_BYTES_MAX:
        raise ParquetUnreadable("too large once it is decompressed")


def _plain(kind: Any) -> Any:
    """Return the type of single values that a column of type `kind` holds; None: it holds more."""
    import pyarrow.types as types

    if types.is_dictionary(kind):
        kind = kind.value_type
    single = (
        types.is_boolean, types.is_integer, types.is_floating, types.is_decimal, types.is_null,
        types.is_string, types.is_large_string, types.is_binary, types.is_large_binary,
        types.is_fixed_size_binary, types.is_date, types.is_time, types.is_timestamp,
    )  # fmt: skip
    return kind if any(is_kind(kind) for is_kind in single) else None
