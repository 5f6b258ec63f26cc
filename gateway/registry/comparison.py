"""What differs between two states of a document, member by member."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from policies.reading import Pointer


class Absent:
    """Stands where a document has no member; null is a value like others."""

    def __repr__(self) -> str:
        """Return what people read."""
        return "absent"


ABSENT: Final = Absent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place in which two documents differ; what is not there on one side is `ABSENT`."""

    pointer: Pointer
    was: object
    will_be: object


def differences(was: object, will_be: object, pointer: Pointer = ()) -> Iterator[Difference]:
    """Yield where two values differ, as deep as both are objects, or lists of one length."""
    if isinstance(was, Mapping) and isinstance(will_be, Mapping):
        for name in sorted(was.keys() | will_be.keys()):
            here = (*pointer, name)
            yield from differences(was.get(name, ABSENT), will_be.get(name, ABSENT), here)
    elif isinstance(was, list) and isinstance(will_be, list) and len(was) == len(will_be):
        for position, (one, other) in enumerate(zip(was, will_be, strict=True)):
            yield from differences(one, other, (*pointer, position))
    elif was != will_be or type(was) is not type(will_be):
        yield Difference(pointer=pointer, was=was, will_be=will_be)
