"""Media types of bodies, read as far as the duties need them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

MEDIA_TYPES_REMEMBERED_MAX: Final = 256
"""Distinct ``Content-Type`` values whose reading is remembered."""

_READABLE_CHARSETS: Final = frozenset({"utf-8", "us-ascii"})


class Format(Enum):
    """How a body is to be read; OTHER cannot be read, so no duty can be applied to it."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    OTHER = "other"


JSON: Final = Format.JSON
CSV: Final = Format.CSV
PARQUET: Final = Format.PARQUET
OTHER: Final = Format.OTHER
"""By these names for every exchange: looking a member up takes CPython 3.11 longer than its use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A media type as the duties see it; `fhir` marks ``application/fhir+json``."""

    format: Format
    fhir: bool = False


_OTHER: Final = Media(format=Format.OTHER)


def essence_of(media_type: str) -> str:
    """Return type and subtype of a ``Content-Type`` value, in lower case, without parameters."""
    return media_type.partition(";")[0].strip().lower()


@lru_cache(maxsize=MEDIA_TYPES_REMEMBERED_MAX)
def read_media(media_type: str) -> Media:
    """Read a ``Content-Type`` value (RFC 9110 §8.3.1); total.

    JSON is ``application/json`` or any ``application/*+json`` (RFC 6839 §3.1), CSV is ``text/csv``
    (RFC 7111), Parquet ``application/vnd.apache.parquet``, as registered. A charset other than
    UTF-8 or its subset US-ASCII, a charset given twice, or CSV that says it has no header row (RFC
    4180 §3) is OTHER.
    """
    essence, *parameters = media_type.split(";")
    essence = essence.strip().lower()
    read = [_parameter(parameter) for parameter in parameters if parameter.strip()]
    charsets = [value for name, value in read if name == "charset"]
    if len(charsets) > 1 or not _READABLE_CHARSETS.issuperset(charsets):
        return _OTHER
    if essence == "text/csv":
        return _OTHER if ("header", "absent") in read else Media(format=Format.CSV)
    if essence == "application/vnd.apache.parquet":
        return Media(format=Format.PARQUET)
    if essence == "application/json" or (
        essence.startswith("application/") and essence.endswith("+json")
    ):
        return Media(format=Format.JSON, fhir=essence == "application/fhir+json")
    return _OTHER


def _parameter(text: str) -> tuple[str, str]:
    """Name and value of one parameter, in lower case, without the quotes."""
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip().strip('"').lower()
