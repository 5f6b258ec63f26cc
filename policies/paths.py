"""Path templates such as ``/children/{nhs_number}/known``, matched on decoded segments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_PARAMETER: Final = re.compile(r"\{([a-z_][a-z0-9_]{0,63})\}")
_LITERAL: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A path template; a parameter stands for one whole, non-empty segment.

    `literals` holds the text of each segment, None where a parameter stands; `names` the
    parameters' names with their positions.
    """

    text: str
    literals: tuple[str | None, ...]
    names: tuple[tuple[int, str], ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template.

        Raises:
            ValueError: a segment is empty, a dot segment, or neither literal nor parameter.
        """
        if not text.startswith("/"):
            raise ValueError(f"{text!r} does not begin with a slash")
        literals: list[str | None] = []
        names: list[tuple[int, str]] = []
        for position, segment in enumerate(text[1:].split("/")):
            parameter = _PARAMETER.fullmatch(segment)
            if parameter:
                names.append((position, parameter[1]))
                literals.append(None)
            elif _LITERAL.fullmatch(segment) and segment not in {".", ".."}:
                literals.append(segment)
            else:
                raise ValueError(f"{segment!r} is neither a plain segment nor a {{parameter}}")
        if len({name for _, name in names}) < len(names):
            raise ValueError(f"{text!r} names a parameter twice")
        return cls(text=text, literals=tuple(literals), names=tuple(names))

    def match(self, segments: tuple[str, ...]) -> Mapping[str, str] | None:
        """Return the parameters of a canonical path that this template matches, or None."""
        if not self.names:
            return _NOTHING if segments == self.literals else None
        if len(segments) != len(self.literals):
            return None
        for literal, segment in zip(self.literals, segments, strict=True):
            if literal != segment and (literal is not None or not segment):
                return None
        return {name: segments[position] for position, name in self.names}

    def overlaps(self, other: Template) -> bool:
        """Whether some path matches both templates."""
        return len(self.literals) == len(other.literals) and all(
            mine is None or theirs is None or mine == theirs
            for mine, theirs in zip(self.literals, other.literals, strict=True)
        )

    @property
    def rank(self) -> tuple[bool, ...]:
        """Sort key: at the first difference, a literal comes before a parameter."""
        return tuple(literal is None for literal in self.literals)


_NOTHING: Final[Mapping[str, str]] = {}
