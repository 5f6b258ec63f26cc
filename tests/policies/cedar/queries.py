"""Queries by chance: each would be permitted by one rule, then up to three things are changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from policies.decision import BreakGlassRequest, Caller, DecisionForm, Query
from tests.policies.cedar.compiler import CATEGORIES, LEVELS, SAFEGUARDING, WEEK
from tests.policies.cedar.documents import (
    CLIENTS,
    CONTEXTS,
    LAD_CODES,
    NAMES,
    ORGANISATIONS,
    PURPOSES,
    ROLES,
)
from tests.policies.cedar.documents import some as some_of
from tests.policies.cedar.instants import EPOCH, grant_ends_us, microseconds, review_lapses_us

Json = Mapping[str, Any]

IDENTIFIERS: Final = {
    "nhs_number": ("9992000015", "9990000077", "9990000085"),
    "uprn": ("999000000501", "1", "999999999999"),
    "nino": ("QQ123456C", "QQ000001A", "AB123456D"),
    "gss": LAD_CODES,
    "ods": ("R9Z", "QZ9", "R9ZA1"),
}
MALFORMED: Final = (
    *("9992000016", "999200001", "QQ12345C", "E0699900", "r9z", "1234567890123", "", " ", "x y"),
    *("٣٣٣٣٣٣٣٣٣٣", "QQ123456E", "9992000015\n", "OA123456A", "ZZ123456A", "X06999001"),
)
BLANKS: Final = ("", " ", "\t")
CLOCK_CHANGES: Final = tuple(
    datetime.fromisoformat(one)
    for one in (
        *("2026-03-29T01:00+00:00", "2026-10-25T01:00+00:00", "2027-03-28T01:00+00:00"),
        *("2026-11-01T06:00+00:00", "2026-03-08T07:00+00:00", "2026-04-04T15:00+00:00"),
    )
)
"""Changes to and from summer time: London, New York, Lord Howe."""
NEAR: Final = (
    *(timedelta(0), timedelta(microseconds=1), timedelta(microseconds=-1)),
    *(timedelta(seconds=1), timedelta(seconds=-1), timedelta(minutes=30), timedelta(minutes=-30)),
    *(timedelta(hours=1), timedelta(hours=-1), timedelta(days=1), timedelta(days=-1)),
)


class Queries:
    """The queries of one agreement under one table of law."""

    def __init__(
        self, chance: Random, document: Json, law: Sequence[Json], services: Sequence[Json]
    ) -> None:
        """Work out which values and instants are interesting for this agreement."""
        self.chance, self.document = chance, document
        self.rules: list[Json] = document["access"]["rules"]
        self.kinds = {one["connector"]: one.get("identifiers", {}) for one in services}
        self.clause: Json = document["access"].get("break_glass", {"enabled": False})
        self.edges, self.law = _edges(document, law), law

    def draw(self) -> Query:
        """Return the next query."""
        chance = self.chance
        rule = chance.choice(self.rules)
        query = self._fitting(rule)
        for _ in range(chance.choice((0, 1, 1, 1, 1, 2, 3))):
            query = chance.choice(_CHANGES)(self, rule, query)
        return query

    def value(self, rule: Json, name: str) -> str:
        """Return a value of a parameter or column that the rule lets a request name."""
        kind = self.kinds.get(rule["connector"], {}).get(name)
        agreed = rule.get("filter_values", {}).get(name)
        return str(self.chance.choice(agreed or IDENTIFIERS.get(kind, ("a", "b", "on_list"))))

    def _fitting(self, rule: Json) -> Query:
        chance, anonymous = self.chance, False
        party, organisation = self._party(rule["party"]), rule["party"]
        if organisation == "public":
            anonymous = chance.random() < (0.6 if rule["actor"]["mode"] == "public" else 0.1)
            organisation = "public" if anonymous else chance.choice(ORGANISATIONS)
        names = re.findall(r"\{(\w+)\}", rule["path"])
        parts = {name: self.value(rule, name) for name in names}
        filters = [one for one in rule.get("filters_required", ()) if one not in parts]
        rows = None
        if "POST" in rule["methods"] and chance.random() < 0.6:
            columns = some_of(chance, rule.get("body_fields_allowed", ()))
            rows = tuple(
                {name: self.value(rule, name) for name in columns}
                for _ in range(chance.choice((0, 1, 1, 1, 2, 3)))
            )
        method = chance.choice(rule["methods"])
        purpose = rule["purposes"][0] if anonymous else chance.choice(rule["purposes"])
        query = Query(
            at=self.instant(rule, purpose),
            caller=Caller(organisation=organisation)
            if anonymous
            else self._caller(rule, organisation, party),
            method="HEAD" if method == "GET" and chance.random() < 0.1 else method,
            path=tuple(parts[s[1:-1]] if s[0] == "{" else s for s in rule["path"][1:].split("/")),
            purpose=None if anonymous else purpose,
            parameters=tuple((name, self.value(rule, name)) for name in filters),
            rows=rows,
            context=self._context(rule),
        )
        if "decision_ref" in query.context:
            query = replace(query, decision_form=self._form(rule, query, parts))
        offered = self.clause["enabled"] and rule["id"] in self.clause["rules"]
        return _invoke(self, rule, query) if offered and chance.random() < 0.4 else query

    def _party(self, ref: str) -> Json:
        return next(one for one in self.document["parties"] if one["ref"] == ref)

    def _caller(self, rule: Json, organisation: str, party: Json) -> Caller:
        actor, chance = rule["actor"], self.chance
        roles = set(some_of(chance, actor.get("roles") or [""], 1)) - {""}
        if self.clause["enabled"] and chance.random() < 0.5:
            roles.add(chance.choice(self.clause["roles"]))
        least = LEVELS.index(actor["min_acr"]) if "min_acr" in actor else 0
        return Caller(
            organisation=organisation,
            client=chance.choice(party.get("clients") or (None, *CLIENTS)),
            subject="user-7" if actor["mode"] == "user" or chance.random() < 0.5 else None,
            roles=frozenset(roles),
            acr=chance.choice(LEVELS[least:]),
            issuer_speaks_for=frozenset({organisation, chance.choice(ORGANISATIONS)}),
            sender_constrained=chance.random() < 0.98,
        )

    def _context(self, rule: Json) -> dict[str, str]:
        said = {}
        for name in rule.get("request_context_required", ()):
            words = {**SAFEGUARDING, "subject_category": CATEGORIES}.get(name, ("said so",))
            said[name] = "LER-1" if name == "decision_ref" else self.chance.choice(words)
        if {"single_use_decision", "fields_limited_to_decision"} & {*rule.get("obligations", ())}:
            said["decision_ref"] = "LER-1"
        return said

    def _form(self, rule: Json, query: Query, parts: Mapping[str, str]) -> DecisionForm:
        chance = self.chance
        subject = {**parts, **dict(query.parameters)}
        return DecisionForm(
            reference="LER-1",
            requester=query.caller.organisation,
            approved=True,
            fields_released=frozenset(some_of(chance, rule.get("fields_allowed") or NAMES)),
            decided_at=query.at - chance.choice((timedelta(0), timedelta(days=3))),
            operation_ref=query.context.get("operation_ref"),
            subject_category=query.context.get("subject_category"),
            subject=subject if chance.random() < 0.8 else dict(parts),
        )

    def instant(self, rule: Json, purpose: str) -> datetime:
        """Return an instant at which the rule may well be open, on lawful grounds, or an edge."""
        chance = self.chance
        if chance.random() < 0.12:
            return chance.choice(self.edges) + chance.choice(NEAR)
        first, last = chance.choice(_spans(self.document, self.law, purpose))
        at = EPOCH + timedelta(seconds=chance.randrange(first, max(last, first + 1)) // 1_000_000)
        hours = rule.get("hours")
        return at if hours is None else self._open(hours, at)

    def _open(self, hours: Json, at: datetime) -> datetime:
        """Return an instant about the same day at which the wall shows an open hour, or nearly."""
        chance, (opens, closes) = self.chance, (_minutes(hours, "from"), _minutes(hours, "to"))
        length = (closes - opens - 1) % 1440 + 1
        minute = opens + chance.choice((0, length, *[chance.randrange(length)] * 4))
        local = at.astimezone(ZoneInfo(hours.get("tz", "Europe/London")))
        day = WEEK.index(chance.choice(re.findall("[a-z]{3}", hours.get("days", "mon-sun"))))
        local += timedelta(days=day - local.weekday() + minute // 1440)
        local = local.replace(hour=minute // 60 % 24, minute=minute % 60, second=0)
        return local.astimezone(UTC) + timedelta(seconds=chance.choice((0, 0, 1, -1)))


def _minutes(hours: Json, name: str) -> int:
    said: str = hours.get(name, {"from": "00:00", "to": "24:00"}[name])
    return int(said[:2]) * 60 + int(said[3:])


def _spans(document: Json, law: Sequence[Json], purpose: str) -> list[tuple[int, int]]:
    """Return when the agreement runs and a version that covers the purpose is in force."""
    term = document["term"]
    first = microseconds(datetime.fromisoformat(term["start"]))
    last = review_lapses_us(term)
    if term["end"] is not None:
        last = min(last, microseconds(datetime.fromisoformat(term["end"])))
    found = [(first, last)]
    for one in law:
        if one["id"] in document["legal"]["instruments"] and purpose in one["purposes"]:
            for version in one["versions"]:
                begins = microseconds(datetime.fromisoformat(version["from"]))
                ends = last
                if version["until"] is not None:
                    ends = min(last, microseconds(datetime.fromisoformat(version["until"])))
                found.append((max(first, begins), ends))
    return [one for one in found[1:] if one[0] < one[1]] or found


def _edges(document: Json, law: Sequence[Json]) -> list[datetime]:
    term = document["term"]
    texts = [term["start"], term["end"]]
    for one in law:
        if one["id"] in document["legal"]["instruments"]:
            texts += [one for v in one["versions"] for one in (v["from"], v["until"])]
    found = [datetime.fromisoformat(one) for one in texts if one is not None]
    found.append(EPOCH + timedelta(microseconds=review_lapses_us(term)))
    return [one.astimezone(UTC) for one in (*found, *CLOCK_CHANGES)]


def _invoke(queries: Queries, rule: Json, query: Query) -> Query:
    """Invoke break-glass, at or near every bound of the clause."""
    clause, chance = queries.clause, queries.chance
    if not clause["enabled"]:
        return replace(query, break_glass=BreakGlassRequest(reason="FLOOD", justification="x" * 40))
    least, lasts = clause["justification_min_chars"], clause["ttl"]
    length = timedelta(microseconds=grant_ends_us(query.at, lasts) - microseconds(query.at))
    started = chance.choice((None, query.at, query.at - length + chance.choice(NEAR)))
    often = chance.random() < 0.7
    return replace(
        query,
        break_glass=BreakGlassRequest(
            reason=chance.choice(clause["reasons"] if often else ("FLOOD", "BORED", "")),
            justification=chance.choice(("x" * least, "x" * (least + often - 1), " x " * least)),
            started_at=query.at - timedelta(seconds=1) if often else started,
            subjects_so_far=0 if often else clause["max_subjects"] - chance.randint(-1, 1),
            suspended=chance.random() < 0.05,
        ),
    )


def _urgency_changed(queries: Queries, rule: Json, query: Query) -> Query:
    if queries.chance.random() < 0.1 or rule["id"] in queries.clause.get("rules", ()):
        return _invoke(queries, rule, query)
    return replace(query, break_glass=None)


def _caller_changed(queries: Queries, rule: Json, query: Query) -> Query:
    chance, caller = queries.chance, query.caller
    name, values = chance.choice(
        (
            ("organisation", (*ORGANISATIONS, "ods:X9Z", "ods:ZZZ", "public")),
            ("client", (None, "app-one", "app-two", "northvale-warm-homes", "user-7")),
            ("subject", (None, caller.client, "user-7")),
            ("roles", (frozenset(), frozenset({"porter"}), frozenset(some_of(chance, ROLES)))),
            ("acr", (None, "AAL1", "AAL2", "AAL3", "AAL9")),
            ("issuer_speaks_for", (frozenset(), frozenset({"ods:X9Z"}), frozenset(ORGANISATIONS))),
            ("sender_constrained", (True, False)),
        )
    )
    changed = replace(caller, **{name: chance.choice(values)})  # type: ignore[arg-type]  # of its kind
    if "public" in (changed.organisation, caller.organisation):
        changed = Caller(organisation="public")
        return replace(query, caller=changed, purpose=None)
    return replace(query, caller=changed)


def _instant_changed(queries: Queries, rule: Json, query: Query) -> Query:
    return replace(query, at=queries.instant(rule, query.purpose or ""))


def _purpose_changed(queries: Queries, rule: Json, query: Query) -> Query:
    if query.caller.organisation == "public":
        return query
    codes = queries.document["purpose"]["codes"]
    return replace(query, purpose=queries.chance.choice((None, "", "MARKETING", *codes, *PURPOSES)))


def _operation_changed(queries: Queries, rule: Json, query: Query) -> Query:
    chance, path = queries.chance, list(query.path)
    if chance.random() < 0.3:
        return replace(query, method=chance.choice(("GET", "HEAD", "POST", "DELETE", "PURGE")))
    where = chance.randrange(len(path))
    path[where] = chance.choice((*MALFORMED, "a", "a/b", "%2e", "9992000015", path[where].upper()))
    if chance.random() < 0.2:
        path = chance.choice((path[:-1], [*path, ""], [*path, "more"]))
    return replace(query, path=tuple(path))


def _parameters_changed(queries: Queries, rule: Json, query: Query) -> Query:
    chance, sent = queries.chance, list(query.parameters)
    name = chance.choice((*NAMES, *rule.get("fields_allowed", NAMES), "unheard_of"))
    if sent and chance.random() < 0.5:
        name = chance.choice(sent)[0]
        if chance.random() < 0.6:
            sent = [one for one in sent if one[0] != name]
    values = (queries.value(rule, name), queries.value(rule, name), *BLANKS, *MALFORMED, "c")
    if chance.random() < 0.8:
        sent.append((name, chance.choice(values)))
    return replace(query, parameters=tuple(sent))


def _fields_changed(queries: Queries, rule: Json, query: Query) -> Query:
    chance = queries.chance
    fields = some_of(chance, rule.get("fields_allowed") or NAMES)
    if chance.random() < 0.4:
        fields.append(chance.choice((*NAMES, "unheard_of", *fields)))
    return replace(query, fields=chance.choice((None, tuple(fields), tuple(fields))))


def _rows_changed(queries: Queries, rule: Json, query: Query) -> Query:
    chance = queries.chance
    rows = [dict(row) for row in query.rows or ()]
    if not rows or chance.random() < 0.4:
        names = rule.get("body_fields_allowed") or NAMES
        rows.append({name: queries.value(rule, name) for name in some_of(chance, names)})
    row = chance.choice(rows)
    name = chance.choice((*NAMES, *row, *row))
    values = (*BLANKS, *MALFORMED, None, 7, ["x"], {"x": "y"}, queries.value(rule, name), "c", True)
    if chance.random() < 0.7:
        row[name] = chance.choice(values)
    return replace(query, rows=tuple(rows))


def _context_changed(queries: Queries, rule: Json, query: Query) -> Query:
    chance, said = queries.chance, dict(query.context)
    name = chance.choice((*said, *said, *CONTEXTS, "decision_ref"))
    said.pop(name, None)
    words = (
        *BLANKS,
        "other words",
        " UNDER_18",
        "UNDER_18",
        " LER-1 ",
        "suspect",
        "LER-1",
        "LER-2",
    )
    if chance.random() < 0.7:
        said[name] = chance.choice(words)
    return replace(query, context=said)


def _onward_changed(queries: Queries, rule: Json, query: Query) -> Query:
    behalf = queries.chance.choice((query.caller.organisation, "ods:ZZZ", "", *ORGANISATIONS))
    return replace(query, on_behalf_of=behalf)


def _form_changed(queries: Queries, rule: Json, query: Query) -> Query:
    chance, form = queries.chance, query.decision_form
    if form is None:
        return query
    if chance.random() < 0.2:
        used = chance.random() < 0.5
        return replace(query, decision_form_used=True, decision_form=form if used else None)
    name, values = chance.choice(
        (
            ("reference", ("LER-2", "")),
            ("requester", ORGANISATIONS),
            ("approved", (False,)),
            ("fields_released", (frozenset(), frozenset(some_of(chance, NAMES)))),
            ("decided_at", tuple(query.at + one for one in NEAR)),
            ("operation_ref", (None, "OP-9", *query.context.values())),
            ("subject_category", (None, *CATEGORIES)),
            ("subject", ({}, {"uprn": "1"}, {**form.subject, "note": "a"})),
        )
    )
    return replace(query, decision_form=replace(form, **{name: chance.choice(values)}))  # type: ignore[arg-type]  # of its kind


_CHANGES: Final[tuple[Callable[[Queries, Json, Query], Query], ...]] = (
    *(_caller_changed, _caller_changed, _instant_changed, _purpose_changed, _operation_changed),
    *(_parameters_changed, _fields_changed, _rows_changed, _context_changed, _context_changed),
    *(_onward_changed, _form_changed, _form_changed, _urgency_changed),
)
