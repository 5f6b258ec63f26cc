"""The rows of a JSON request body, as the decision sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

import orjson

from gateway.errors import ProblemCode

STRUCTURES_MAX: Final = 50_000
"""Opening braces and brackets of a request body at most, those in its texts among them.

They are what reading costs: a body is read on the event loop, where a row takes a microsecond, and
the longest body with as many takes some 60 ms of CPU time. So many rows of 20 bytes fill a body; an
agreement's own limit is lower, and the decision's to say.
"""
BODY_DEPTH_MAX: Final = 16
"""Levels of objects and lists in a request body."""

Rows = tuple[Mapping[str, object], ...]

_BATCH: Final = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsUnreadable:
    """The request body gives no rows; `detail` tells the caller why and quotes nothing of it."""

    detail: str
    code: ProblemCode = ProblemCode.MALFORMED_BODY


def read_rows(body: bytes) -> Rows | RowsUnreadable:
    """Read a JSON request body; total.

    ``{"batch": [{…}, …]}`` gives its rows, any other object is one row. Refused is what the
    service behind the gateway might read differently: a member name given twice, ``batch`` beside
    other members or not a list of objects; and what is too deep or has too many objects and lists.
    The latter costs nothing to find, and what all else costs follows from it.
    """
    if body.count(b"{") + body.count(b"[") > STRUCTURES_MAX:
        return _TOO_MANY
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _UNREADABLE
    members, depth = _measure(document)
    if depth > BODY_DEPTH_MAX:
        return RowsUnreadable(detail=f"The body is more than {BODY_DEPTH_MAX} levels deep.")
    # Where fewer members are left than colons, a name was given twice, or a text has a colon.
    if members != body.count(b":") and members != _members_written(body):
        return _UNREADABLE
    if not isinstance(document, dict):
        return RowsUnreadable(detail="The body is not a JSON object.")
    if _BATCH not in document:
        return (document,)
    batch = document[_BATCH]
    if len(document) > 1 or not isinstance(batch, list) or not all(map(_is_object, batch)):
        return RowsUnreadable(detail="A batch has to be the only member, and a list of objects.")
    return tuple(batch)


_TOO_MANY: Final = RowsUnreadable(
    detail=f"The body has more than {STRUCTURES_MAX} objects and lists. Send fewer rows.",
    code=ProblemCode.BODY_TOO_LARGE,
)
_UNREADABLE: Final = RowsUnreadable(
    detail="The body is not JSON that every reader takes the same way."
)


def _measure(document: object) -> tuple[int, int]:
    """Count the members of all objects, and the levels of nesting, up to one too many."""
    members = depth = 0
    objects, lists = _structures([document])
    while (objects or lists) and depth <= BODY_DEPTH_MAX:
        depth += 1
        members += sum(map(len, objects))
        values = chain.from_iterable(map(dict.values, objects))
        objects, lists = _structures(chain(values, chain.from_iterable(lists)))
    return members, depth


def _structures(values: Iterable[object]) -> tuple[list[dict[str, object]], list[list[object]]]:
    """Return the objects and the lists of some values; a JSON reader makes no subclasses."""
    found = [value for value in values if type(value) is dict or type(value) is list]
    return (
        [value for value in found if type(value) is dict],
        [value for value in found if type(value) is list],
    )


_NO_QUOTE_NOR_COLON: Final = bytes(set(range(256)) - set(b'":'))


def _members_written(document: bytes) -> int:
    """Count the colons of a JSON text that stand in none of its strings: one for each member.

    Without its escapes a string ends at the next quotation mark. Marks with nothing between them
    begin and end an empty string, or join two strings with no colon between; either can go.
    """
    unescaped = document.replace(b"\\\\", b"").replace(b'\\"', b"")
    quoted = unescaped.translate(None, _NO_QUOTE_NOR_COLON).replace(b'""', b"")
    return sum(map(len, quoted.split(b'"')[::2]))


def _is_object(value: object) -> bool:
    return isinstance(value, dict)
