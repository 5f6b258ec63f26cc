"""Where request and decision forms lie in a directory, and how the two halves of one are joined."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, cast

from gateway.documents import DOCUMENT_BYTES_MAX, Document
from gateway.registry.documents import PlainDocument
from policies.forms import FORMS, REFERENCE, read_form
from policies.reading import DocumentInvalid, Fault, Pointer

FOLDER: Final = Path("forms")
"""Where a directory keeps its forms: lists of them, in YAML or JSON files."""
DATA_FOLDER: Final = Path("data")
"""Where a scenario pack keeps them, among the sample records of its services."""
SUFFIXES: Final = (".json", ".yaml", ".yml")

_KIND: Final = "form"
"""The member of a listed form that says which of the two it is."""


def form_files(root: Path) -> Iterator[Path]:
    """Yield the files of a directory that hold forms, in the order of their names."""
    for path in sorted((root / FOLDER).glob("*")):
        if path.suffix in SUFFIXES:
            yield path
    for path in sorted((root / DATA_FOLDER).glob("*.json")):
        if _holds_forms(path):
            yield path


def form_list(documents: Mapping[str, PlainDocument]) -> list[PlainDocument]:
    """Return the forms of a configuration as one list, from which they are read again."""
    return [
        {_KIND: kind, **cast("PlainDocument", document[kind])}
        for _, document in sorted(documents.items())
        for kind in FORMS
        if kind in document
    ]


def _holds_forms(path: Path) -> bool:
    """Tell whether a file among sample records is a list that has a form in it."""
    try:
        if path.stat().st_size > DOCUMENT_BYTES_MAX:
            return False
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False  # whatever it is, it is a service's
    return isinstance(content, list) and any(
        isinstance(item, dict) and item.get(_KIND) in FORMS for item in content
    )


class FormsRead:
    """Joins the forms of several files; what is wrong with a file is told file by file."""

    def __init__(self, identifiers: frozenset[str]) -> None:
        """Read forms that may name whom they are about by any of `identifiers`."""
        self._identifiers = identifiers
        self._halves: dict[str, dict[str, object]] = {}

    def add(self, document: Document) -> Iterator[Fault]:
        """Take the forms of one file, and yield what is wrong with them."""
        if not isinstance(document.value, list):
            yield Fault(pointer=(), code="wrong-type", message="a list of forms is expected")
            return
        for position, item in enumerate(document.value):
            yield from self._add(item, (position,))

    @property
    def documents(self) -> dict[str, PlainDocument]:
        """Return the requests with what was decided on them, by their reference."""
        return dict(self._halves)

    def _add(self, item: object, pointer: Pointer) -> Iterator[Fault]:
        if not isinstance(item, Mapping) or item.get(_KIND) not in FORMS:
            message = f"each entry says which form it is: {', '.join(FORMS)}"
            yield Fault(pointer=(*pointer, _KIND), code="not-one-of", message=message)
            return
        kind = str(item[_KIND])
        half = {name: value for name, value in item.items() if name != _KIND}
        try:
            read_form({kind: half}, self._identifiers)
        except DocumentInvalid as invalid:
            for fault in invalid.faults:
                place = (*pointer, *fault.pointer[1:])
                yield Fault(pointer=place, code=fault.code, message=fault.message)
            return
        kept = self._halves.setdefault(str(half[REFERENCE]), {})
        if kind in kept:
            message = f"there is another {kind} form with this reference"
            yield Fault(pointer=(*pointer, REFERENCE), code="duplicate", message=message)
        kept[kind] = half
