"""The syntax of United Kingdom public-sector identifiers, with check digits where there are any."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import mul
from typing import Final

_NHS_NUMBER: Final = re.compile(r"[0-9]{10}")
_NHS_WEIGHTS: Final = range(10, 1, -1)
_UPRN: Final = re.compile(r"[0-9]{1,12}")
_NINO: Final = re.compile(
    r"(?!BG|GB|KN|NK|NT|TN|ZZ)(?:QQ|[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z])[0-9]{6}[A-D]"
)
_GSS: Final = re.compile(r"[EWSNKJ][0-9]{8}")
_ODS: Final = re.compile(r"[A-Z0-9]{3,9}")


def is_nhs_number(text: str) -> bool:
    """Whether `text` is ten digits, the last a right check digit (ISB 0149, modulus 11)."""
    if not _NHS_NUMBER.fullmatch(text):
        return False
    total: int = sum(map(mul, map(int, text), _NHS_WEIGHTS))
    # A remainder that would ask for the check digit 10 belongs to no number.
    return (11 - total % 11) % 11 == int(text[9])


def is_uprn(text: str) -> bool:
    """Whether `text` is a unique property reference number: up to twelve digits (BS 7666)."""
    return _UPRN.fullmatch(text) is not None


def is_nino(text: str) -> bool:
    """Whether `text` is a National Insurance number without spaces (HMRC NIM39110).

    QQ is the synthetic prefix; some others are never allocated.
    """
    return _NINO.fullmatch(text) is not None


def is_gss(text: str) -> bool:
    """Whether `text` is a Government Statistical Service code, such as a local authority's."""
    return _GSS.fullmatch(text) is not None


def is_ods(text: str) -> bool:
    """Whether `text` is an Organisation Data Service code."""
    return _ODS.fullmatch(text) is not None


IDENTIFIER_KINDS: Final[Mapping[str, Callable[[str], bool]]] = {
    "nhs_number": is_nhs_number,
    "uprn": is_uprn,
    "nino": is_nino,
    "gss": is_gss,
    "ods": is_ods,
}
"""The kinds that a service may declare for its columns and parameters."""


def is_identifier(kind: str, value: object) -> bool:
    """Whether `value` is a text in the syntax of `kind`; a kind nobody knows has no members."""
    check = IDENTIFIER_KINDS.get(kind)
    return check is not None and isinstance(value, str) and check(value)
