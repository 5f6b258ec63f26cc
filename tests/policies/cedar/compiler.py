"""The second compilation: a signed document to Cedar, written apart from the native engine.

It reads the raw document and the raw tables of law, and imports nothing of `policies`: a mistake
in the native reader, compiler or checks cannot be repeated here by sharing code. What each clause
means is taken from the scenario pack's README and uk-public-sector.md section 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from tests.policies.cedar.expressions import all_of, among, any_of, text, within, words
from tests.policies.cedar.instants import microseconds, review_lapses_us

Document = Mapping[str, Any]

LEVELS: Final = ("AAL1", "AAL2", "AAL3")
WEEK: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
PUBLIC: Final = 'Organisation::"public"'
SAFEGUARDING: Final = {
    "no_consent_reason": (
        *("CANNOT_BE_GIVEN", "CANNOT_REASONABLY_BE_OBTAINED"),
        "WOULD_PREJUDICE_PROTECTION",
    ),
    "subject_group": ("UNDER_18", "ADULT_AT_RISK"),
}
"""DPA 2018 Sch 1 para 18; `legal/vocabulary.yaml`, request_context."""
CATEGORIES: Final = ("suspect", "convicted", "victim", "witness", "other")
"""DPA 2018 s.38(3)."""
FORM_FACTS: Final = ("decision_ref", "operation_ref", "subject_category")


@dataclass(frozen=True, slots=True, kw_only=True)
class CedarRule:
    """What the adapter has to know of a rule besides its policies."""

    id: str
    methods: tuple[str, ...]
    connector: str
    path: str
    permitted: frozenset[str]
    limited_to_decision: bool

    @property
    def route(self) -> str:
        """The name of the rule's route as a Cedar resource."""
        return f"{self.connector} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CedarAgreement:
    """An agreement as Cedar text, with the facts that the request adapter works with."""

    policies: str
    schema: str
    rules: tuple[CedarRule, ...]
    zones: tuple[str, ...]
    filters: tuple[str, ...]
    contexts: tuple[str, ...]
    subject_fields: tuple[str, ...]
    grant_lasts: str | None


def compile_to_cedar(document: Document, instruments: Iterable[Document]) -> CedarAgreement:
    """Compile one agreement, under the law as it stands, to a policy set and its schema."""
    law = {one["id"]: one for one in instruments}
    access, datasets = document["access"], {one["dataset"]: one for one in document["data"]}
    urgent = access.get("break_glass", {"enabled": False})
    policies = forbids(document)
    rules = []
    for rule in access["rules"]:
        clause = urgent if urgent["enabled"] and rule["id"] in urgent["rules"] else None
        compiled = _Rule(document, rule, datasets.get(rule.get("dataset")), clause)
        policies += compiled.policies(law)
        rules.append(
            CedarRule(
                id=rule["id"],
                methods=tuple(rule["methods"]),
                connector=rule["connector"],
                path=rule["path"],
                permitted=frozenset(compiled.permitted),
                limited_to_decision="fields_limited_to_decision" in compiled.obligations,
            )
        )
    hours = [one["hours"] for one in access["rules"] if one.get("hours") is not None]
    asked = {name for one in access["rules"] for name in one.get("request_context_required", ())}
    agreement = CedarAgreement(
        policies="\n".join(policies),
        schema="",
        rules=tuple(rules),
        zones=tuple(sorted({one.get("tz", "Europe/London") for one in hours})),
        filters=tuple(sorted({n for one in access["rules"] for n in one.get("filter_values", ())})),
        contexts=tuple(sorted(asked | set(FORM_FACTS))),
        subject_fields=tuple(
            sorted({one["subject_identifier"] for one in document["data"] if _is_of_people(one)})
        ),
        grant_lasts=urgent["ttl"] if urgent["enabled"] else None,
    )
    return _with_schema(agreement)


def _is_of_people(dataset: Document) -> bool:
    return bool(dataset.get("subject_identifier"))


