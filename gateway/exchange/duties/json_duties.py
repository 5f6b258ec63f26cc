"""Duties on JSON answers: records filtered by a typed allow-list, values byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from gateway.exchange.derived import Derived
from gateway.exchange.duties.applied import (
    Applied,
    Shape,
    Withheld,
    not_applicable,
    volume_exceeded,
    withheld_names,
)
from gateway.exchange.duties.fhir_aggregate import COUNTS_AT, entries_in, is_aggregate
from gateway.exchange.duties.json_document import JsonUnreadable, read_json
from gateway.exchange.duties.record_layouts import Layout, Row, layout_of
from gateway.exchange.duties.returned_names import NameReader, name_reader
from gateway.exchange.duties.row_rules import DROP, KEEP, REDACT, RowRules, people, row_rules
from gateway.exchange.duties.small_numbers import (
    counts_are_safe,
    counts_in,
    is_safe_count,
    pointer_parts,
    small_numbers_withheld,
)
from policies.decision import Duties

ENVELOPES_REMEMBERED_MAX: Final = 1024
"""Pairs of a `records_at` pointer, one per service, and a type of record whose reader is kept."""

_NOBODY: Final[frozenset[str]] = frozenset()
_UNREADABLE: Final = not_applicable("The service's answer is not JSON that can be read safely.")
_STRUCTURED: Final = not_applicable("A field that may leave has a list or an object as its value.")
_NO_AGGREGATE: Final = not_applicable("The service's answer has more in it than FHIR counts.")
_Around = tuple[bytes, bytes]
_encode: Final = msgspec.json.Encoder().encode


def apply_to_json(duties: Duties, shape: Shape, body: bytes, *, fhir: bool) -> Applied | Withheld:
    """Apply `duties` to a JSON answer; total.

    Of a member name that a record gives twice, the last counts: it is the one that is checked and
    the only one that is sent, so no two readers can take the answer differently. Values of allowed
    fields pass as they are; one that is a list or an object withholds the answer, for an agreement
    knows no fields inside fields. A redacted field is absent from its record, not null: null would
    say that there is no such value. Members around the list of records do not leave. FHIR
    aggregates pass as they are, once they have passed the guard.
    """
    try:
        if not body.isascii():
            body.decode("utf-8")
        whole = fhir and duties.aggregate
        if whole:
            return _pass_whole(duties, shape, body)
        if duties.small_number_guard and not counts_are_safe(
            read_json(body), shape.records_at, shape.count_at
        ):
            return small_numbers_withheld()
        return _filter(duties, shape, body)
    except (msgspec.DecodeError, JsonUnreadable, ValueError, RecursionError):
        return _UNREADABLE


def _pass_whole(duties: Duties, shape: Shape, body: bytes) -> Applied | Withheld:
    """Release a FHIR aggregate; it has no rows, so duties on rows cannot be applied."""
    document = read_json(body)
    if not (isinstance(document, dict) and is_aggregate(document)):
        return small_numbers_withheld() if duties.small_number_guard else _NO_AGGREGATE
    counts = counts_in(document, (*shape.count_at, *COUNTS_AT))
    if duties.small_number_guard and not all(map(is_safe_count, counts)):
        return small_numbers_withheld()
    if duties.scope or duties.restricted is not None:
        return not_applicable("Records of a FHIR aggregate cannot be chosen one by one.")
    records = entries_in(document)
    known = shape.known_subjects
    return volume_exceeded(duties, records) or Applied(
        body=body, records=records, subjects=known, subjects_counted=len(known)
    )


def _filter(duties: Duties, shape: Shape, body: bytes) -> Applied | Withheld:
    reading = _reading(duties, shape)
    rules, layout = reading.rules, reading.layout
    read, records, around = _read(reading, shape.records_at, body)
    rows, persons, redacted = _judge(read, reading) if reading.looks else (read, (), ())
    layout.finish(rows)
    exceeded = volume_exceeded(duties, len(rows))
    if exceeded is not None:
        return exceeded
    if duties.allowed is not None or reading.judges:
        encoded = _encode(rows)
        if duties.allowed is not None and _has_structures(encoded, len(rows)):
            return _STRUCTURED
        body = _close(encoded, around)
    fields_withheld: tuple[str, ...] = ()
    leaked: tuple[str, ...] = ()
    if records is not None:
        names = reading.names_in(records)
        fields_withheld, leaked = withheld_names(duties, names, rules.columns)
    subjects, subjects_counted = people(persons, shape.known_subjects)
    return Applied(
        body=body,
        records=len(rows),
        records_dropped=len(read) - len(rows),
        subjects=subjects,
        subjects_counted=subjects_counted,
        redacted_subjects=people(redacted, _NOBODY)[1] if redacted else 0,
        fields_sent=layout.names_in(rows),
        fields_withheld=fields_withheld,
        leaked=leaked,
    )


class _Reading(NamedTuple):
    """How records are read under some duties.

    `judges` and `looks` are what `rules` say, looked up once. `exact` is there where all that is
    declared may leave and nothing else is read: a record of it has no name to withhold.
    """

    rules: RowRules
    layout: Layout
    names_in: NameReader
    judges: bool
    looks: bool
    exact: type | None


def _reading(duties: Duties, shape: Shape) -> _Reading:
    """Return how records are read under `duties`, which is kept where the request has no say."""
    if duties.restricted is None:
        return _READINGS.of(duties)
    return _reading_of(row_rules(duties, shape), duties)


def _reading_of(rules: RowRules, duties: Duties) -> _Reading:
    layout = layout_of(duties.allowed, rules.columns)
    names_in = name_reader(duties.declared, duties.never, rules.columns)
    all_may_leave = duties.allowed is not None and duties.allowed.issuperset(
        duties.declared.union(duties.never)
    )
    return _Reading(
        rules=rules,
        layout=layout,
        names_in=names_in,
        judges=rules.judges,
        looks=rules.looks,
        exact=layout.exact() if all_may_leave else None,
    )


_READINGS: Final[Derived[Duties, _Reading]] = Derived(
    lambda duties: _reading_of(row_rules(duties, Shape()), duties)
)


def _read(
    reading: _Reading, records_at: str, body: bytes
) -> tuple[list[Row], list[msgspec.Raw] | None, _Around | None]:
    """Return the rows, the records they were read from, and what stands around them.

    Records None: no record has a member that may not leave, so one pass has read all there is.
    """
    if reading.exact is not None:
        try:
            rows, around = _envelope(records_at, reading.exact).open(body)
        except msgspec.ValidationError:
            # Another member, or no record at all: the passes below tell which.
            pass
        else:
            return rows, None, around
    records, around = _envelope(records_at, msgspec.Raw).open(body)
    return [reading.layout.read(record) for record in records], records, around


_People = Sequence[str | None]


def _judge(read: list[Row], reading: _Reading) -> tuple[list[Row], _People, _People]:
    """Return the rows that may leave, in their order, whom they are about, and who was redacted."""
    rules, layout = reading.rules, reading.layout
    rows: list[Row] = []
    persons: list[str | None] = []
    redacted: list[str | None] = []
    judges, subject, counts = reading.judges, rules.subject, rules.counts
    for row in read:
        values = layout.values(row)
        fate = rules.fate(values) if judges else KEEP
        if fate is DROP:
            continue
        person = None if subject is None else values[subject]
        if fate is REDACT:
            layout.redact(row, rules.redact)
            redacted.append(person)
        if counts:
            persons.append(person)
        rows.append(row)
    return rows, persons, redacted


def _has_structures(encoded: bytes, rows: int) -> bool:
    """Whether any member of the `encoded` list of `rows` has a list or an object as its value.

    With no more brackets than the list and the rows need there is none; others may stand in text.
    """
    if encoded.find(b"[", 1) < 0 and encoded.count(b"{") == rows:
        return False
    return any(bytes(value)[0] in b"{[" for row in _read_rows(encoded) for value in row.values())


_read_rows: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


def _close(rows: bytes, around: _Around | None) -> bytes:
    """Put around the encoded `rows` what was; ``{}`` where the only record was dropped."""
    if around is not None:
        return around[0] + rows + around[1]
    return rows[1:-1] or b"{}"


class _Member(msgspec.Struct, gc=False):
    """An object of which one member is read; made anew for each name and content."""

    inner: Any


class _Envelope:
    """Finds the list of records that stands at one JSON pointer, skipping what is around it.

    A record is read as an `item`: raw, or a type of `record_type`.
    """

    __slots__ = ("_around", "_decode", "_read_one")

    def __init__(self, records_at: str, item: type) -> None:
        parts = pointer_parts(records_at)
        self._read_one: Callable[[bytes], Row] = (
            msgspec.Raw if item is msgspec.Raw else msgspec.json.Decoder(item).decode
        )
        records: Any = list[item]  # type: ignore[valid-type]  # made at run time
        at_pointer = records
        for part in reversed(parts):
            member = ("inner", at_pointer, msgspec.field(name=part, default=msgspec.UNSET))
            at_pointer = msgspec.defstruct("Member", [member], bases=(_Member,))
        one: Any = at_pointer if parts else dict[str, msgspec.Raw]
        self._decode = msgspec.json.Decoder(records | one).decode
        opening = b"".join(b"{" + _encode(part) + b":" for part in parts)
        self._around = (opening, b"}" * len(parts))

    def open(self, body: bytes) -> tuple[list[Row], _Around | None]:
        """Return the records and what stands around them; raises `msgspec.DecodeError`.

        Around None: the whole answer is one record.
        """
        found: Any = self._decode(body)
        while isinstance(found, _Member):
            found = found.inner
            if isinstance(found, list):
                return found, self._around
        if isinstance(found, list):
            return found, _BARE
        return [self._read_one(body)], None


_BARE: Final = (b"", b"")


@lru_cache(maxsize=ENVELOPES_REMEMBERED_MAX)
def _envelope(records_at: str, item: type) -> _Envelope:
    return _Envelope(records_at, item)
