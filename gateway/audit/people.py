"""People in the log: the keyed tags under which they are found, a key for each year.

Identifiers lie in sealed sections. What finds them again is a tag that only the holder of the
year's key can make, so that destroying that key unlinks everybody of that year.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from datetime import UTC, datetime
from typing import Final, NamedTuple

TAG_BYTES: Final = 16
IDENTIFIER_CHARS_MAX: Final = 512

_TYPE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SPACE: Final = re.compile(r"\s+")
# Numbers that are written in groups, with spaces or hyphens between them.
_GROUPED: Final = frozenset({"nhs_number", "nino"})


class PersonInvalid(ValueError):
    """What was given is not an identifier and its type; the value is never repeated."""


class Person(NamedTuple):
    """An identifier of somebody, with its type such as ``nhs_number``; in clear, so never kept."""

    id_type: str
    normalised_id: str

    def __repr__(self) -> str:
        """Return the type alone: a value must reach no log and no traceback."""
        return f"Person({self.id_type}:…)"


class PersonTags(NamedTuple):
    """Somebody who is looked for: the tags of each year that has a key, and no value."""

    id_type: str
    tags: tuple[bytes, ...]

    def __str__(self) -> str:
        """Return what a record of the search keeps: the type and the newest year's tag."""
        return f"{self.id_type}:{self.tags[-1].hex() if self.tags else ''}"


def parse_person(unverified: str) -> Person:
    """Return the person of ``type:value``, as in ``nhs_number:999 000 0018``.

    Raises PersonInvalid, whose sentence does not repeat the value.
    """
    id_type, _, value = unverified.partition(":")
    if _TYPE.fullmatch(id_type) is None:
        raise PersonInvalid("give a person as type:value, such as nhs_number:9990000018")
    normalised = normalise(id_type, value)
    if not 0 < len(normalised) <= IDENTIFIER_CHARS_MAX:
        raise PersonInvalid(f"the {id_type} is empty, or longer than {IDENTIFIER_CHARS_MAX}")
    return Person(id_type, normalised)


def normalise(id_type: str, identifier: str) -> str:
    """Return the one way in which an identifier is tagged, however people write it."""
    plain = _SPACE.sub("", unicodedata.normalize("NFKC", identifier)).upper()
    return plain.replace("-", "") if id_type in _GROUPED else plain


def subject_tag(key: bytes, id_type: str, normalised_id: str) -> bytes:
    """Return the tag under which somebody is found in a year (`LogKeys.subject_key`).

    Without the key nobody can make it, nor guess from it; reference/audit-log.md, section 2.3.
    """
    message = f"audit-subject/v1\n{id_type}\n{normalised_id}".encode()
    return hmac.digest(key, message, "sha256")[:TAG_BYTES]


def year_of(at_us: int) -> int:
    """Return the year, in UTC, whose key tags what a record of this time names."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).year
