"""Duties that look at single records: their scope, protected people, and whom they are about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from gateway.exchange.duties.applied import Shape
from policies.decision import Duties

RULES_REMEMBERED_MAX: Final = 1024
"""Sets of row duties, one per rule of an agreement, whose layout is kept."""

Marks = tuple[tuple[str, str], ...]
"""Columns, each with the value that marks a protected person."""

Clears = Callable[[str], bool]
"""Whether the text in a column of marks says that a person is not protected."""

_OPPOSITES: Final = {
    "true": "false", "false": "true",
    "yes": "no", "no": "yes",
    "y": "n", "n": "y",
    "1": "0", "0": "1",
}  # fmt: skip
"""Marks that have an opposite, in small letters."""

Values = Sequence[str | None]
"""A record's values of `RowRules.columns` as text; None: missing, null, or not a single value."""


class Fate(Enum):
    """What becomes of a record."""

    KEEP = "keep"
    REDACT = "redact"
    DROP = "drop"


KEEP: Final = Fate.KEEP
DROP: Final = Fate.DROP
REDACT: Final = Fate.REDACT
"""By these names for every row: looking a member up takes CPython 3.11 longer than its use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRules:
    """The columns to read in every record, and how they decide its fate.

    `scope` and `restricted` hold the position in `columns` with the values that may leave, and
    with what clears a person there; `restricted` None: no such duty. `subject` is
    the position of the subject identifier; `counts` says that people are to be counted, with an
    identifier or without.
    """

    columns: tuple[str, ...]
    scope: tuple[tuple[int, frozenset[str]], ...] = ()
    restricted: tuple[tuple[int, Clears], ...] | None = None
    restricted_fate: Fate = Fate.REDACT
    redact: frozenset[str] = frozenset()
    subject: int | None = None
    counts: bool = False

    @property
    def judges(self) -> bool:
        """Whether any record can be dropped or redacted."""
        return bool(self.scope) or self.restricted is not None

    @property
    def looks(self) -> bool:
        """Whether anything of any record has to be looked at."""
        return self.judges or self.counts

    def fate(self, values: Values) -> Fate:
        """Decide on one record; what cannot be told is decided against release."""
        for position, permitted in self.scope:
            if values[position] not in permitted:
                return DROP
        if self.restricted is not None and self._is_restricted(values):
            return self.restricted_fate
        return KEEP

    def _is_restricted(self, values: Values) -> bool:
        """Whether no column clears the person; a value that is missing or nested clears nobody."""
        for position, clears in self.restricted or ():
            value = values[position]
            if value is not None and clears(value):
                return False
        return True


def row_rules(duties: Duties, shape: Shape) -> RowRules:
    """Lay out the columns that `duties` needs to read.

    Where the request chose its records by a field that is to be redacted, the presence of a
    protected person would tell the field's value, so such a record is dropped instead.
    """
    restricted = duties.restricted
    marks: Marks | None = None
    fate = Fate.KEEP
    redact: frozenset[str] = frozenset()
    if restricted is not None:
        marks = tuple(restricted.when.items())
        redact = restricted.redact
        told_by_presence = not redact.isdisjoint(shape.filtered_on)
        fate = Fate.DROP if restricted.withhold or told_by_presence else Fate.REDACT
    counts = duties.counts_subjects or duties.subject_field is not None
    scope = tuple(duties.scope.items())
    return _lay_out(scope, marks, fate, redact, duties.subject_field, counts=counts)


@lru_cache(maxsize=RULES_REMEMBERED_MAX)
def _lay_out(
    scope: tuple[tuple[str, frozenset[str]], ...],
    marks: Marks | None,
    fate: Fate,
    redact: frozenset[str],
    subject: str | None,
    *,
    counts: bool,
) -> RowRules:
    names = [*(name for name, _ in scope), *(name for name, _ in marks or ())]
    if subject is not None:
        names.append(subject)
    columns = tuple(dict.fromkeys(names))
    at = columns.index
    return RowRules(
        columns=columns,
        scope=tuple((at(name), values) for name, values in scope),
        restricted=(
            None if marks is None else tuple((at(name), _clearance(mark)) for name, mark in marks)
        ),
        restricted_fate=fate,
        redact=redact,
        subject=None if subject is None else at(subject),
        counts=counts,
    )


def _clearance(mark: str) -> Clears:
    """Return what clears a person whom `mark` would protect.

    Where the mark has an opposite, only that does, in small or capital letters: a service that
    writes ``Y`` or ``1`` instead of ``true`` still protects. Any other mark is one word of a list
    that only the service knows, so every other word clears, but neither nothing nor the mark in
    other letters; a service with several such words cannot be described by `restricted_when`.
    """
    opposite = _OPPOSITES.get(mark.strip().lower())
    if opposite is not None:
        return frozenset({opposite, opposite.capitalize(), opposite.upper()}).__contains__
    unclear = frozenset({"", mark.strip().casefold()})
    return lambda text: text.strip().casefold() not in unclear


def people(persons: Sequence[str | None], known: frozenset[str]) -> tuple[frozenset[str], int]:
    """Return the distinct identifiers in `persons` and `known`, and the number of people.

    `persons` has the identifier of each record's person, `known` those of the request. A record
    without one (None, empty) is about one of the known, if there is one, else about somebody of
    its own.
    """
    if not persons:
        return known, len(known)
    identified = known.union(filter(None, persons))
    unidentified = 0 if known else persons.count(None) + persons.count("")
    return identified, len(identified) + unidentified
