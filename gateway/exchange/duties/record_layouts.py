"""How one JSON record is read: the allowed members as raw bytes, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, Protocol

import msgspec

LAYOUTS_REMEMBERED_MAX: Final = 1024
"""Sets of allowed fields whose reader is kept; building one takes some hundred microseconds."""

Row = Any
"""A record as read: a Struct made for its layout, or a dict of raw members."""

_ABSENT: Final = msgspec.UNSET
STRUCT_CAN_NAME: Final = re.compile(r'[^"\\\x00-\x1f]+')
"""Names that a msgspec Struct can read; others are looked for in a dict."""

_QUOTE: Final = ord('"')
_NOT_SCALAR: Final = frozenset(b"{[n")
_read_text: Final = msgspec.json.Decoder(str).decode

read_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""Read all members of one JSON object, each value raw; of a name given twice the last counts."""


class Layout(Protocol):
    """Reads records and prepares them for sending; a row is what `read` made."""

    def read(self, record: msgspec.Raw) -> Row:
        """Read one record; raises `msgspec.DecodeError` unless it is a JSON object."""

    def exact(self) -> type | None:
        """Return the type of rows that have none but allowed members, if msgspec can read them."""

    def values(self, row: Row) -> Sequence[str | None]:
        """Return the values of the columns to check, as text; None: absent or no single value."""

    def redact(self, row: Row, names: frozenset[str]) -> None:
        """Take the members called by `names` out of `row`."""

    def finish(self, rows: Sequence[Row]) -> None:
        """Take out of `rows` what was read for a check only."""

    def names_in(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """Return the allowed names that at least one finished row has, in order."""


@lru_cache(maxsize=LAYOUTS_REMEMBERED_MAX)
def layout_of(allowed: frozenset[str] | None, columns: tuple[str, ...]) -> Layout:
    """Return the reader for records of which `allowed` may leave and `columns` are checked."""
    if allowed is None or not all(map(STRUCT_CAN_NAME.fullmatch, allowed.union(columns))):
        return _MemberLayout(allowed, columns)
    return _StructLayout(allowed, columns)


def record_type(attributes: Mapping[str, str], *, exact: bool = False) -> type[msgspec.Struct]:
    """Make the type that reads members into the attributes that stand for their names.

    An `exact` one refuses a record that has another member; else others are skipped.
    """
    members = [
        (attribute, msgspec.Raw, msgspec.field(name=name, default=_ABSENT))
        for name, attribute in attributes.items()
    ]
    return msgspec.defstruct("Record", members, gc=False, forbid_unknown_fields=exact)


class _StructLayout:
    """The usual, fast case: other members than these are skipped without ever becoming objects."""

    __slots__ = ("_all_of", "_allowed", "_columns", "_exact", "_names", "_unsent", "read")

    def __init__(self, allowed: frozenset[str], columns: tuple[str, ...]) -> None:
        attributes = {
            name: f"f{number}" for number, name in enumerate(sorted(allowed.union(columns)))
        }
        self.read = msgspec.json.Decoder(record_type(attributes)).decode
        self._exact: type | None = None
        self._columns = tuple(attributes[name] for name in columns)
        self._allowed = {name: attributes[name] for name in sorted(allowed)}
        self._names = tuple(self._allowed)
        self._all_of = _getter(tuple(self._allowed.values()))
        self._unsent = tuple(attributes[name] for name in columns if name not in allowed)

    def exact(self) -> type | None:
        if self._exact is None and not self._unsent:
            self._exact = record_type(self._allowed, exact=True)
        return self._exact

    def values(self, row: Row) -> Sequence[str | None]:
        return [text_of(getattr(row, attribute)) for attribute in self._columns]

    def redact(self, row: Row, names: frozenset[str]) -> None:
        for name in names & self._allowed.keys():
            setattr(row, self._allowed[name], _ABSENT)

    def finish(self, rows: Sequence[Row]) -> None:
        for attribute in self._unsent:
            for row in rows:
                setattr(row, attribute, _ABSENT)

    def names_in(self, rows: Sequence[Row]) -> tuple[str, ...]:
        if not rows:
            return ()
        first = rows[0]
        if _ABSENT not in self._all_of(first):
            return self._names
        return tuple(
            [
                name
                for name, attribute in self._allowed.items()
                if getattr(first, attribute) is not _ABSENT
                or any(getattr(row, attribute) is not _ABSENT for row in rows)
            ]
        )


def _getter(attributes: tuple[str, ...]) -> Callable[[Row], tuple[object, ...]]:
    """Return what reads all `attributes` at once; `attrgetter` gives a tuple for two or more."""
    if len(attributes) > 1:
        return attrgetter(*attributes)
    return lambda row: tuple([getattr(row, attribute) for attribute in attributes])


class _MemberLayout:
    """Records that leave whole (no allow-list), and names that a Struct cannot carry."""

    __slots__ = ("_allowed", "_columns")

    def __init__(self, allowed: frozenset[str] | None, columns: tuple[str, ...]) -> None:
        self._allowed = allowed
        self._columns = columns

    def read(self, record: msgspec.Raw) -> Row:
        return read_members(record)

    def exact(self) -> type | None:
        return None

    def values(self, row: Row) -> Sequence[str | None]:
        return [text_of(row.get(name, _ABSENT)) for name in self._columns]

    def redact(self, row: Row, names: frozenset[str]) -> None:
        for name in names & row.keys():
            del row[name]

    def finish(self, rows: Sequence[Row]) -> None:
        if self._allowed is not None:
            for row in rows:
                self.redact(row, row.keys() - self._allowed)

    def names_in(self, rows: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
        if self._allowed is None:
            return ()
        return tuple(name for name in sorted(self._allowed) if any(name in row for row in rows))


def text_of(value: msgspec.Raw | msgspec.UnsetType) -> str | None:
    """Return a scalar as text: a string's content, a number's own digits, ``true`` or ``false``."""
    if value is _ABSENT:
        return None
    token = bytes(value)
    first = token[0]
    if first == _QUOTE:
        return _read_text(token)
    return None if first in _NOT_SCALAR else token.decode()
