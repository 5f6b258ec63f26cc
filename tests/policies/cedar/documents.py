"""Agreements by chance: the pack's, changed clause by clause, and fresh ones, from one seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta, timezone
from random import Random
from typing import Any, Final

Json = dict[str, Any]

STATUSES: Final = (
    *("draft", "submitted", "in_review", "returned", "rejected", "approved", "signed"),
    *("suspended", "expired", "terminated", "superseded", "archived"),
)
PURPOSES: Final = (
    *("CHILD_SAFEGUARDING_S47", "CHILD_SAFEGUARDING_S17", "FUEL_POVERTY_ASSISTANCE"),
    *("SHIELDING_SUPPORT", "OPEN_DATA_REUSE", "LE_INVESTIGATION", "SERVICE_EVALUATION"),
)
ROLES: Final = ("social-worker", "nurse", "officer", "analyst", "coordinator")
ZONES: Final = (
    *("Europe/London", "Europe/London", "UTC", "America/New_York", "Asia/Kathmandu"),
    *("Australia/Lord_Howe", "Pacific/Auckland", "Atlantic/Azores", "Europe/Lisbon"),
)
CLOCKS: Final = ("00:00", "00:30", "01:00", "01:30", "02:00", "06:00", "07:00", "12:15", "19:00")
CLOSINGS: Final = (*CLOCKS, "22:00", "23:59", "24:00")
DAYS: Final = (
    *("mon-sun", "mon-fri", "sat,sun", "fri-mon", "wed", "sun", "tue,thu-sat", "sun-mon"),
    *("mon-wed,fri", "sat-sun"),
)
GRACES: Final = ("P0D", "P1D", "P30D", "P90D", "P1M", "P1M10D", "PT12H", "P2W", "P1DT1H30M")
CONTEXTS: Final = (
    *("case_reference", "justification", "no_consent_reason", "subject_group"),
    *("operation_ref", "subject_category"),
)
REASONS: Final = ("IMMEDIATE_RISK_TO_LIFE", "CHILD_MISSING", "FLOOD")
RELAXABLE: Final = (
    *("hours", "roles", "case_reference", "subject_group", "operation_ref", "decision_ref"),
    *("justification", "purpose", "fields", "party"),
)
NAMES: Final = ("nhs_number", "uprn", "lad_code", "nino", "ods_code", "family_name", "town", "note")
LAD_CODES: Final = ("E06999001", "E06999002", "E10999001")
CLIENTS: Final = ("app-one", "app-two", "app-three")
ORGANISATIONS: Final = ("gss:E06999001", "gss:E10999001", "ods:QZ9", "urn:ukfdx:org:police:SYN-EXF")

SERVICE: Final[Json] = {
    "connector": "fresh-people",
    "owner": "ods:X9Z",
    "datasets": ["people"],
    "scope_columns": ["lad_code"],
    "restricted_when": {"town": "hidden"},
    "identifiers": {
        "nhs_number": "nhs_number",
        "uprn": "uprn",
        "lad_code": "gss",
        "nino": "nino",
        "ods_code": "ods",
    },
}
"""The service that fresh agreements use, besides those of the pack."""
PATHS: Final = (
    *("/people/v1/all", "/people/v1/{nhs_number}", "/people/v1/{nhs_number}/home/{uprn}"),
    *("/people/v1/homes/{uprn}", "/people/v1/homes/{town}", "/people/v1/{town}"),
)


def some(chance: Random, words: Sequence[str], least: int = 0) -> list[str]:
    """Return some of `words`, at least so many, in any order."""
    return chance.sample(words, chance.randint(least, len(words)))


def _instant(chance: Random, first: int = 2024, last: int = 2029) -> datetime:
    days = chance.randrange((date(last, 1, 1) - date(first, 1, 1)).days)
    seconds = chance.choice((0, 0, 3600, 82_800, chance.randrange(86_400)))
    return datetime(first, 1, 1, tzinfo=UTC) + timedelta(days=days, seconds=seconds)


def law_of(chance: Random, instruments: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Return the table of law, with some instruments' windows, purposes and terms changed."""
    found = json.loads(json.dumps(instruments))
    for one in found:
        if chance.random() < 0.25:
            one["versions"] = _versions(chance)
        if chance.random() < 0.1:
            one["purposes"] = some(chance, PURPOSES, 1)
        if chance.random() < 0.15:
            one["register_entry_required"] = chance.random() < 0.5
    return list(found)


