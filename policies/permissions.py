"""The ``access`` section of an agreement document: its rules and its break-glass clause."""

from __future__ import annotations

from policies import words
from policies.agreement import Actor, BreakGlass, Hours, Limits, Rule
from policies.paths import Template
from policies.reading import Section
from policies.sections import ORGANISATION
from policies.times import Window

_RULE_REQUIRED = ("id", "party", "connector", "methods", "path", "purposes", "action", "actor")
_RULE_OPTIONAL = (
    *("dataset", "filters_required", "filter_values", "fields_allowed", "mask"),
    *("body_fields_allowed", "body_media_types_allowed", "limits", "hours"),
    *("request_context_required", "obligations"),
)
_BREAK_GLASS_NEEDED = (
    *("rules", "roles", "reasons", "justification_min_chars", "ttl", "max_subjects"),
    "review_within",
)
_BREAK_GLASS_OPTIONAL = ("relaxes", "never_relaxes", "min_acr", "notify", "unreviewed_effect")


def read_access(document: Section) -> tuple[tuple[Rule, ...], BreakGlass | None]:
    """Read ``access``: the rules, and the break-glass clause where it is enabled."""
    access = document.section("access", required=("rules",), optional=("break_glass",))
    rules = access.sections("rules", required=_RULE_REQUIRED, optional=_RULE_OPTIONAL)
    if access.given("rules") and not rules:
        access.fault("rules", "too-short", "at least one rule is asked for")
    return tuple(_read_rule(one) for one in rules), _read_break_glass(access)


def _read_rule(one: Section) -> Rule:
    return Rule(
        id=one.text("id"),
        party=one.text("party", pattern=ORGANISATION),
        connector=one.text("connector"),
        methods=one.texts("methods", words=words.METHODS),
        path=_read_path(one),
        purposes=one.texts("purposes"),
        action=one.word("action", words.ACTIONS),
        actor=_read_actor(one),
        dataset=one.optional_text("dataset"),
        filters_required=one.texts("filters_required"),
        filter_values=one.lists("filter_values"),
        fields_allowed=one.texts("fields_allowed") if one.given("fields_allowed") else None,
        mask=one.free("mask"),
        body_fields_allowed=one.texts("body_fields_allowed"),
        body_media_types_allowed=one.texts("body_media_types_allowed"),
        limits=_read_limits(one),
        hours=_read_hours(one),
        request_context_required=one.texts("request_context_required"),
        obligations=one.texts("obligations", words=words.OBLIGATIONS),
    )


def _read_path(rule: Section) -> str:
    text = rule.text("path")
    try:
        return Template.parse(text).text
    except ValueError as error:
        if rule.given("path"):
            rule.fault("path", "malformed", str(error))
        return "/"


def _read_actor(rule: Section) -> Actor:
    one = rule.section("actor", required=("mode",), optional=("roles", "min_acr"))
    return Actor(
        mode=one.word("mode", words.ACTOR_MODES),
        roles=one.texts("roles"),
        min_acr=one.word("min_acr", words.ASSURANCE_LEVELS) if one.given("min_acr") else None,
    )


def _read_limits(rule: Section) -> Limits:
    one = rule.section(
        "limits",
        optional=("per_minute", "records_per_response", "subjects_per_day", "requests_per_day"),
    )
    return Limits(
        per_minute=one.optional_integer("per_minute", minimum=1),
        records_per_response=one.optional_integer("records_per_response", minimum=1),
        subjects_per_day=one.optional_integer("subjects_per_day", minimum=1),
        requests_per_day=one.optional_integer("requests_per_day", minimum=1),
    )


def _read_hours(rule: Section) -> Hours | None:
    if not rule.given("hours"):
        return None
    one = rule.section("hours", optional=("tz", "from", "to", "days"))
    standing = Hours()
    hours = Hours(
        zone=one.optional_text("tz") or standing.zone,
        opens=one.optional_text("from") or standing.opens,
        closes=one.optional_text("to") or standing.closes,
        days=one.optional_text("days") or standing.days,
    )
    try:
        Window.parse(zone=hours.zone, opens=hours.opens, closes=hours.closes, days=hours.days)
    except ValueError as error:
        rule.fault("hours", "malformed", str(error))
    return hours


def _read_break_glass(access: Section) -> BreakGlass | None:
    if not access.given("break_glass"):
        return None
    optional = (*_BREAK_GLASS_NEEDED, *_BREAK_GLASS_OPTIONAL)
    one = access.section("break_glass", required=("enabled",), optional=optional)
    if not one.flag("enabled"):
        return None
    # A clause that cannot be evaluated denies: better told to its author than at three at night.
    for name in _BREAK_GLASS_NEEDED:
        if not one.given(name):
            one.fault(name, "missing-key", f"break-glass is enabled, and {name!r} is missing")
    return BreakGlass(
        rules=one.texts("rules"),
        relaxes=one.texts("relaxes"),
        never_relaxes=one.texts("never_relaxes"),
        roles=one.texts("roles"),
        reasons=one.texts("reasons"),
        justification_min_chars=one.integer("justification_min_chars", minimum=1),
        ttl=one.duration("ttl"),
        max_subjects=one.integer("max_subjects", minimum=1),
        review_within=one.duration("review_within"),
        notify=one.texts("notify"),
        min_acr=one.word("min_acr", words.ASSURANCE_LEVELS) if one.given("min_acr") else None,
        unreviewed_effect=one.optional_text("unreviewed_effect"),
    )
