"""Changes to an agreement that can only take something away, as the signatories would read them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

Json = dict[str, Any]


def _one_fewer(chance: Random, owner: Json, name: str) -> None:
    """Take one word off a list, but never the last: no roles at all would ask for none."""
    words = list(owner.get(name) or ())
    if len(words) > 1:
        words.remove(chance.choice(words))
        owner[name] = words


def _fewer_words(chance: Random, document: Json, rule: Json) -> None:
    names = ("methods", "body_fields_allowed", "fields_allowed")
    _one_fewer(chance, rule, chance.choice(names))


def _fewer_purposes(chance: Random, document: Json, rule: Json) -> None:
    if rule["actor"]["mode"] != "public":  # the public's purpose is the rule's first
        _one_fewer(chance, rule, "purposes")


def _fewer_actors(chance: Random, document: Json, rule: Json) -> None:
    _one_fewer(chance, rule["actor"], "roles")
    _one_fewer(chance, chance.choice(document["parties"]), "clients")


def _more_assurance(chance: Random, document: Json, rule: Json) -> None:
    if rule["actor"]["mode"] != "public":
        rule["actor"]["min_acr"] = "AAL3"


def _fewer_values(chance: Random, document: Json, rule: Json) -> None:
    for values in rule.get("filter_values", {}).values():
        values.remove(chance.choice(values))


def _never_this_field(chance: Random, document: Json, rule: Json) -> None:
    dataset = chance.choice(document["data"])
    field = chance.choice(dataset["fields"])
    field["never"] = True
    for one in document["access"]["rules"]:
        if one.get("dataset") == dataset["dataset"] and "fields_allowed" in one:
            one["fields_allowed"] = [n for n in one["fields_allowed"] if n != field["name"]]


def _masked(chance: Random, document: Json, rule: Json) -> None:
    masked = dict.fromkeys(rule.get("fields_allowed", ())[:1], "year")
    rule["mask"] = {**rule.get("mask", {}), **masked}


def _shorter_hours(chance: Random, document: Json, rule: Json) -> None:
    """Open a minute later; where the clause was silent, on working days only."""
    hours = dict(rule.get("hours") or {"days": "mon-fri"})
    opens, closes = hours.get("from", "00:00"), hours.get("to", "24:00")
    if opens.endswith(":59") or opens[:2] == closes[:2] or opens == "24:00":
        return  # a minute later might be a whole day longer
    rule["hours"] = {**hours, "from": f"{opens[:3]}{int(opens[3:]) + 1:02}"}


def _more_context(chance: Random, document: Json, rule: Json) -> None:
    asked = rule.get("request_context_required", [])
    rule["request_context_required"] = [*asked, "ward"]


def _case_by_case(chance: Random, document: Json, rule: Json) -> None:
    obligations = {*rule.get("obligations", ()), "single_use_decision"}
    rule["obligations"] = sorted({*obligations, "fields_limited_to_decision"})


def _fewer_records(chance: Random, document: Json, rule: Json) -> None:
    most = rule.get("limits", {}).get("records_per_response", 3)
    rule["limits"] = {**rule.get("limits", {}), "records_per_response": max(1, most - 1)}


def _shorter_term(chance: Random, document: Json, rule: Json) -> None:
    term = document["term"]
    start = datetime.fromisoformat(term["start"])
    end = datetime.fromisoformat(term["end"]) if term["end"] else start + timedelta(days=2000)
    days = (end - start) // timedelta(days=1)
    later, earlier = chance.randint(0, days // 2), chance.randint(0, days // 2)
    term["start"] = (start + timedelta(days=later)).isoformat()
    term["end"] = (end - timedelta(days=earlier)).isoformat()
    term["review_grace"] = "P0D"


def _bound_tokens(chance: Random, document: Json, rule: Json) -> None:
    document["security"]["sender_constrained_tokens"] = True


def _stopped(chance: Random, document: Json, rule: Json) -> None:
    document["status"] = chance.choice(("suspended", "terminated", "superseded"))


def _fewer_rules(chance: Random, document: Json, rule: Json) -> None:
    rules = document["access"]["rules"]
    if len(rules) > 1 and not document["access"]["break_glass"]["enabled"]:
        document.pop("feedback", None)
        rules.remove(rule)


def _stricter_break_glass(chance: Random, document: Json, rule: Json) -> None:
    clause = document["access"]["break_glass"]
    if not clause["enabled"]:
        return
    for name in ("rules", "relaxes", "roles", "reasons"):
        if chance.random() < 0.5:
            _one_fewer(chance, clause, name)
    clause["never_relaxes"] = [*clause.get("never_relaxes", ()), "roles", "single_subject"]
    clause["justification_min_chars"] += 1
    clause |= {"min_acr": "AAL3", "ttl": "PT10M", "max_subjects": 1}


def _prohibit(chance: Random, document: Json, rule: Json) -> None:
    """Prohibit a purpose by name; a rule that has no other is left out."""
    purpose = document["purpose"]
    code = chance.choice((*purpose["codes"], "MARKETING"))
    purpose["codes"] = [one for one in purpose["codes"] if one != code]
    purpose["prohibited"] = sorted({*purpose.get("prohibited", ()), code})
    for one in document["access"]["rules"]:
        if one["actor"]["mode"] != "public":
            one["purposes"] = [code for code in one["purposes"] if code in purpose["codes"]]


NARROWINGS: Final[tuple[Callable[[Random, Json, Json], None], ...]] = (
    *(_fewer_words, _fewer_purposes, _fewer_actors, _more_assurance, _fewer_values, _masked),
    *(_never_this_field, _shorter_hours, _more_context, _case_by_case, _fewer_records),
    *(_shorter_term, _bound_tokens, _stopped, _fewer_rules, _stricter_break_glass, _prohibit),
)
"""Each takes away or changes nothing; some leave a document that the reader refuses."""
