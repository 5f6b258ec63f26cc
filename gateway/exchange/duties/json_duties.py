"""Duties on JSON answers: records filtered by a typed allow-list, values byte for byte."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from gateway.exchange.duties.applied import (
    Applied,
    Shape,
    Withheld,
    not_applicable,
    volume_exceeded,
    withheld_names,
)
from gateway.exchange.duties.json_document import JsonUnreadable, read_json
from gateway.exchange.duties.record_layouts import Layout, Row, layout_of, read_members
from gateway.exchange.duties.row_rules import Fate, RowRules, people, row_rules
from gateway.exchange.duties.small_numbers import (
    has_small_numbers,
    pointer_parts,
    small_numbers_withheld,
)
from policies.decision import Duties

POINTERS_REMEMBERED_MAX: Final = 256
"""Distinct `records_at` pointers, one per service, whose reader is kept."""

_NOBODY: Final[frozenset[str]] = frozenset()
_UNREADABLE: Final = not_applicable("The service's answer is not JSON that can be read safely.")
_Around = tuple[bytes, bytes]
_encode: Final = msgspec.json.Encoder().encode


def apply_to_json(duties: Duties, shape: Shape, body: bytes, *, fhir: bool) -> Applied | Withheld:
    """Apply `duties` to a JSON answer; total.

    Of a member name that a record gives twice, the last counts: it is the one that is checked and
    the only one that is sent, so no two readers can take the answer differently. Values of allowed
    fields pass whole. A redacted field is absent from its record, not null: null would say that
    there is no such value. Members around the list of records do not leave. FHIR aggregates pass
    as they are, once they have passed the guard.
    """
    try:
        if not body.isascii():
            body.decode("utf-8")
        whole = fhir and duties.aggregate
        if duties.small_number_guard or whole:
            document = read_json(body)
            if duties.small_number_guard and has_small_numbers(document, shape.count_at):
                return small_numbers_withheld()
            if whole:
                return _pass_whole(duties, shape, body, document)
        return _filter(duties, shape, body)
    except (msgspec.DecodeError, JsonUnreadable, ValueError, RecursionError):
        return _UNREADABLE


def _pass_whole(duties: Duties, shape: Shape, body: bytes, document: object) -> Applied | Withheld:
    """Release a guarded FHIR aggregate; it has no rows, so duties on rows cannot be applied."""
    if duties.scope or duties.restricted is not None:
        return not_applicable("Records of a FHIR aggregate cannot be chosen one by one.")
    records = _records_in(document, shape.records_at)
    known = shape.known_subjects
    return volume_exceeded(duties, records) or Applied(
        body=body, records=records, subjects=known, subjects_counted=len(known)
    )


def _records_in(document: object, records_at: str) -> int:
    if not isinstance(document, list):
        for part in pointer_parts(records_at):
            document = document.get(part) if isinstance(document, dict) else None
    return len(document) if isinstance(document, list) else 1


def _filter(duties: Duties, shape: Shape, body: bytes) -> Applied | Withheld:
    records, around = _envelope(shape.records_at).open(body)
    rules = row_rules(duties, shape)
    layout = layout_of(duties.allowed, rules.columns)
    judged = _judge(records, layout, rules)
    exceeded = volume_exceeded(duties, len(judged.rows))
    if exceeded is not None:
        return exceeded
    if duties.allowed is not None or rules.judges:
        body = _close(judged.rows, around)
    returned = frozenset(read_members(records[0]) if records else ())
    fields_withheld, leaked = withheld_names(duties, returned, rules.columns)
    subjects, subjects_counted = people(judged.persons, shape.known_subjects)
    return Applied(
        body=body,
        records=len(judged.rows),
        records_dropped=len(records) - len(judged.rows),
        subjects=subjects,
        subjects_counted=subjects_counted,
        redacted_subjects=people(judged.redacted, _NOBODY)[1] if judged.redacted else 0,
        fields_sent=layout.names_in(judged.rows),
        fields_withheld=fields_withheld,
        leaked=leaked,
    )


class _Judged(NamedTuple):
    """The rows that may leave, in their order, whom they are about, and who was redacted."""

    rows: list[Row]
    persons: list[str | None]
    redacted: list[str | None]


def _judge(records: list[msgspec.Raw], layout: Layout, rules: RowRules) -> _Judged:
    judged = _Judged([], [], [])
    judges, subject = rules.judges, rules.subject
    for record in records:
        row = layout.read(record)
        values = layout.values(row)
        fate = rules.fate(values) if judges else Fate.KEEP
        if fate is Fate.DROP:
            continue
        person = None if subject is None else values[subject]
        if fate is Fate.REDACT:
            layout.redact(row, rules.redact)
            judged.redacted.append(person)
        if rules.counts:
            judged.persons.append(person)
        judged.rows.append(row)
    layout.finish(judged.rows)
    return judged


def _close(rows: list[Row], around: _Around | None) -> bytes:
    """Write `rows` with what stands around them; ``{}`` where the only record was dropped."""
    if around is not None:
        return around[0] + _encode(rows) + around[1]
    return _encode(rows[0]) if rows else b"{}"


class _Member(msgspec.Struct, gc=False):
    """An object of which one member is read; made anew for each name and content."""

    inner: Any


class _Envelope:
    """Finds the list of records that stands at one JSON pointer, skipping what is around it."""

    __slots__ = ("_around", "_decode")

    def __init__(self, records_at: str) -> None:
        parts = pointer_parts(records_at)
        at_pointer: Any = list[msgspec.Raw]
        for part in reversed(parts):
            member = ("inner", at_pointer, msgspec.field(name=part, default=msgspec.UNSET))
            at_pointer = msgspec.defstruct("Member", [member], bases=(_Member,))
        one: Any = at_pointer if parts else dict[str, msgspec.Raw]
        self._decode = msgspec.json.Decoder(list[msgspec.Raw] | one).decode
        opening = b"".join(b"{" + _encode(part) + b":" for part in parts)
        self._around = (opening, b"}" * len(parts))

    def open(self, body: bytes) -> tuple[list[msgspec.Raw], _Around | None]:
        """Return the raw records and what stands around them; raises `msgspec.DecodeError`.

        Around None: the whole answer is one record.
        """
        found: Any = self._decode(body)
        if isinstance(found, list):
            return found, (b"", b"")
        while isinstance(found, _Member):
            found = found.inner
        if isinstance(found, list):
            return found, self._around
        return [msgspec.Raw(body)], None


@lru_cache(maxsize=POINTERS_REMEMBERED_MAX)
def _envelope(records_at: str) -> _Envelope:
    return _Envelope(records_at)