def _versions(chance: Random) -> list[Json]:
    versions = []
    for number in range(1, chance.randint(2, 4)):
        begins = _instant(chance, 2022, 2028)
        ends = begins + timedelta(days=chance.randint(1, 1500), seconds=chance.choice((0, 3600)))
        versions.append(
            {
                "version": number,
                "from": begins.isoformat(),
                "until": None if chance.random() < 0.3 else ends.isoformat(),
            }
        )
    return versions


def agreement_of(
    chance: Random, pack: Sequence[Mapping[str, Any]], instruments: Sequence[Mapping[str, Any]]
) -> Json:
    """Return an agreement: one of the pack's or a fresh one, with up to five clauses changed."""
    fresh = chance.random() < 0.5
    document = (
        _fresh(chance, pack[0], instruments) if fresh else deepcopy(dict(chance.choice(pack)))
    )
    for _ in range(chance.randint(0, 5)):
        chance.choice(_CHANGES)(chance, document)
    codes = document["purpose"]["codes"]
    document["purpose"]["prohibited"] = [
        one for one in document["purpose"].get("prohibited", ()) if one not in codes
    ]
    return document


def _fresh(
    chance: Random, model: Mapping[str, Any], instruments: Sequence[Mapping[str, Any]]
) -> Json:
    """Return an agreement about one dataset, with one to four rules and no pack's clause."""
    document = deepcopy(dict(model))
    document |= {"agreement_id": f"DSA-2030-{chance.randrange(10_000):04}", "version": 1}
    organisations = some(chance, ORGANISATIONS, 1)
    document["parties"] = [{"ref": "ods:X9Z", "roles": ["provider"], "dp_role": "controller"}]
    for ref in (*organisations, "public"):
        party: Json = {"ref": ref, "roles": ["consumer"], "dp_role": "none"}
        if ref != "public" and chance.random() < 0.7:
            party["clients"] = some(chance, CLIENTS, 1)
        document["parties"].append(party)
    relied_on = chance.sample(instruments, chance.randint(1, 4))
    document["legal"]["instruments"] = [one["id"] for one in relied_on]
    covered = sorted({code for one in relied_on for code in one["purposes"]})
    document["purpose"]["codes"] = some(chance, covered, 1)
    document["purpose"]["prohibited"] = some(chance, PURPOSES)
    document["legal"]["dea"] = {"register_id": chance.choice(("SYN-1", "SYN-2", None))}
    basis = {"article6": ["UKGDPR-6-1-e"], "schedule1": ["DPA2018-Sch1-18"]}
    document["legal"]["consumer_basis"] = basis if chance.random() < 0.5 else {}
    fields = [{"name": name, "class": "personal"} for name in some(chance, NAMES, 3)]
    dataset = {"dataset": "people", "subjects": "people", "identifiability": "identifiable"}
    document["data"] = [{**dataset, "subject_identifier": "nhs_number", "fields": fields}]
    document["feedback"] = {}
    document["access"] = {"rules": [], "break_glass": {"enabled": False}}
    for number in range(chance.randint(1, 4)):
        rule = {"id": f"R{number}", "party": chance.choice((*organisations, "public"))}
        rule |= {"connector": "fresh-people", "action": "disclosure", "path": chance.choice(PATHS)}
        document["access"]["rules"].append({**rule, "actor": {"mode": "application"}})
        _rule_basics(chance, document, document["access"]["rules"][-1])
    if chance.random() < 0.8:
        _change_break_glass(chance, document)
    return document