def _with_schema(agreement: CedarAgreement) -> CedarAgreement:
    def record(names: Iterable[str], kind: str, mark: str = "") -> str:
        return "{" + ", ".join(f"{text(name)}{mark}: {kind}" for name in names) + "}"

    schema = f"""
entity Organisation; entity Route;
type Grant = {{reason: String, chars: Long, ends_us: Long, people: Long, suspended: Bool}};
type Form = {{reference: String, requester: Organisation, approved: Bool, decided_us: Long,
  operation_ref?: String, subject_category?: String, released: Set<String>, used: Bool,
  of_this_subject: Bool}};
action {", ".join(f'"{one}"' for one in ("GET", "POST", "PUT", "PATCH", "DELETE", "OTHER"))}
appliesTo {{principal: [Organisation], resource: [Route], context: {{
  at_us: Long, client?: String, subject?: String, roles: Set<String>, acr?: String,
  speaks_for: Set<Organisation>, bound: Bool, purpose?: String, behalf_of?: Organisation,
  clock: {record(agreement.zones, "{day: Long, minute: Long}")},
  said: {record(agreement.contexts, "String", "?")},
  values: {record(agreement.filters, "Set<String>")}, not_text: Set<String>,
  named: {record(agreement.subject_fields, "Long")},
  malformed: Bool, sent: Set<String>, parameters: Set<String>, fields: Set<String>,
  repeats: Bool, rows: Long, body: Set<String>, body_nested: Bool,
  urgent?: Grant, form?: Form }} }};
"""
    return replace(agreement, schema=schema)


def forbids(document: Document) -> list[str]:
    """Return what refuses every call, whatever the rule: state, term, token, onward sharing."""
    term = document["term"]
    lapses = review_lapses_us(term)
    start = microseconds(datetime.fromisoformat(term["start"]))
    conditions = [f"context.at_us < {start}", f"context.at_us >= {lapses}"]
    if document["status"] not in ("active", "review_due"):
        conditions.append("true")
    if term["end"] is not None:
        conditions.append(f"context.at_us > {microseconds(datetime.fromisoformat(term['end']))}")
    token = f"principal != {PUBLIC}"
    conditions.append(f"{token} && !context.speaks_for.contains(principal)")
    if document["security"].get("sender_constrained_tokens"):
        conditions.append(f"{token} && !context.bound")
    prohibited = document["purpose"].get("prohibited", ())
    conditions.append(f"context has purpose && {among('context.purpose', prohibited)}")
    conditions.append("context has behalf_of && context.behalf_of != principal")
    conditions += ["context.malformed", "context.repeats || context.body_nested"]
    return [f"forbid(principal, action, resource) when {{ {one} }};" for one in conditions]


