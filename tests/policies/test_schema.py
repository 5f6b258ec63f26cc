"""The generated JSON Schema is equal in effect to the pack's, but for what it lists as stricter."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs
import pytest

from policies.document import DocumentInvalid, read_agreement
from policies.schema import STRICTER, agreement_schema
from tests.policies.conftest import PACKS

GONE = object()
SHORT_CODES = frozenset({"purpose.prohibited[]", "legal.exemptions[]"})
"""Codes of one letter: the schemas refuse them by their length, the law by its lists."""
BEYOND_A_SCHEMA = frozenset({"access.rules[].path", "access.rules[].hours.tz"})
"""What only the reader knows: the names of time zones, and dot segments."""


@pytest.fixture(scope="module")
def ours() -> Any:
    """The generated schema, compiled."""
    return jsonschema_rs.validator_for(agreement_schema(), validate_formats=True)


@pytest.fixture(scope="module")
def theirs() -> Any:
    """The pack's schema, compiled."""
    home = next(path for path in PACKS if (path / "schema").is_dir())
    text = (home / "schema/agreement.schema.json").read_text()
    return jsonschema_rs.validator_for(json.loads(text), validate_formats=True)


def test_the_schema_is_a_schema() -> None:
    """It is valid in its own dialect, has an id of its own, and every member says its meaning."""
    schema = agreement_schema()
    jsonschema_rs.meta.validate(schema)
    assert schema["$id"].startswith("urn:concordat:")
    assert all("description" in member for member in schema["properties"].values())
    assert json.loads(json.dumps(schema)) == schema


def test_the_packs_documents_are_accepted(pack: Any, ours: Any, theirs: Any) -> None:
    """Every agreement of the pack is valid under both."""
    for document in pack.documents.values():
        assert theirs.is_valid(document)
        assert ours.is_valid(document)


def test_both_schemas_say_the_same_of_every_mutation(pack: Any, ours: Any, theirs: Any) -> None:
    """Where they differ it is by a rule that is listed as stricter, and each of those is met."""
    met = set()
    for path, kind, document in mutations(pack):
        mine, other = ours.is_valid(document), theirs.is_valid(document)
        if mine == other:
            continue
        assert other, f"the generated schema takes what the pack's refuses: {path} {kind}"
        place = "every list" if kind == "twice" else listed(path)
        assert place is not None, f"not listed as stricter: {path} {kind}"
        met.add(place)
    assert met == set(STRICTER)


def test_the_reader_refuses_what_the_schema_refuses(pack: Any, ours: Any) -> None:
    """The schema is never stricter than the reader, and the reader only where a schema ends."""
    structural = {
        "wrong-type",
        "unknown-key",
        "missing-key",
        "malformed",
        "not-one-of",
        "too-small",
    }
    for path, kind, document in mutations(pack):
        codes = faults(document)
        if not ours.is_valid(document):
            assert codes or path in SHORT_CODES, f"the reader takes {path} {kind}"
        elif codes & structural:
            assert path in BEYOND_A_SCHEMA, f"the schema takes {path} {kind}: {codes}"


def mutations(pack: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield documents with one value gone or replaced: each kind once at each place."""
    seen = set()
    for document in pack.documents.values():
        for pointer, value in nodes(document):
            path = path_of(pointer)
            for kind, changed in replacements(value):
                if (path, kind) in seen:
                    continue
                seen.add((path, kind))
                yield path, kind, put(document, pointer, changed)


def replacements(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a value is replaced with: nothing, other types, more than there may be."""
    yield from (("gone", GONE), ("null", None), ("number", 5), ("zero", 0), ("text", "x"))
    yield from (("flag", True), ("list", []), ("object", {}))
    if isinstance(value, dict):
        yield "member", {**value, "zz": 1}
    if isinstance(value, list) and value and isinstance(value[0], str):
        yield "twice", [*value, value[0]]


def nodes(value: Any, pointer: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every value of a document but the whole, with its pointer."""
    if pointer:
        yield pointer, value
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for step, inner in items:
            yield from nodes(inner, (*pointer, step))


def put(document: Any, pointer: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of the document with one value replaced."""
    result = copy.deepcopy(document)
    target = result
    for step in pointer[:-1]:
        target = target[step]
    if value is GONE:
        del target[pointer[-1]]
    else:
        target[pointer[-1]] = value
    return result


@cache
def listed(path: str) -> str | None:
    """Return the longest entry of the list that a place lies in."""
    fitting = [
        entry for entry in STRICTER if path == entry or path.startswith((f"{entry}.", f"{entry}["))
    ]
    return max(fitting, key=len, default=None)


def path_of(pointer: tuple[Any, ...]) -> str:
    """Return a pointer as the glossary writes it."""
    text = "".join("[]" if isinstance(step, int) else f".{step}" for step in pointer)
    return re.sub(r"^\.", "", text)


def faults(document: Any) -> set[str]:
    """Return the codes of the reader's faults."""
    try:
        read_agreement(document)
    except DocumentInvalid as invalid:
        return {fault.code for fault in invalid.faults}
    return set()
