"""FHIR aggregates: documents of which every member is known to tell counts and no person.

A member that is not listed here is not understood, and what is not understood does not pass: it
could be a narrative, a contained resource, an extension or a score, and each of them can name a
person or hold a number that no guard has seen. Of the members listed only `count` is a figure, and
`total`, which has to be the number of entries. Labels are free text, as the publisher chose it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

COUNTS_AT: Final = (
    "/group/*/population/*/count",
    "/group/*/stratifier/*/stratum/*/population/*/count",
)
"""Where a MeasureReport has counts (FHIR R4 §14.10)."""

Understands = Callable[[object], bool]
"""Whether a value is what is expected in its place, with all that is in it."""


def is_aggregate(document: object) -> bool:
    """Whether a parsed FHIR JSON document is a summary MeasureReport, or a Bundle of them; total.

    Every group and stratum has populations, and every population a count, or says that its count
    is masked (FHIR R4 §2.1.14, data-absent-reason). A Bundle may be empty.
    """
    if _bundle(document):
        assert isinstance(document, dict)  # noqa: S101 - tells the type checker what was checked
        entries = entries_in(document)
        return bool(document.get("total", entries) == entries)
    return _aggregate_resource(document)


def entries_in(aggregate: Mapping[str, object]) -> int:
    """Return the number of resources in an aggregate."""
    if aggregate.get("resourceType") != "Bundle":
        return 1
    entries = aggregate.get("entry", ())
    return len(entries) if isinstance(entries, list) else 0


def _text(pattern: str) -> Understands:
    matches = re.compile(pattern).fullmatch
    return lambda value: isinstance(value, str) and matches(value) is not None


def _one_of(*words: str) -> Understands:
    return lambda value: isinstance(value, str) and value in words


def _whole_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _each(item: Understands) -> Understands:
    """Understand a list of such items; in FHIR no list is empty (§2.6.2)."""
    return lambda value: isinstance(value, list) and bool(value) and all(map(item, value))


def _object(*needed: str, **members: Understands) -> Understands:
    """Understand an object of these members and no others, those `needed` among them."""

    def understands(value: object) -> bool:
        return (
            isinstance(value, dict)
            and members.keys() >= value.keys()
            and all(name in value for name in needed)
            and all(members[name](member) for name, member in value.items())
        )

    return understands


def _either(one: Understands, other: Understands) -> Understands:
    return lambda value: one(value) or other(value)


_token: Final = _text(r"\S{1,2048}")
_label: Final = _text(r"[^\x00-\x1f]{1,256}")
_id: Final = _text(r"[A-Za-z0-9.-]{1,64}")
_time: Final = _text(
    r"[0-9]{4}(-[0-9]{2}(-[0-9]{2}"
    r"(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}))?)?)?"
)
_concept: Final = _object(
    coding=_each(_object(system=_token, version=_label, code=_token, display=_label)), text=_label
)
_meta: Final = _object(versionId=_id, lastUpdated=_time, source=_token, profile=_each(_token))
_reference: Final = _object(
    reference=_token, type=_token, identifier=_object(system=_token, value=_label), display=_label
)
_masked: Final = _object(
    "extension",
    extension=_each(
        _object(
            "url",
            "valueCode",
            url=_one_of("http://hl7.org/fhir/StructureDefinition/data-absent-reason"),
            valueCode=_one_of("masked"),
        )
    ),
)
_populations: Final = _each(
    _either(
        _object("count", id=_id, code=_concept, count=_whole_number),
        _object("_count", id=_id, code=_concept, _count=_masked),
    )
)
_stratum: Final = _object(
    "population",
    id=_id,
    value=_concept,
    component=_each(_object("code", "value", code=_concept, value=_concept)),
    population=_populations,
)
_stratifier: Final = _object(id=_id, code=_each(_concept), stratum=_each(_stratum))
_group: Final = _object(
    "population", id=_id, code=_concept, population=_populations, stratifier=_each(_stratifier)
)
_measure_report: Final = _object(
    "resourceType",
    "type",
    "group",
    resourceType=_one_of("MeasureReport"),
    id=_id,
    meta=_meta,
    status=_one_of("complete", "pending", "error"),
    # The other types are about one person, or list the people counted.
    type=_one_of("summary"),
    measure=_token,
    date=_time,
    reporter=_reference,
    period=_object(start=_time, end=_time),
    group=_each(_group),
)

AGGREGATE_RESOURCES: Final[Mapping[str, Understands]] = {"MeasureReport": _measure_report}
"""The resources that may pass whole, with what is understood of each; others hold records."""


def _aggregate_resource(value: object) -> bool:
    kind = value.get("resourceType") if isinstance(value, dict) else None
    understands = AGGREGATE_RESOURCES.get(kind) if isinstance(kind, str) else None
    return understands is not None and understands(value)


_bundle: Final = _object(
    "resourceType",
    "type",
    resourceType=_one_of("Bundle"),
    id=_id,
    meta=_meta,
    type=_one_of("searchset", "collection"),
    timestamp=_time,
    total=_whole_number,
    link=_each(_object("relation", "url", relation=_token, url=_token)),
    entry=_each(
        _object(
            "resource",
            fullUrl=_token,
            search=_object(mode=_one_of("match", "include")),
            resource=_aggregate_resource,
        )
    ),
)
