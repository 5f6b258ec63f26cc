"""The rows of a JSON request body, as the decision sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from gateway.exchange.duties.json_document import JsonUnreadable, read_json

ROWS_MAX: Final = 100_000
"""Rows of one request at most; an agreement's own limit is lower, and the decision's to say."""
BODY_DEPTH_MAX: Final = 16
"""Levels of objects and lists in a request body."""

Rows = tuple[Mapping[str, object], ...]

_BATCH: Final = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsUnreadable:
    """The request body gives no rows; `detail` tells the caller why and quotes nothing of it."""

    detail: str


def read_rows(body: bytes) -> Rows | RowsUnreadable:
    """Read a JSON request body; total.

    ``{"batch": [{…}, …]}`` gives its rows, any other object is one row. Refused is what the
    service behind the gateway might read differently: a member name given twice, ``batch`` beside
    other members or not a list of objects; and what is too deep or has too many rows.
    """
    try:
        document = orjson.loads(body)
        members, depth = _measure(document)
        if depth > BODY_DEPTH_MAX:
            return RowsUnreadable(detail=f"The body is more than {BODY_DEPTH_MAX} levels deep.")
        if members != body.count(b":"):
            # Where every colon stands after a member's name, no name was given twice; otherwise
            # the exact and slower reader has to tell.
            read_json(body)
    except (orjson.JSONDecodeError, JsonUnreadable):
        return RowsUnreadable(detail="The body is not JSON that every reader takes the same way.")
    if not isinstance(document, dict):
        return RowsUnreadable(detail="The body is not a JSON object.")
    if _BATCH not in document:
        return (document,)
    batch = document[_BATCH]
    if len(document) > 1 or not isinstance(batch, list) or not all(map(_is_object, batch)):
        return RowsUnreadable(detail="A batch has to be the only member, and a list of objects.")
    if len(batch) > ROWS_MAX:
        return RowsUnreadable(detail=f"The batch has more than {ROWS_MAX} rows.")
    return tuple(batch)


def _measure(document: object) -> tuple[int, int]:
    """Count the members of all objects, and the levels of nesting, up to one too many."""
    members = depth = 0
    level = [document] if isinstance(document, dict | list) else []
    while level and depth <= BODY_DEPTH_MAX:
        depth += 1
        below: list[dict[str, object] | list[object]] = []
        for container in level:
            if isinstance(container, dict):
                members += len(container)
            children = container.values() if isinstance(container, dict) else container
            below.extend(child for child in children if isinstance(child, dict | list))
        level = below
    return members, depth


def _is_object(value: object) -> bool:
    return isinstance(value, dict)