def _rule_basics(chance: Random, document: Json, rule: Json) -> None:
    rule["methods"] = some(chance, ("GET", "POST", "PUT", "PATCH", "DELETE"), 1)
    rule["purposes"] = some(chance, document["purpose"]["codes"], 1)
    if chance.random() < 0.9:
        rule["dataset"] = document["data"][0]["dataset"]
    if "POST" in rule["methods"] or chance.random() < 0.3:
        rule["body_fields_allowed"] = some(chance, NAMES)
    _set_actor(chance, document, rule)
    for change in (_set_hours, _set_fields, _set_filters, _set_context, _set_limits):
        if chance.random() < 0.4:
            change(chance, document, rule)


def _set_actor(chance: Random, document: Json, rule: Json) -> None:
    modes = ["application", "user", "user"]
    rule["actor"] = {"mode": chance.choice(modes + ["public"] * 3 * (rule["party"] == "public"))}
    if rule["actor"]["mode"] == "user" or chance.random() < 0.1:
        rule["actor"]["roles"] = some(chance, ROLES)
    if chance.random() < 0.5:
        rule["actor"]["min_acr"] = chance.choice(("AAL1", "AAL2", "AAL3"))
    if rule["actor"]["mode"] == "public":
        rule["actor"] = {"mode": "public"}


def _set_hours(chance: Random, document: Json, rule: Json) -> None:
    hours = {"tz": chance.choice(ZONES), "from": chance.choice(CLOCKS)}
    hours |= {"to": chance.choice(CLOSINGS), "days": chance.choice(DAYS)}
    rule["hours"] = dict(some(chance, tuple(hours.items()), 2))  # type: ignore[arg-type]  # pairs
    if chance.random() < 0.1:
        del rule["hours"]


def _set_fields(chance: Random, document: Json, rule: Json) -> None:
    dataset = _dataset(document, rule)
    if dataset is None:
        rule["fields_allowed"] = some(chance, NAMES)
        return
    for field in dataset["fields"]:
        if chance.random() < 0.1:
            field["never"] = True
    for one in document["access"]["rules"]:
        if one.get("dataset") == rule["dataset"] and "fields_allowed" in one:
            never = {field["name"] for field in dataset["fields"] if field.get("never")}
            one["fields_allowed"] = [name for name in one["fields_allowed"] if name not in never]
    names = [field["name"] for field in dataset["fields"] if not field.get("never")]
    rule.pop("fields_allowed", None)
    if chance.random() < 0.7:
        rule["fields_allowed"] = some(chance, names)
    if chance.random() < 0.2:
        rule["mask"] = dict.fromkeys(some(chance, names)[:2], "year")


def _set_filters(chance: Random, document: Json, rule: Json) -> None:
    rule["filters_required"] = some(chance, NAMES)[:2]
    rule["filter_values"] = {}
    for name in some(chance, ("lad_code", "town", "note"))[:2]:
        values = LAD_CODES if name == "lad_code" else ("a", "b", "c")
        rule["filter_values"][name] = some(chance, values, 1)


def _set_context(chance: Random, document: Json, rule: Json) -> None:
    rule["request_context_required"] = some(chance, CONTEXTS)
    rule["obligations"] = []
    if chance.random() < 0.4:
        rule["request_context_required"].append("decision_ref")
        obligations = ("single_use_decision", "fields_limited_to_decision")
        rule["obligations"] = some(chance, obligations)
    elif chance.random() < 0.1:
        rule["obligations"] = ["single_use_decision"]


def _set_limits(chance: Random, document: Json, rule: Json) -> None:
    rule["limits"] = {"records_per_response": chance.randint(1, 3)}


def _dataset(document: Json, rule: Json) -> Json | None:
    named = (one for one in document["data"] if one["dataset"] == rule.get("dataset"))
    return next(named, None)


def _change_rule(chance: Random, document: Json) -> None:
    rule = chance.choice(document["access"]["rules"])
    settings = (_set_actor, _set_hours, _set_hours, _set_fields, _set_filters, _set_context)
    chance.choice((*settings, _set_limits))(chance, document, rule)


