"""Cedar text: literals and conditions, in the forms that strict validation accepts."""

from __future__ import annotations

import json
from collections.abc import Iterable


def text(value: str) -> str:
    """Return a Cedar string literal."""
    assert value.isascii(), value
    return json.dumps(value)


def words(values: Iterable[str]) -> str:
    """Return a Cedar set of strings; strict validation refuses an empty one."""
    return f"[{', '.join(text(value) for value in sorted(values))}]"


def within(asked: str, allowed: Iterable[str]) -> str:
    """Return the condition that every member of `asked` is one of `allowed`."""
    allowed = tuple(allowed)
    return f"{words(allowed)}.containsAll({asked})" if allowed else f"{asked}.isEmpty()"


def among(value: str, allowed: Iterable[str]) -> str:
    """Return the condition that the string `value` is one of `allowed`."""
    allowed = tuple(allowed)
    return f"{words(allowed)}.contains({value})" if allowed else "false"


def all_of(parts: Iterable[str]) -> str:
    """Return a conjunction."""
    return " && ".join(f"({part})" for part in parts if part != "true") or "true"


def any_of(parts: Iterable[str]) -> str:
    """Return a disjunction."""
    return " || ".join(f"({part})" for part in parts) or "false"
