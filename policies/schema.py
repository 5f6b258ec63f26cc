"""The JSON Schema of an agreement (2020-12), generated from the model and its closed words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from policies.glossary import meaning_of
from policies.shape import Kind, Member, Shape, agreement_shape

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_ID: Final = "urn:concordat:schema:agreement:0.1"

DURATION: Final = (
    "^P(?=[0-9T])([0-9]{1,4}Y)?([0-9]{1,4}M)?([0-9]{1,5}W)?([0-9]{1,6}D)?"
    "(T(?=[0-9])([0-9]{1,6}H)?([0-9]{1,6}M)?)?$"
)
INSTANT: Final = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"
)
DATE: Final = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"

STRICTER: Final[Mapping[str, str]] = {
    "every list": "The same value may not be there twice.",
    "legal.provider_basis": "Each member is a code or a list of codes.",
    "legal.consumer_basis": "Each member is a code or a list of codes.",
    "access.rules[].methods": "At least one.",
    "access.rules[].purposes": "At least one.",
    "access.rules[].path": "A slash before each segment, and parameters in braces.",
    "access.rules[].filter_values": "Each member is a value or a list of values.",
    "access.rules[].limits": "Each limit is at least 1.",
    "access.rules[].hours": "Times as HH:MM, and days such as mon-fri.",
    "access.rules[].obligations": "Only known words: an unknown duty cannot be done.",
    "access.break_glass": "Once enabled, it says for which rules, whom, why and how long.",
    "access.break_glass.min_acr": "Only known levels.",
    "access.break_glass.justification_min_chars": "At least 1.",
    "access.break_glass.max_subjects": "At least 1.",
}
"""Where this schema refuses what the draft schema of the scenario pack lets through, and how.
All are rules that `policies.document.read_agreement` keeps."""

_REF: Final[Mapping[Kind, str]] = {
    Kind.INSTANT: "instant",
    Kind.DATE: "date",
    Kind.DURATION: "duration",
    Kind.CODES_BY_NAME: "codes_by_name",
}


def agreement_schema() -> dict[str, Any]:
    """Return the schema as plain values, members in the order of the document."""
    return {
        "$schema": DIALECT,
        "$id": SCHEMA_ID,
        "title": "Data sharing agreement, schema 0.1",
        "description": "Generated from the model by `concordat policy schema`; do not edit.",
        **_object(agreement_shape(), ""),
        "$defs": {
            "instant": {"type": "string", "format": "date-time", "pattern": INSTANT},
            "date": {"type": "string", "format": "date", "pattern": DATE},
            "duration": {"type": "string", "pattern": DURATION},
            "codes_by_name": {
                "type": "object",
                "additionalProperties": {
                    "anyOf": [
                        {"type": "string"},
                        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
                    ]
                },
            },
        },
    }


def _object(shape: Shape, path: str) -> dict[str, Any]:
    members = shape.members
    schema: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name, member in members.items() if member.required],
        "properties": {
            name: _member(member, f"{path}.{name}" if path else name)
            for name, member in members.items()
        },
    }
    if shape.needed_if is not None:
        on = {"properties": {shape.needed_if: {"const": True}}, "required": [shape.needed_if]}
        schema |= {"if": on, "then": {"required": list(shape.needed)}}
    return schema


def _member(member: Member, path: str) -> dict[str, Any]:
    schema = _value(member.shape, path)
    if member.nullable:
        schema = {"anyOf": [schema, {"type": "null"}]}
    return {"description": meaning_of(path).meaning, **schema}


def _value(shape: Shape, path: str) -> dict[str, Any]:
    match shape.kind:
        case Kind.OBJECT:
            return _object(shape, path)
        case Kind.LIST:
            return _list(shape, path)
        case Kind.TEXT:
            return _text(shape)
        case Kind.FLAG:
            return {"type": "boolean"}
        case Kind.NUMBER:
            return {"type": "integer", "minimum": shape.minimum}
        case Kind.OPEN:
            return {"type": "object"}
    return {"$ref": f"#/$defs/{_REF[shape.kind]}"}


def _list(shape: Shape, path: str) -> dict[str, Any]:
    assert shape.item is not None, "a list has items"  # noqa: S101 - the shape's own rule
    schema: dict[str, Any] = {"type": "array", "items": _value(shape.item, f"{path}[]")}
    if shape.item.kind is not Kind.OBJECT:
        schema["uniqueItems"] = True
    if shape.size_min:
        schema["minItems"] = shape.size_min
    return schema


def _text(shape: Shape) -> dict[str, Any]:
    if shape.words:
        return {"enum": list(shape.words)}
    bounds = {"pattern": shape.pattern, "maxLength": shape.size_max}
    schema = {"type": "string", **{name: bound for name, bound in bounds.items() if bound}}
    return schema | ({"minLength": shape.size_min} if shape.size_min else {})
