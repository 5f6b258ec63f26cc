"""What a change of one clause does to access: it widens it, narrows it, or leaves it as it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from policies.agreement import ANSWERING_STATUSES, Agreement, Hours, Rule
from policies.compile import DECISION_REFERENCE, assurance_rank, context_words
from policies.decision import PUBLIC
from policies.times import DAYS, MINUTES_PER_DAY, Duration, Window
from policies.words import (
    ACTOR_MODES,
)


class Effect(StrEnum):
    """What a change does to who may see what; EITHER is both, or cannot be told by itself."""

    WIDENS = "widens"
    NARROWS = "narrows"
    EITHER = "either"
    NEUTRAL = "neutral"

    def flipped(self) -> Effect:
        """Return what the change does the other way round."""
        return {Effect.WIDENS: Effect.NARROWS, Effect.NARROWS: Effect.WIDENS}.get(self, self)


class Sides(NamedTuple):
    """Both agreements, and both rules where the clause is one of a rule."""

    old: Agreement
    new: Agreement
    old_rule: Rule | None = None
    new_rule: Rule | None = None

    @property
    def rules(self) -> tuple[Rule, Rule]:
        """The rule before and after."""
        assert self.old_rule is not None  # noqa: S101 - asked for clauses of rules only
        assert self.new_rule is not None  # noqa: S101 - as above
        return self.old_rule, self.new_rule


Judge = Callable[[Any, Any, Sides], Effect]
"""Gives the effect of a clause's change from its old value, its new one, and both agreements."""


def judge(path: str, old: object, new: object, sides: Sides) -> Effect:
    """Return the effect of a change of the member at `path`, such as ``access.rules[].methods``.

    A member that no decision and no duty looks at has no effect.
    """
    found = _JUDGES.get(path)
    return Effect.NEUTRAL if found is None or old == new else found(old, new, sides)


def together(effects: Iterable[Effect]) -> Effect:
    """Return what several changes do as one."""
    found = set(effects) - {Effect.NEUTRAL}
    if len(found) > 1:
        return Effect.EITHER
    return found.pop() if found else Effect.NEUTRAL


def permitted_fields(agreement: Agreement, rule: Rule) -> frozenset[str]:
    """Return the fields that a rule lets out (as `policies.compile` does)."""
    fields = [
        field
        for data in agreement.datasets
        if data.dataset == rule.dataset
        for field in data.fields
    ]
    named = rule.fields_allowed
    if named is None:
        named = tuple(field.name for field in fields)
    return frozenset(named) - {field.name for field in fields if field.never} - rule.mask.keys()


def judge_field(dataset: str, name: str, sides: Sides) -> Effect:
    """Return what a change of a declared field does, by the rules that are in both versions."""
    before = {rule.id: rule for rule in sides.old.rules}
    effects = []
    for rule in sides.new.rules:
        earlier = before.get(rule.id)
        if earlier is None or dataset not in (rule.dataset, earlier.dataset):
            continue
        was = name in permitted_fields(sides.old, earlier)
        effects.append(_rising(was, name in permitted_fields(sides.new, rule)))
    return together(effects)


def _rising(old: Any, new: Any) -> Effect:
    """Return the effect where more is wider."""
    if old == new:
        return Effect.NEUTRAL
    return Effect.WIDENS if new > old else Effect.NARROWS


def _sets(old: Collection[str], new: Collection[str]) -> Effect:
    """Return the effect where each member lets more through."""
    gained = Effect.WIDENS if set(new) - set(old) else Effect.NEUTRAL
    lost = Effect.NARROWS if set(old) - set(new) else Effect.NEUTRAL
    return together((gained, lost))


def _more(old: Any, new: Any, _sides: Sides) -> Effect:
    return _sets(old or (), new or ())


def _fewer(old: Any, new: Any, _sides: Sides) -> Effect:
    return _sets(old, new).flipped()


def _any_or(old: Any, new: Any, _sides: Sides) -> Effect:
    """Judge a list that lets everything through where it is left out."""
    if old is None or new is None:
        return _rising(old is None, new is None)
    return _sets(old, new)


def _roles(old: Any, new: Any, sides: Sides) -> Effect:
    return _any_or(old or None, new or None, sides)


def _bound(old: Any, new: Any, _sides: Sides) -> Effect:
    """Judge an upper bound; None sets none."""
    if old is None or new is None:
        return _rising(old is None, new is None)
    return _rising(old, new)


