"""Duties on FHIR answers that hold records: single resources, and Bundles of them, in JSON."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from gateway.exchange.duties.applied import (
    Applied,
    Shape,
    Withheld,
    not_applicable,
    volume_exceeded,
    withheld_names,
)
from gateway.exchange.duties.fhir_required import REQUIRED
from gateway.exchange.duties.fhir_resource import (
    SUBSETTED,
    FhirUnreadable,
    Members,
    Narrowing,
    text_at,
)
from gateway.exchange.duties.json_document import JsonUnreadable, read_json
from gateway.exchange.duties.record_layouts import read_members
from gateway.exchange.duties.row_rules import DROP, KEEP, REDACT, RowRules, people, row_rules
from gateway.exchange.duties.small_numbers import counts_are_safe, small_numbers_withheld
from policies.decision import Duties

PERMISSIONS_REMEMBERED_MAX: Final = 1024
"""Sets of fields less those that are redacted, which are kept."""

_UNREADABLE: Final = not_applicable("The service's answer is not FHIR that is understood whole.")
_NO_FIELD: Final = not_applicable("The service's answer has none of the fields that may leave.")
_OUT_OF_SCOPE: Final = not_applicable("The resource is outside the scope of the agreement.")
_PAGED: Final = not_applicable("The service answered with one page of several; ask for less.")

_BUNDLES: Final = frozenset({"searchset", "collection"})
_MODES: Final = frozenset({"match", "include", "outcome"})
"""Why an entry is in a searchset (HL7 ValueSet search-entry-mode); any other word is no code."""
_encode: Final = msgspec.json.Encoder().encode
_read_text: Final = msgspec.json.Decoder(str).decode


def apply_to_fhir(duties: Duties, shape: Shape, body: bytes) -> Applied | Withheld:
    """Apply `duties` to FHIR records; total.

    A resource keeps its type and the permitted values, says that it is incomplete, and has each
    element that it may not be without, masked where it is withheld. A Bundle is made anew with
    the resources that may leave: their number is its total; its links and addresses stay behind,
    which would tell ids and hosts. A page of several is withheld, for its total would be untrue.
    """
    assert duties.allowed is not None, "FHIR is narrowed to named fields"  # noqa: S101 - programmer's error
    try:
        if not body.isascii():
            body.decode("utf-8")
        if duties.small_number_guard and not counts_are_safe(
            read_json(body), shape.records_at, shape.count_at
        ):
            return small_numbers_withheld()
        members = read_members(body)
        run = _Run(duties, row_rules(duties, shape))
        if _word(members, "resourceType") == "Bundle":
            released = _bundle(members, run)
        else:
            released = _single(members, run)
    except (FhirUnreadable, JsonUnreadable, msgspec.DecodeError, ValueError, RecursionError):
        return _UNREADABLE
    if isinstance(released, Withheld):
        return released
    exceeded = volume_exceeded(duties, released.records)
    return exceeded or run.applied(_encode(released.document), released.records, shape)


class _Released(NamedTuple):
    """A document that may leave, and how many resources are in it."""

    document: dict[str, object]
    records: int


class _Run:
    """Judges and narrows the resources of one answer, and keeps what its record will say."""

    def __init__(self, duties: Duties, rules: RowRules) -> None:
        self._duties: Final = duties
        self._allowed: Final = duties.allowed or frozenset()
        self._rules: Final = rules
        self._narrowing: Final = Narrowing(duties.declared)
        self._persons: Final[list[str | None]] = []
        self._redacted: Final[list[str | None]] = []
        self.served: Final = frozenset(name.partition(".")[0] for name in self._allowed)
        self.dropped = 0

    def narrow(self, kind: str, members: Members) -> dict[str, object] | None:
        """Return what may leave of one resource; None, and one more dropped: nothing of it."""
        rules = self._rules
        values = [text_at(kind, members, path) for path in rules.columns]
        fate = rules.fate(values) if rules.judges else KEEP
        if fate is DROP or kind not in self.served:
            self.dropped += 1
            return None
        if kind not in REQUIRED:
            raise FhirUnreadable("a type of resource that is not understood")
        permitted = self._allowed
        person = None if rules.subject is None else values[rules.subject]
        if fate is REDACT:
            permitted = _without(permitted, rules.redact)
            self._redacted.append(person)
        if rules.counts:
            self._persons.append(person)
        return self._narrowing.narrow(kind, members, permitted)

    def applied(self, body: bytes, records: int, shape: Shape) -> Applied:
        """Return the released `body` with what its record will say."""
        returned = frozenset(self._narrowing.returned)
        fields_withheld, leaked = withheld_names(self._duties, returned, self._rules.columns)
        subjects, subjects_counted = people(self._persons, shape.known_subjects)
        return Applied(
            body=body,
            records=records,
            records_dropped=self.dropped,
            subjects=subjects,
            subjects_counted=subjects_counted,
            redacted_subjects=people(self._redacted, frozenset())[1],
            fields_sent=tuple(sorted(self._narrowing.sent)),
            fields_withheld=fields_withheld,
            leaked=leaked,
        )


@lru_cache(maxsize=PERMISSIONS_REMEMBERED_MAX)
def _without(allowed: frozenset[str], redact: frozenset[str]) -> frozenset[str]:
    """Take out the fields that are redacted, by their own name or that of a structure around."""
    under = tuple(f"{name}." for name in redact)
    return frozenset(name for name in allowed if name not in redact and not name.startswith(under))


def _single(members: Members, run: _Run) -> _Released | Withheld:
    kind = _word(members, "resourceType")
    if kind not in run.served:
        return _NO_FIELD
    narrowed = run.narrow(kind, members)
    return _OUT_OF_SCOPE if narrowed is None else _Released(narrowed, 1)


def _bundle(members: Members, run: _Run) -> _Released | Withheld:
    kind = _word(members, "type")
    if kind not in _BUNDLES:
        return _UNREADABLE
    entries: list[dict[str, object]] = []
    matches = released = 0
    for entry in _objects(members, "entry"):
        mode = _word(read_members(entry["search"]), "mode") if "search" in entry else "match"
        if mode not in _MODES:
            raise FhirUnreadable("an entry that is there for no known reason")
        matches += mode == "match"
        if mode == "outcome":
            # The service's own messages are not passed on, whatever they say.
            continue
        resource = read_members(entry["resource"]) if "resource" in entry else {}
        narrowed = run.narrow(_word(resource, "resourceType"), resource)
        if narrowed is not None:
            released += mode == "match"
            search = {"search": {"mode": mode}} if kind == "searchset" else {}
            entries.append({"resource": narrowed, **search})
    if _is_paged(members, matches):
        return _PAGED
    bundle: dict[str, object] = {"resourceType": "Bundle", "meta": {"tag": [SUBSETTED]}}
    bundle["type"] = kind
    if kind == "searchset":
        bundle["total"] = released
    if entries:
        bundle["entry"] = entries
    return _Released(bundle, len(entries))


def _is_paged(members: Members, matches: int) -> bool:
    """Whether there is more than this Bundle has in it."""
    if "total" in members and bytes(members["total"]) != b"%d" % matches:
        return True
    return any(_word(link, "relation") == "next" for link in _objects(members, "link"))


_read_objects: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


def _objects(members: Members, name: str) -> list[dict[str, msgspec.Raw]]:
    return _read_objects(members[name]) if name in members else []


def _word(members: Members, name: str) -> str:
    """Return a text that has to be there."""
    if name not in members:
        raise FhirUnreadable("an element is missing")
    return _read_text(members[name])