class _Rule:
    """One rule on its way to Cedar; `clause` is the break-glass clause where it covers the rule."""

    def __init__(
        self, document: Document, rule: Document, dataset: Document | None, clause: Document | None
    ) -> None:
        self.document, self.rule, self.clause = document, rule, clause
        self.subject = dataset.get("subject_identifier") if dataset else None
        declared = dataset["fields"] if dataset else ()
        fields = {one["name"]: one.get("never", False) for one in declared}
        named = rule.get("fields_allowed", fields)
        hidden = {name for name, never in fields.items() if never} | set(rule.get("mask", ()))
        self.permitted = {name for name in named if name not in hidden}
        self.obligations = frozenset(rule.get("obligations", ()))
        self.required: tuple[str, ...] = tuple(rule.get("request_context_required", ()))
        self.relaxed = set(clause.get("relaxes", ())) if clause else set()
        self.relaxed -= set(clause.get("never_relaxes", ())) if clause else set()

    def policies(self, law: Mapping[str, Document]) -> list[str]:
        """Return a permit for the rule's party, and for a public rule one for the public."""
        rule, bounds = self.rule, self.bounds()
        everybody = rule["party"] == "public"
        methods = ", ".join(f'Action::"{one}"' for one in rule["methods"])
        route = f"Route::{text(rule['connector'] + ' ' + rule['path'])}"

        def permit(who: str, *conditions: str) -> str:
            head = f"@id({text(rule['id'])}) permit(principal{who}, action in [{methods}]"
            return f"{head}, resource == {route}) when {{ {all_of([*conditions, *bounds])} }};"

        lawful = any_of(
            f"context.purpose == {text(code)} && {self.lawful(law, code)}"
            for code in rule["purposes"]
        )
        purpose = f"context has purpose && ({lawful})"
        if not everybody:
            return [permit(f" == Organisation::{text(rule['party'])}", self.client(), purpose)]
        found = [permit("", f"principal != {PUBLIC}", purpose)]
        if rule["actor"]["mode"] == "public":
            found.append(permit(f" == {PUBLIC}", self.lawful(law, rule["purposes"][0])))
        return found

    def client(self) -> str:
        """Whether the client is one that the party lists; a party without a list has any."""
        party = next(o for o in self.document["parties"] if o["ref"] == self.rule["party"])
        if "clients" not in party:
            return "true"
        return f"context has client && {among('context.client', party['clients'])}"

    def lawful(self, law: Mapping[str, Document], code: str) -> str:
        """Whether the first instrument that is in force for a purpose is, and asks, what it must.

        An instrument may ask for an entry in the public register (DEA 2017 s.44).
        """
        if code not in self.document["purpose"]["codes"]:
            return "false"
        registered = bool((self.document["legal"].get("dea") or {}).get("register_id"))
        chain = "false"
        for name in reversed(self.document["legal"]["instruments"]):
            one = law.get(name)
            if one is None or code not in one["purposes"]:
                continue
            in_force = any_of(_in_force(version) for version in one["versions"])
            good = str(registered or not one.get("register_entry_required", False)).lower()
            chain = f"if ({in_force}) then {good} else ({chain})"
        return f"({chain})"

    def bounds(self) -> list[str]:
        """Return every condition of the rule but party and purpose."""
        rule = self.rule
        found = [self.urgency(), *self.actor(), *self.context(), self.decided(), self.open()]
        found += [f"context.sent.contains({text(one)})" for one in rule.get("filters_required", ())]
        for name, values in rule.get("filter_values", {}).items():
            found.append(within(f"context.values[{text(name)}]", values))
            found.append(f"!context.not_text.contains({text(name)})")
        filters = {*rule.get("filter_values", ()), *rule.get("filters_required", ())}
        found.append(within("context.parameters", self.permitted | filters))
        found.append(within("context.fields", self.permitted))
        if "fields_limited_to_decision" in self.obligations:
            released = "context has form && context.form.released.contains"
            found += [
                f"!context.parameters.contains({text(one)}) || {released}({text(one)})"
                for one in sorted(self.permitted - filters)
            ]
            found.append("context has form && context.form.released.containsAll(context.fields)")
        found.append(within("context.body", rule.get("body_fields_allowed", ())))
        most = rule.get("limits", {}).get("records_per_response")
        if most is not None:
            found.append(f"context.rows <= {most}")
        return found

    def urgency(self) -> str:
        """A grant, once invoked, must be one that the clause offers, in its bounds."""
        clause = self.clause
        if clause is None:
            return "!(context has urgent)"
        grant = "context.urgent"
        asked = [
            f"!{grant}.suspended",
            among(f"{grant}.reason", clause["reasons"]),
            f"{grant}.chars >= {clause['justification_min_chars']}",
            f"context.at_us < {grant}.ends_us",
            f"{grant}.people < {clause['max_subjects']}",
        ]
        if "single_subject" in clause.get("never_relaxes", ()):
            one = f"context.named[{text(self.subject)}] == 1" if self.subject else "false"
            asked += [one, "context.rows <= 1"]
        return f"if context has urgent then ({all_of(asked)}) else true"

    def actor(self) -> list[str]:
        """Return the conditions on who acts: a person in a role, at a level of assurance."""
        actor, clause = self.rule["actor"], self.clause
        person, role = "true", "true"
        if actor["mode"] == "user":
            itself = "context has client && context.client == context.subject"
            person = f"context has subject && !({itself})"
        if actor.get("roles"):
            role = f"{words(actor['roles'])}.containsAny(context.roles)"
        level = LEVELS.index(actor["min_acr"]) if actor.get("min_acr") else None
        if clause is None:
            return [person, role, _at_least(level)]
        urgent_role = f"({role})" if "roles" not in self.relaxed else "true"
        holds = "false"
        if clause["roles"]:
            holds = f"{words(clause['roles'])}.containsAny(context.roles)"
        floor = LEVELS.index(clause["min_acr"]) if clause.get("min_acr") else None
        levels = [one for one in (level, floor) if one is not None]
        return [
            person,
            f"if context has urgent then ({urgent_role} && {holds}) else ({role})",
            f"if context has urgent then ({_at_least(max(levels, default=None))}) "
            f"else ({_at_least(level)})",
        ]

    def context(self) -> list[str]:
        """Return the conditions on the request context, in closed words where the law has them."""
        legal, closed = self.document["legal"], dict[str, tuple[str, ...]]()
        schedule1 = [
            code
            for basis in ("provider_basis", "consumer_basis")
            for code in (legal.get(basis) or {}).get("schedule1", ())
        ]
        if "DPA2018-Sch1-18" in schedule1:
            closed |= SAFEGUARDING
        if legal.get("part3"):
            agreed = legal["part3"].get("subject_categories", CATEGORIES)
            closed["subject_category"] = tuple(one for one in CATEGORIES if one in agreed)
        found = []
        for name in self.required:
            said = f"context.said has {text(name)}"
            if name in closed:
                said += f" && {among(f'context.said[{text(name)}]', closed[name])}"
            if self.clause is not None and (name == "justification" or name in self.relaxed):
                said = f"context has urgent || ({said})"
            found.append(said)
        return found

    def decided(self) -> str:
        """Return the condition that a recorded decision to share stands behind the call.

        An obligation to keep to a decision is not lifted by relaxing what the request must say.
        """
        bound = bool(self.obligations & {"single_use_decision", "fields_limited_to_decision"})
        if "decision_ref" not in self.required and not bound:
            return "true"
        form = "context.form"
        asked = [
            'context.said has "decision_ref"',
            "context has form",
            f'{form}.reference == context.said["decision_ref"]',
            f"{form}.requester == principal && {form}.approved && {form}.of_this_subject",
            f"{form}.decided_us <= context.at_us",
        ]
        for name in ("operation_ref", "subject_category"):
            same = f'context.said has "{name}" && context.said["{name}"] == {form}.{name}'
            asked.append(f"if {form} has {name} then ({same}) else true")
        if "single_use_decision" in self.obligations:
            asked.append(f"!{form}.used")
        if "decision_ref" in self.relaxed and not bound:
            return (
                f'(context has urgent && !(context.said has "decision_ref")) || ({all_of(asked)})'
            )
        return all_of(asked)

    def open(self) -> str:
        """Return the condition that the clock on the wall of the zone is inside the hours."""
        hours = self.rule.get("hours")
        if hours is None:
            return "true"
        clock = f"context.clock[{text(hours.get('tz', 'Europe/London'))}]"
        opens, closes = (
            int(said[:2]) * 60 + int(said[3:])
            for said in (hours.get("from", "00:00"), hours.get("to", "24:00"))
        )
        days = _days(hours.get("days", "mon-sun"))
        today = f"[{', '.join(map(str, days))}].contains({clock}.day)"
        inside = f"{clock}.minute >= {opens} && {clock}.minute < {closes} && {today}"
        if closes <= opens:
            # A night belongs to the day on which it began.
            nights = f"[{', '.join(str((day + 1) % 7) for day in days)}].contains({clock}.day)"
            inside = (
                f"({clock}.minute >= {opens} && {today}) || ({clock}.minute < {closes} && {nights})"
            )
        return f"context has urgent || ({inside})" if "hours" in self.relaxed else inside


def _in_force(version: Document) -> str:
    begun = f"context.at_us >= {microseconds(datetime.fromisoformat(version['from']))}"
    if version["until"] is None:
        return begun
    return f"{begun} && context.at_us < {microseconds(datetime.fromisoformat(version['until']))}"


def _at_least(level: int | None) -> str:
    return "true" if level is None else f"context has acr && {among('context.acr', LEVELS[level:])}"


def _days(said: str) -> list[int]:
    days: set[int] = set()
    for part in said.split(","):
        first, _, last = part.strip().partition("-")
        day = WEEK.index(first)
        days.add(day)
        while last and WEEK[day] != last:
            day = (day + 1) % 7
            days.add(day)
    return sorted(days)