def _least(old: Any, new: Any, sides: Sides) -> Effect:
    return _bound(old, new, sides).flipped()


def _loosening(old: Any, new: Any, _sides: Sides) -> Effect:
    return _rising(bool(old), bool(new))


def _tightening(old: Any, new: Any, _sides: Sides) -> Effect:
    return _rising(bool(new), bool(old))


def _either(_old: Any, _new: Any, _sides: Sides) -> Effect:
    return Effect.EITHER


def _level(old: Any, new: Any, _sides: Sides) -> Effect:
    return _rising(assurance_rank(new), assurance_rank(old))


def _length(old: Duration, new: Duration, _sides: Sides) -> Effect:
    """Judge a length of time: months and days are no fixed length, so each part counts alone."""
    parts = ("months", "days", "minutes")
    return together(_rising(getattr(old, part), getattr(new, part)) for part in parts)


def _status(old: str, new: str, _sides: Sides) -> Effect:
    return _rising(old in ANSWERING_STATUSES, new in ANSWERING_STATUSES)


def _instruments(old: tuple[str, ...], new: tuple[str, ...], sides: Sides) -> Effect:
    """Judge the list of instruments; its order counts where one needs an entry in a register.

    The first in force is relied on. One put before others can then refuse what they would carry.
    """
    shorter, longer = sorted((old, new), key=len)
    ordered = longer[: len(shorter)] == shorter
    if not ordered and not (_registered(sides.old) or _registered(sides.new)):
        return Effect.EITHER
    return _sets(old, new)


def _registered(agreement: Agreement) -> bool:
    return agreement.legal.dea is not None and bool(agreement.legal.dea.register_id)


def _opt_out(old: Any, new: Any, _sides: Sides) -> Effect:
    return _rising(bool(new and new.applies), bool(old and old.applies))


def _closed_words(_old: Any, _new: Any, sides: Sides) -> Effect:
    """Judge a basis by the words of the request context that the law closes for it."""
    old, new = context_words(sides.old), context_words(sides.new)
    return together(
        _any_or(old.get(name), new.get(name), sides) for name in (old.keys() | new.keys())
    )


def _mode(old: str, new: str, _sides: Sides) -> Effect:
    return _rising(ACTOR_MODES.index(new), ACTOR_MODES.index(old))


def _purposes(old: tuple[str, ...], new: tuple[str, ...], sides: Sides) -> Effect:
    """Judge a rule's purposes; the public is judged by the first."""
    public = any(rule.party == PUBLIC for rule in sides.rules)
    return Effect.EITHER if public and old[:1] != new[:1] else _sets(old, new)


def _fields(_old: Any, _new: Any, sides: Sides) -> Effect:
    old, new = sides.rules
    return _sets(permitted_fields(sides.old, old), permitted_fields(sides.new, new))


def _parameters(agreement: Agreement, rule: Rule) -> frozenset[str]:
    return permitted_fields(agreement, rule) | rule.filter_values.keys() | {*rule.filters_required}


def _filters(old: Collection[str], new: Collection[str], sides: Sides) -> Effect:
    """Judge what requests are narrowed by; a filter is also a parameter that may be sent."""
    before, after = sides.rules
    gained, lost = set(new) - set(old), set(old) - set(new)
    return together(
        (
            Effect.NARROWS if gained else Effect.NEUTRAL,
            Effect.WIDENS if gained - _parameters(sides.old, before) else Effect.NEUTRAL,
            Effect.WIDENS if lost else Effect.NEUTRAL,
            Effect.NARROWS if lost - _parameters(sides.new, after) else Effect.NEUTRAL,
        )
    )


def _filter_values(
    old: Mapping[str, tuple[str, ...]], new: Mapping[str, tuple[str, ...]], sides: Sides
) -> Effect:
    kept = (_sets(old[name], new[name]) for name in old.keys() & new.keys())
    return together((_filters(old.keys(), new.keys(), sides), *kept))


def _context(old: tuple[str, ...], new: tuple[str, ...], sides: Sides) -> Effect:
    """Judge what a request must state; a decision is asked for in two ways, which differ."""
    if DECISION_REFERENCE in set(old) ^ set(new) and any(map(_decided, sides.rules)):
        return Effect.EITHER
    return _fewer(old, new, sides)


