"""Configuration documents: a strict YAML reader that knows the line of every value.

YAML is read as JSON with fewer brackets: no anchors, no tags, no merge keys, no repeated keys, and
scalars mean what they mean in JSON, so that ``no`` and ``2026-01-01`` stay text. Fractions
stay text too: nothing that is configured needs one, and they have no canonical form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import yaml

DOCUMENT_BYTES_MAX: Final = 4 * 1024 * 1024
DEPTH_MAX: Final = 64
"""The deepest nesting of mappings and sequences; what is deeper is refused, not recursed into."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_CONSTANTS: Final[Mapping[str, bool | None]] = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "false": False,
}

Pointer = tuple[str | int, ...]
"""The keys and positions that lead from a document's root to a value."""


class DocumentUnreadable(Exception):
    """A file is not a document of the kind that is read here; `line` and `column` count from 1."""

    def __init__(self, path: Path, message: str, *, line: int = 1, column: int = 1) -> None:
        """Keep the place, so that an editor can jump to it."""
        super().__init__(f"{path}:{line}:{column}: {message}")
        self.path: Final = path
        self.message: Final = message
        self.line: Final = line
        self.column: Final = column


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document as plain values, and where each of them stands in its file."""

    value: object
    positions: Mapping[Pointer, tuple[int, int]]
    path: Path

    def locate(self, pointer: Pointer) -> tuple[int, int]:
        """Return line and column, from 1, of `pointer` or of the nearest thing around it."""
        while pointer and pointer not in self.positions:
            pointer = pointer[:-1]
        return self.positions.get(pointer, (1, 1))


def load_document(path: Path) -> Document:
    """Read the one document of a YAML or JSON file.

    Raises:
        DocumentUnreadable: the file cannot be read, is too large or is not strict YAML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(DOCUMENT_BYTES_MAX + 1)
    except OSError as error:
        raise DocumentUnreadable(path, f"cannot be read: {error.strerror}") from None
    if len(content) > DOCUMENT_BYTES_MAX:
        raise DocumentUnreadable(path, f"is larger than {DOCUMENT_BYTES_MAX} bytes")
    return read_document(content, path)


def read_document(content: bytes, path: Path) -> Document:
    """Read the one document in `content`; `path` only names it in errors.

    Raises:
        DocumentUnreadable: it is not strict YAML.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise DocumentUnreadable(path, "is not UTF-8 text") from None
    reader = _Reader(path)
    try:
        value = reader.read(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = error.problem or "is not YAML"
        raise DocumentUnreadable(path, message, line=line, column=column) from None
    except yaml.reader.ReaderError as error:
        before = content[: error.position].decode("utf-8", "replace").split("\n")
        line, column = len(before), len(before[-1]) + 1
        message = (
            "holds a character that no YAML may hold, such as NUL or another control character"
        )
        raise DocumentUnreadable(path, message, line=line, column=column) from None
    return Document(value=value, positions=reader.positions, path=path)


class _Reader:
    """Builds values from YAML's events, noting where each begins."""

    def __init__(self, path: Path) -> None:
        self.positions: dict[Pointer, tuple[int, int]] = {}
        self._path = path
        self._events: Iterator[yaml.Event] = iter(())

    def read(self, events: Iterator[yaml.Event]) -> object:
        self._events = events
        next(events)  # the stream's start
        event = next(events)
        if isinstance(event, yaml.StreamEndEvent):
            raise self._refuse(event, "is empty")
        value = self._value(next(events), ())
        next(events)  # the document's end
        event = next(events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._refuse(event, "a file holds one document")
        return value

    def _value(self, event: yaml.Event, pointer: Pointer) -> object:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise self._refuse(event, "anchors and aliases are not allowed; write the value out")
        if getattr(event, "tag", None) is not None:
            raise self._refuse(event, "tags are not allowed")
        if len(pointer) > DEPTH_MAX:
            raise self._refuse(event, f"is nested deeper than {DEPTH_MAX} levels")
        self.positions.setdefault(pointer, _place(event))
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(pointer)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(pointer)
        return _scalar(cast(yaml.ScalarEvent, event))

    def _mapping(self, pointer: Pointer) -> dict[str, object]:
        mapping: dict[str, object] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._refuse(event, "a key must be plain text")
            if event.anchor is not None or event.tag is not None:
                raise self._refuse(event, "a key has neither anchor nor tag")
            key: str = event.value
            if key == "<<" and _is_plain(event):
                raise self._refuse(event, "merge keys are not allowed; write the values out")
            if key in mapping:
                line, _ = self.positions[*pointer, key]
                raise self._refuse(event, f"{key!r} was given before, on line {line}")
            self.positions[*pointer, key] = _place(event)
            mapping[key] = self._value(next(self._events), (*pointer, key))
        return mapping

    def _sequence(self, pointer: Pointer) -> list[object]:
        sequence: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            sequence.append(self._value(event, (*pointer, len(sequence))))
        return sequence

    def _refuse(self, event: yaml.Event, message: str) -> DocumentUnreadable:
        line, column = _place(event)
        return DocumentUnreadable(self._path, message, line=line, column=column)


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _scalar(event: yaml.ScalarEvent) -> object:
    """Return what a scalar means in JSON; quoted and block scalars are always text."""
    text: str = event.value
    if not _is_plain(event):
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    return int(text) if _INTEGER.fullmatch(text) else text


def _is_plain(event: yaml.ScalarEvent) -> bool:
    """Tell whether a scalar stands without quotes and block signs, so that it may be no text."""
    return bool(event.implicit[0])
