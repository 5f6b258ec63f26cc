"""What every member of an agreement means in law, and when and how the gateway keeps to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from policies.glossary_sections import SECTIONS


class When(StrEnum):
    """When a clause is kept to (uk-public-sector.md section 2b)."""

    CALL = "every call"
    WRITING = "when it is written"
    AFTER = "watched afterwards"
    RECORD = "recorded only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """One member: its name for people, its meaning in law, when and how it is enforced."""

    label: str
    meaning: str
    when: tuple[When, ...]
    how: str


_LETTERS: Final = {"E": When.CALL, "V": When.WRITING, "M": When.AFTER, "R": When.RECORD}

MEANINGS: Final[Mapping[str, Meaning]] = {
    f"{section}.{name}".strip("."): Meaning(
        label=label, meaning=meaning, when=tuple(_LETTERS[letter] for letter in letters), how=how
    )
    for section, members in SECTIONS.items()
    for name, (label, meaning, letters, how) in members.items()
}
"""Each member of the document by its path, such as ``parties[].ref``."""


def meaning_of(path: str) -> Meaning:
    """Return the meaning of a member by its path; raises KeyError for one that is not declared."""
    return MEANINGS[path]