def _decided(rule: Rule) -> bool:
    return not {"single_use_decision", "fields_limited_to_decision"}.isdisjoint(rule.obligations)


def _obligations(old: tuple[str, ...], new: tuple[str, ...], sides: Sides) -> Effect:
    # One hides the exchange from the person, the other tells of it: the receiver gets no less.
    shown = {"hide_from_subject_view", "signed_receipt"}
    return _fewer(set(old) - shown, set(new) - shown, sides)


def _hours(old: Hours | None, new: Hours | None, _sides: Sides) -> Effect:
    if old is None or new is None:
        return _rising(old is None, new is None)
    if old.zone != new.zone:
        return Effect.EITHER
    return _sets(_open_minutes(old), _open_minutes(new))


def _open_minutes(hours: Hours) -> frozenset[Any]:
    """Return the minutes of the week in which the hours are open, by the clock on the wall."""
    window = Window.parse(zone=hours.zone, opens=hours.opens, closes=hours.closes, days=hours.days)
    length = (window.closes - window.opens) % MINUTES_PER_DAY or MINUTES_PER_DAY
    if window.opens < window.closes:
        length = window.closes - window.opens
    week = len(DAYS) * MINUTES_PER_DAY
    return frozenset(
        (day * MINUTES_PER_DAY + window.opens + minute) % week
        for day in window.days
        for minute in range(length)
    )


def _relaxed(_old: Any, _new: Any, sides: Sides) -> Effect:
    """Judge what an urgent grant sets aside; one person at a time is a bound of its own."""
    old, new = sides.old.break_glass, sides.new.break_glass
    assert old is not None  # noqa: S101 - a clause that came or went is judged whole
    assert new is not None  # noqa: S101 - as above
    single = ("single_subject" in old.never_relaxes, "single_subject" in new.never_relaxes)
    return together(
        (
            _sets(
                set(old.relaxes) - set(old.never_relaxes), set(new.relaxes) - set(new.never_relaxes)
            ),
            _rising(single[1], single[0]),
        )
    )


_JUDGES: Final[Mapping[str, Judge]] = {
    "status": _status,
    "parties[].clients": _any_or,
    "purpose.codes": _more,
    "purpose.prohibited": _fewer,
    "legal.instruments": _instruments,
    "legal.provider_basis": _closed_words,
    "legal.consumer_basis": _closed_words,
    "legal.part3": _closed_words,
    "legal.national_data_opt_out": _opt_out,
    "legal.dea.register_id": _loosening,
    "data[].identifiability": _either,
    "data[].subject_identifier": _either,
    "access.rules[].party": _either,
    "access.rules[].connector": _either,
    "access.rules[].methods": _more,
    "access.rules[].path": _either,
    "access.rules[].purposes": _purposes,
    "access.rules[].actor.mode": _mode,
    "access.rules[].actor.roles": _roles,
    "access.rules[].actor.min_acr": _level,
    "access.rules[].dataset": _either,
    "access.rules[].filters_required": _filters,
    "access.rules[].filter_values": _filter_values,
    "access.rules[].fields_allowed": _fields,
    "access.rules[].mask": _fields,
    "access.rules[].body_fields_allowed": _more,
    "access.rules[].body_media_types_allowed": _more,
    "access.rules[].limits.per_minute": _bound,
    "access.rules[].limits.records_per_response": _bound,
    "access.rules[].limits.subjects_per_day": _bound,
    "access.rules[].limits.requests_per_day": _bound,
    "access.rules[].hours": _hours,
    "access.rules[].request_context_required": _context,
    "access.rules[].obligations": _obligations,
    "access.break_glass.rules": _more,
    "access.break_glass.relaxes": _relaxed,
    "access.break_glass.never_relaxes": _relaxed,
    "access.break_glass.roles": _more,
    "access.break_glass.min_acr": _level,
    "access.break_glass.reasons": _more,
    "access.break_glass.justification_min_chars": _least,
    "access.break_glass.ttl": _length,
    "access.break_glass.max_subjects": _bound,
    "onward_sharing.permitted": _loosening,
    "onward_sharing.recipients": _more,
    "security.sender_constrained_tokens": _tightening,
    "term.start": _least,
    "term.end": _bound,
    "term.review_by": _bound,
    "term.review_grace": _length,
}
