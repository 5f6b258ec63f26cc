"""What applying the duties gives: a body that may leave, or the reason why none may."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.exchange.duties.named_people import NamedPeople
from policies.decision import Duties, ReasonCode
from policies.hot import hot_value

NAMES_LOGGED_MAX: Final = 64
"""Names that no agreement declares but a service returned, kept per answer for the record."""

ANSWERS_REMEMBERED_MAX: Final = 256
"""Sets of names that answers had, for which the names withheld are kept."""

_LOGGABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)


@hot_value(frozen=True, slots=True, kw_only=True)
class Shape:
    """Where things stand in a service's answer, and what the request already tells.

    `records_at` is the JSON pointer (RFC 6901) of the list of records; a bare list or a table is
    its own list, an object without that pointer is one record. `count_at` are the pointers of
    counts, ``*`` standing for every item; in a table the last part names the column.
    `known_subjects` are values of the dataset's subject identifier in the request. `filtered_on`
    names the parameters, path parameters and body fields by which the request chose its records.
    """

    records_at: str = "/records"
    count_at: tuple[str, ...] = ()
    known_subjects: frozenset[str] = frozenset()
    filtered_on: frozenset[str] = frozenset()


@hot_value(frozen=True, slots=True, kw_only=True)
class Applied:
    """A body to which every duty was applied, and what the record of the exchange says about it.

    `records` were released; `records_dropped` were out of the rule's scope, or of people whose
    records are withheld. `subjects` are the distinct subject identifiers of the released records
    and of the request; `subjects_counted` also counts in people without an identifier. Where the
    answer was read off the loop, `named` has what the record says of them, and `subjects` are only
    as many as were asked for.
    `redacted_subjects` counts the people whose protected fields were taken out. `fields_sent` left
    at least once; `fields_withheld` are declared or returned, and did not leave; `leaked` are those
    of them that the service returned though they are not read for a check, and the agreement does
    not declare them or says that they never leave.
    """

    body: bytes
    records: int = 0
    records_dropped: int = 0
    subjects: frozenset[str] = frozenset()
    subjects_counted: int = 0
    named: NamedPeople | None = None
    redacted_subjects: int = 0
    fields_sent: tuple[str, ...] = ()
    fields_withheld: tuple[str, ...] = ()
    leaked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """No part of the answer may leave; `detail` is for people and holds nothing of the answer."""

    reason: ReasonCode
    detail: str


def not_applicable(detail: str) -> Withheld:
    """Withhold an answer to which a duty cannot be applied."""
    return Withheld(reason=ReasonCode.DUTY_NOT_APPLICABLE, detail=detail)


def volume_exceeded(duties: Duties, records: int) -> Withheld | None:
    """Withhold an answer of more `records` than the rule lets out at once."""
    if duties.records_max is None or records <= duties.records_max:
        return None
    return Withheld(
        reason=ReasonCode.VOLUME_EXCEEDED,
        detail=f"The answer has {records} records; the agreement allows {duties.records_max}.",
    )


def withheld_names(
    duties: Duties, returned: frozenset[str], needed: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return `fields_withheld` and `leaked` for an answer whose records have the names `returned`.

    The names `needed` are read for a check. Names come from outside and go into the log: one that
    does not look like a field's name (a number, an address, a sentence) is left out.
    """
    if duties.allowed is None:
        return (), ()
    return _withheld_names(duties.allowed, duties.declared, duties.never, returned, needed)


@lru_cache(maxsize=ANSWERS_REMEMBERED_MAX)
def _withheld_names(
    allowed: frozenset[str],
    declared: frozenset[str],
    never: frozenset[str],
    returned: frozenset[str],
    needed: tuple[str, ...],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    outside = returned - allowed
    known = (declared - never).union(needed)
    strange = sorted(name for name in outside - known if _LOGGABLE_NAME.fullmatch(name))
    leaked = tuple(strange[:NAMES_LOGGED_MAX])
    withheld = (declared - allowed).union(outside & known, leaked)
    return tuple(sorted(withheld)), leaked
