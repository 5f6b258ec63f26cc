"""The shape of a document, as the model declares it."""

from __future__ import annotations

from typing import Any

from policies.shape import Kind, agreement_shape, walk


def test_every_member_of_the_pack_is_declared(pack: Any) -> None:
    """Nothing in the pack's documents is missing from the shape."""
    declared = {path for path, _ in walk(agreement_shape())}
    open_objects = {
        path
        for path, member in walk(agreement_shape())
        if member.shape.kind in (Kind.OPEN, Kind.CODES_BY_NAME)
    }
    for document in pack.documents.values():
        assert set(_paths(document, "", open_objects)) <= declared


def test_sections_stand_where_the_document_has_them() -> None:
    """Rules are under access, steps under governance, and their own words close them."""
    members = dict(walk(agreement_shape()))
    assert members["access.rules[].hours.from"].shape.kind is Kind.TEXT
    assert members["access.rules"].shape.size_min == 1
    assert members["governance.decisions"].required
    assert "signature" in members["governance.decisions[].step"].shape.words
    assert members["term.end"].nullable
    assert not members["term.start"].nullable


def test_urgent_access_once_enabled_asks_for_its_terms() -> None:
    """The switch is always asked for; the rest only once it is on."""
    clause = dict(walk(agreement_shape()))["access.break_glass"].shape
    assert [name for name, member in clause.members.items() if member.required] == ["enabled"]
    assert clause.needed_if == "enabled"
    assert {"rules", "roles", "reasons", "ttl", "review_within"} <= set(clause.needed)


def _paths(value: Any, path: str, stop: set[str]) -> Any:
    if path in stop:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            here = f"{path}.{name}" if path else name
            yield here
            yield from _paths(inner, here, stop)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, f"{path}[]", stop)
