"""The small-number guard: no count that could single out a person leaves in an open answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from gateway.exchange.duties.applied import Withheld
from policies.decision import ReasonCode

COUNT_SUPPRESSED_MAX: Final = 7
"""Counts of 1 to this many are to be masked by the publisher (NHS England disclosure control)."""
COUNT_ROUNDED_TO: Final = 5
"""Other counts are to be rounded to the nearest multiple of this."""

_MASKED: Final = frozenset({"", "*"})
_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_EVERY: Final = "*"


def is_safe_count(value: object) -> bool:
    """Whether a count may leave: masked (null, empty, ``*``), or 0, or large and rounded.

    A count may be an integer or its canonical decimal text. Whatever else stands where a count
    should (``12.0``, ``1e1``, true, a negative number, a list) cannot be judged and is not safe.
    """
    if value is None:
        return True
    if isinstance(value, str):
        if value in _MASKED:
            return True
        if _INTEGER.fullmatch(value) is None:
            return False
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return value == 0 or (value > COUNT_SUPPRESSED_MAX and value % COUNT_ROUNDED_TO == 0)


def counts_in(document: object, count_at: Iterable[str]) -> list[object]:
    """Return the counts of a parsed JSON document, some of them twice.

    Counts stand at the pointers `count_at` (RFC 6901, ``*`` for every item), and wherever else a
    member has the name that such a pointer ends with: a figure that moved, say into a FHIR
    MeasureReport's ``stratifier``, is as telling as one that stayed. A count that is absent is not
    among them: where none is found, nobody can say that the document has no small one.
    """
    pointers = [pointer_parts(pointer) for pointer in count_at]
    names = frozenset(parts[-1] for parts in pointers if parts and parts[-1] != _EVERY)
    at_pointers = [count for parts in pointers for count in _at(document, parts)]
    return [*at_pointers, *_named(document, names)]


def counts_are_safe(document: object, records_at: str, count_at: Iterable[str]) -> bool:
    """Whether every count in a parsed JSON document is safe; of records without a count nobody can
    tell.
    """
    counts = counts_in(document, count_at)
    if not counts:
        return not _records_in(document, records_at)
    return all(map(is_safe_count, counts))


def _records_in(document: object, records_at: str) -> int:
    if not isinstance(document, list):
        for part in pointer_parts(records_at):
            document = document.get(part) if isinstance(document, dict) else None
    return len(document) if isinstance(document, list) else 1


def small_numbers_withheld() -> Withheld:
    """Withhold an answer that the guard does not let pass."""
    return Withheld(
        reason=ReasonCode.SMALL_NUMBERS_WITHHELD,
        detail=(
            f"The answer has a count of 1 to {COUNT_SUPPRESSED_MAX}, or one that is not rounded to "
            f"{COUNT_ROUNDED_TO}, or counts that the gateway cannot read."
        ),
    )


def count_columns(count_at: Iterable[str]) -> frozenset[str]:
    """Names of the columns that hold counts in a table: the last part of each pointer."""
    return frozenset(parts[-1] for parts in map(pointer_parts, count_at) if parts)


def pointer_parts(pointer: str) -> tuple[str, ...]:
    """Split a JSON pointer into its reference tokens (RFC 6901 §4); the empty pointer has none."""
    parts = pointer.split("/")[1:]
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def _at(document: object, parts: tuple[str, ...]) -> Iterator[object]:
    """Yield what stands at a pointer with ``*``; nothing where a member on the way is absent."""
    found = [document]
    for part in parts:
        found = [child for value in found for child in _children(value, part)]
    yield from found


def _children(value: object, part: str) -> Iterator[object]:
    if part == _EVERY and isinstance(value, list | dict):
        yield from value if isinstance(value, list) else value.values()
    elif isinstance(value, dict):
        if part in value:
            yield value[part]
    elif isinstance(value, list) and _INTEGER.fullmatch(part) and int(part) < len(value):
        yield value[int(part)]


def _named(document: object, names: frozenset[str]) -> Iterator[object]:
    """Yield every member called by one of `names`, at any depth."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from (value[name] for name in names & value.keys())
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
