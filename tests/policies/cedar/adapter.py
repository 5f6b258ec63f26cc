"""A query in the words of Cedar: what the language cannot work out itself is worked out here.

Path templates, wall clocks, check digits, distinct values and ISO durations are computed apart
from the native engine. A query becomes one Cedar request for each route that its path fits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

import cedarpy

from policies.decision import Query
from tests.policies.cedar.compiler import CedarAgreement, CedarRule, Document, compile_to_cedar
from tests.policies.cedar.instants import grant_ends_us, microseconds, wall_clock

NOWHERE: Final = "nowhere"
"""The route of a path that fits none; no policy permits anything there."""
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What Cedar says of a query: the rules that permit it, and any diagnostics error.

    A diagnostics error or a missing decision is a denial: in Cedar, a `forbid` that fails to
    evaluate is skipped.
    """

    rules: frozenset[str]
    errors: tuple[str, ...]

    @property
    def permitted(self) -> bool:
        """Whether some rule permits, and nothing at all went wrong."""
        return bool(self.rules) and not self.errors


class Oracle:
    """One agreement under one table of law, in Cedar; `services` are the raw service entries."""

    def __init__(
        self, document: Document, instruments: Iterable[Document], services: Iterable[Document]
    ) -> None:
        """Compile and parse; every policy must validate strictly against the schema."""
        self._document, self._law = document, {one["id"]: one for one in instruments}
        self.agreement = compile_to_cedar(document, self._law.values())
        self.identifiers = {one["connector"]: one.get("identifiers", {}) for one in services}
        valid = cedarpy.validate_policies(self.agreement.policies, self.agreement.schema)
        assert valid.validation_passed, valid.errors
        self._schema = cedarpy.Schema.from_str(self.agreement.schema)
        self._policies = cedarpy.PolicySet.from_str(self.agreement.policies)
        self._entities = cedarpy.Entities.from_json_str("[]")
        self._routes = tuple({one.route: one for one in self.agreement.rules}.values())

    def answers(self, queries: Iterable[Query]) -> list[Answer]:
        """Answer queries in one batch."""
        spans, requests = [], []
        for query in queries:
            asked = self.requests(query)
            spans.append(len(asked))
            requests += asked
        results = iter(self.authorize(requests))
        return [_answer([next(results) for _ in range(span)]) for span in spans]

    def authorize(self, requests: list[dict[str, Any]]) -> list[cedarpy.AuthzResult]:
        """Put requests to Cedar as they are."""
        found: list[cedarpy.AuthzResult] = cedarpy.is_authorized_batch(
            requests, self._policies, self._entities, self._schema
        )
        return found

    def requests(self, query: Query) -> list[dict[str, Any]]:
        """Return the Cedar requests of a query, one for each route that its path fits."""
        found = []
        shared: dict[str, Any] | None = None
        for route in self._routes:
            parts = path_parameters(route.path, query.path)
            if parts is not None:
                shared = shared or context_of(query, self.agreement)
                kinds = self.identifiers.get(route.connector, {})
                context = shared | _named(query, parts, kinds, self.agreement)
                if query.decision_form is not None:
                    context["form"] = _form(query, parts, kinds)
                found.append(_request(query, route.route, context))
        return found or [_request(query, NOWHERE, _empty(query, self.agreement))]

    def allowed(self, rule: CedarRule, query: Query) -> frozenset[str]:
        """Return the fields that may leave under a rule that permits."""
        found = rule.permitted
        if rule.limited_to_decision and query.decision_form is not None:
            found &= query.decision_form.fields_released
        return found if query.fields is None else found & frozenset(query.fields)

    def instrument(self, rule: CedarRule, query: Query) -> str | None:
        """Return the instrument that a permitted call relies on, as ``ID@version``.

        It is the first listed that covers the purpose, with its oldest version in force.
        """
        purpose, at = query.purpose, query.at
        if query.caller.organisation == "public":
            rules = self._document["access"]["rules"]
            purpose = next(one["purposes"][0] for one in rules if one["id"] == rule.id)
        for name in self._document["legal"]["instruments"]:
            one = self._law.get(name)
            if one is None or purpose not in one["purposes"]:
                continue
            for version in sorted(one["versions"], key=_begins):
                until = version["until"]
                if _instant(version["from"]) <= at and (until is None or at < _instant(until)):
                    return f"{name}@{version['version']}"
        return None


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _begins(version: Document) -> tuple[datetime, int]:
    return _instant(version["from"]), version["version"]


def _answer(results: list[cedarpy.AuthzResult]) -> Answer:
    rules: set[str] = set()
    errors: list[str] = []
    for one in results:
        errors += one.diagnostics.errors
        if one.allowed:
            rules.update(one.diagnostics.id_annotations_by_reason.values())
        elif one.decision is cedarpy.Decision.NoDecision and not one.diagnostics.errors:
            errors.append("no decision")
    return Answer(frozenset(rules), tuple(errors))


def _request(query: Query, route: str, context: dict[str, Any]) -> dict[str, Any]:
    method = "GET" if query.method == "HEAD" else query.method
    return {
        "principal": _organisation(query.caller.organisation),
        "action": {"type": "Action", "id": method if method in METHODS else "OTHER"},
        "resource": {"type": "Route", "id": route},
        "context": json.dumps(context),
    }


def _organisation(ref: str) -> dict[str, str]:
    return {"type": "Organisation", "id": ref}


def _without_none(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None}