def _change_second_rule(chance: Random, document: Json) -> None:
    """Add a rule on a path that another rule has, or on one that overlaps it."""
    rule = deepcopy(chance.choice(document["access"]["rules"]))
    rule["id"] = f"S{len(document['access']['rules'])}"
    if chance.random() < 0.3:
        rule["path"] = rule["path"].rsplit("/", 1)[0] + "/{note}"
    if chance.random() < 0.3 and any(one["ref"] == "public" for one in document["parties"]):
        rule |= {"party": "public", "actor": {"mode": "public"}}
    rule["purposes"] = some(chance, document["purpose"]["codes"], 1)
    document["access"]["rules"].append(rule)
    if rule["actor"]["mode"] != "public":
        _set_actor(chance, document, rule)
    chance.choice((_set_hours, _set_fields, _set_filters))(chance, document, rule)


def _change_break_glass(chance: Random, document: Json) -> None:
    if chance.random() < 0.1:
        document["access"]["break_glass"] = {"enabled": False}
        return
    document["access"]["break_glass"] = {
        "enabled": True,
        "rules": some(chance, [one["id"] for one in document["access"]["rules"]], 1),
        "relaxes": some(chance, RELAXABLE),
        "never_relaxes": some(chance, ("single_subject", "hours", "roles", "case_reference"))[:2],
        "roles": some(chance, (*ROLES, "mash-social-worker", "disclosure-officer"), 1),
        "reasons": some(chance, REASONS, 1),
        "justification_min_chars": chance.randint(1, 30),
        "ttl": chance.choice(("PT1H", "PT15M", "P1D", "PT4H30M")),
        "max_subjects": chance.randint(1, 4),
        "review_within": "P1D",
    }
    if chance.random() < 0.6:
        document["access"]["break_glass"]["min_acr"] = chance.choice(("AAL1", "AAL2", "AAL3"))


def _change_term(chance: Random, document: Json) -> None:
    start = _instant(chance, 2024, 2027)
    ends = start + timedelta(days=chance.randint(1, 1500), seconds=chance.choice((-1, 0, 3600)))
    review = start + timedelta(days=chance.randint(0, 2500))
    offset = chance.choice((UTC, timezone(timedelta(hours=1))))
    document["term"] |= {
        "start": start.astimezone(offset).isoformat(),
        "end": None if chance.random() < 0.3 else ends.isoformat(),
        "review_by": chance.choice((review.date().isoformat(), "2026-02-28", "2027-01-31")),
        "review_grace": chance.choice(GRACES),
    }


def _change_status(chance: Random, document: Json) -> None:
    document["status"] = chance.choice((*["active", "review_due"] * 8, *STATUSES))


def _change_legal(chance: Random, document: Json) -> None:
    legal = document["legal"]
    chance.shuffle(legal["instruments"])
    legal["dea"] = {"register_id": chance.choice((None, "SYN-1", ""))}
    if chance.random() < 0.3:
        legal["instruments"] = [*legal["instruments"][1:], "OGL3", "UNKNOWN-ACT"]
    part3: Json = {"subject_categories": some(chance, ("suspect", "victim", "other", "passer-by"))}
    legal["part3"] = chance.choice((part3, {}, {"note": "authorised by law"}))


def _change_purposes(chance: Random, document: Json) -> None:
    purpose = document["purpose"]
    purpose["prohibited"] = some(chance, PURPOSES)
    purpose["codes"] = sorted({*purpose["codes"], chance.choice(PURPOSES)})
    for rule in document["access"]["rules"]:
        rule["purposes"] = some(chance, purpose["codes"], 1)


def _change_parties(chance: Random, document: Json) -> None:
    party = chance.choice(document["parties"])
    party.pop("clients", None)
    if chance.random() < 0.7:
        party["clients"] = some(chance, CLIENTS)
    tokens = document["security"]
    tokens["sender_constrained_tokens"] = not tokens.get("sender_constrained_tokens", False)


_CHANGES: Final[tuple[Callable[[Random, Json], None], ...]] = (
    *(_change_rule, _change_rule, _change_rule, _change_second_rule, _change_break_glass),
    *(_change_term, _change_status, _change_legal, _change_purposes, _change_parties),
)
