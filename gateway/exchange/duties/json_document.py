"""Strict reading of whole JSON documents: what two readers could take differently is refused."""

from __future__ import annotations

import json
from typing import NoReturn


class JsonUnreadable(Exception):
    """The bytes are not one unambiguous JSON document; the message holds nothing of it."""


def read_json(body: bytes) -> object:
    """Return the value of a JSON text (RFC 8259); raises `JsonUnreadable`.

    Refused beyond the grammar: a byte order mark and other encodings than UTF-8 (§8.1), a member
    name given twice in an object (§4), numbers that are no JSON numbers such as NaN, and nesting
    deeper than the interpreter's own recursion limit.
    """
    try:
        value: object = _DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise JsonUnreadable("not an unambiguous JSON document") from error
    return value


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member name is given twice")
    return members


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_number)