def context_of(query: Query, agreement: CedarAgreement) -> dict[str, Any]:
    """Return the part of the context that is the same on every route."""
    caller, rows = query.caller, query.rows or ()
    names = [name for name, _ in query.parameters]
    fields = query.fields or ()
    behalf = query.on_behalf_of
    context = {
        "at_us": microseconds(query.at),
        "client": caller.client,
        "subject": caller.subject,
        "roles": sorted(caller.roles),
        "acr": caller.acr,
        "speaks_for": [_organisation(one) for one in sorted(caller.issuer_speaks_for)],
        "bound": caller.sender_constrained,
        "purpose": query.purpose or None,
        "behalf_of": None if behalf is None else _organisation(behalf),
        "clock": {zone: wall_clock(query.at, zone) for zone in agreement.zones},
        "said": _said(query.context, agreement.contexts),
        "parameters": sorted(set(names)),
        "fields": sorted(set(fields)),
        "repeats": len(names) != len(set(names)) or len(fields) != len(set(fields)),
        "rows": len(rows),
        "body": sorted({name for row in rows for name in row}),
        "body_nested": any(
            isinstance(one, dict | list | tuple) for row in rows for one in row.values()
        ),
        "urgent": _grant(query, agreement.grant_lasts),
    }
    return _without_none(context)


def _said(context: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """Return what the caller states; a blank states nothing."""
    said = {name: context[name] for name in names if context.get(name, "").strip()}
    if "decision_ref" in said:
        said["decision_ref"] = said["decision_ref"].strip()
    return said


def _grant(query: Query, lasts: str | None) -> dict[str, Any] | None:
    urgent = query.break_glass
    if urgent is None:
        return None
    started = min(urgent.started_at or query.at, query.at)
    return {
        "reason": urgent.reason,
        "chars": len(urgent.justification.strip()),
        "ends_us": 0 if lasts is None else grant_ends_us(started, lasts),
        "people": urgent.subjects_so_far,
        "suspended": urgent.suspended,
    }


def _values(query: Query, parts: Mapping[str, str]) -> list[tuple[str, object]]:
    rows = [pair for row in query.rows or () for pair in row.items()]
    return [*parts.items(), *query.parameters, *rows]


def _named(
    query: Query, parts: Mapping[str, str], kinds: Mapping[str, str], agreement: CedarAgreement
) -> dict[str, Any]:
    """Return what path, query and body name, together."""
    values = _values(query, parts)
    rows = query.rows or ()
    texts: dict[str, set[str]] = {name: set() for name in agreement.filters}
    people: dict[str, set[str]] = {name: set() for name in agreement.subject_fields}
    not_text = set()
    for name, value in values:
        if not isinstance(value, str):
            not_text.add(name)
        elif name in texts:
            texts[name].add(value)
        if name in people:
            people[name].add(str(value))
    sent = {name for name, value in (*parts.items(), *query.parameters) if value.strip()}
    if rows:
        sent |= set.intersection(*({n for n, one in row.items() if _states(one)} for row in rows))
    return {
        "values": {name: sorted(found) for name, found in texts.items()},
        "not_text": sorted(not_text),
        "named": {name: len(found) for name, found in people.items()},
        "malformed": any(n in kinds and not is_well_formed(kinds[n], one) for n, one in values),
        "sent": sorted(sent),
    }


def _states(value: object) -> bool:
    return bool(value.strip()) if isinstance(value, str) else bool(value)


def _empty(query: Query, agreement: CedarAgreement) -> dict[str, Any]:
    return context_of(query, agreement) | _named(query, {}, {}, agreement)


def _form(query: Query, parts: Mapping[str, str], kinds: Mapping[str, str]) -> dict[str, Any]:
    form = query.decision_form
    assert form is not None
    asked: dict[str, list[object]] = {name: [] for name in form.subject}
    for name, value in _values(query, parts):
        if name in asked:
            asked[name].append(value)
    same = all(
        asked[name] and all(one == value for one in asked[name])
        for name, value in form.subject.items()
    )
    covered = all(name in form.subject for name in parts if name in kinds)
    return _without_none(
        {
            "reference": form.reference,
            "requester": _organisation(form.requester),
            "approved": form.approved,
            "decided_us": microseconds(form.decided_at),
            "operation_ref": form.operation_ref,
            "subject_category": form.subject_category,
            "released": sorted(form.fields_released),
            "used": query.decision_form_used,
            "of_this_subject": same and covered,
        }
    )


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{([a-z_][a-z0-9_]*)\}", template)
    texts = [f"(?P<{one}>[^/]+)" if n % 2 else re.escape(one) for n, one in enumerate(parts)]
    return re.compile("".join(texts), re.DOTALL)


def path_parameters(template: str, path: tuple[str, ...]) -> Mapping[str, str] | None:
    """Return the values at a template's places, or None where the path is another.

    A slash inside a segment is written as a character that no path has.
    """
    found = _pattern(template).fullmatch("/" + "/".join(p.replace("/", "\x00") for p in path))
    if found is None:
        return None
    return {name: value.replace("\x00", "/") for name, value in found.groupdict().items()}


_SHAPES: Final = {
    "uprn": r"\d{1,12}",
    "nino": r"(?!BG|GB|KN|NK|NT|TN|ZZ)(?:QQ|(?![DFIQUV])[A-Z](?![DFIOQUV])[A-Z])\d{6}[ABCD]",
    "gss": r"[EWSNKJ]\d{8}",
    "ods": r"[A-Z\d]{3,9}",
    "nhs_number": r"\d{10}",
}


def is_well_formed(kind: str, value: object) -> bool:
    """Whether a value has an identifier's shape, and an NHS number its check digit (modulus 11)."""
    if not isinstance(value, str) or kind not in _SHAPES:
        return False
    if re.fullmatch(_SHAPES[kind], value, re.ASCII) is None:
        return False
    if kind != "nhs_number":
        return True
    weighted = [int(digit) * weight for digit, weight in zip(value, range(10, 0, -1), strict=True)]
    return sum(weighted) % 11 == 0
