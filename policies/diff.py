"""What differs between two versions of an agreement, clause by clause, and what it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final

from policies.agreement import Agreement, Costs, Dataset, Dea, Dpia, Feedback, Hours, OptOut
from policies.effects import Effect, Sides, judge, judge_field, together
from policies.glossary import meaning_of
from policies.times import Duration

QUOTED_CHARS_MAX: Final = 200
"""A longer text is not shown whole in a sentence; the data has it."""


class Turn(StrEnum):
    """What became of a clause."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One clause that differs: its place, what became of it, what that does, and both values."""

    clause: str
    turn: Turn
    effect: Effect
    sentence: str
    before: object
    after: object

    def as_data(self) -> dict[str, object]:
        """Return the change as plain JSON values."""
        return {
            "clause": self.clause,
            "turn": self.turn.value,
            "effect": self.effect.value,
            "sentence": self.sentence,
            "before": _plain(self.before),
            "after": _plain(self.after),
        }


def compare(old: Agreement, new: Agreement) -> tuple[Change, ...]:
    """Return every difference between two versions, in the order of the document.

    Under the same law and services: where no change widens (or may do either), no call is newly
    permitted; where none narrows (or may do either), none is newly refused.
    """
    sides = Sides(old, new)
    return (
        *_members(old, new, "", sides, skip=_KEYED),
        *_parties(sides),
        *_sections(sides),
        *_datasets(sides),
        *_rules(sides),
        *_break_glass(sides),
        *_governance(sides),
    )


def effect_of(changes: tuple[Change, ...]) -> Effect:
    """Return what all the changes do as one."""
    return together(change.effect for change in changes)


_SECTIONS: Final = (
    *("purpose", "legal", "onward_sharing", "security", "retention", "rights", "feedback"),
    *("costs", "term", "transparency"),
)
_KEYED: Final = frozenset(
    {*_SECTIONS, "parties", "datasets", "rules", "break_glass", "governance", "ethics"}
)
_DOCUMENT_NAMES: Final = {"class_": "class", "zone": "tz", "opens": "from", "closes": "to"}
_EMPTY: Final[Mapping[type, object]] = {Dea: Dea(), Feedback: Feedback(), Costs: Costs()}
"""What stands for a section that was left out, so that its members can be compared."""
_WHOLE: Final = (Hours, OptOut, Dpia, Duration)
"""Values that are compared and told as one."""


def _members(
    old: Any, new: Any, path: str, sides: Sides, *, skip: frozenset[str] = frozenset()
) -> Iterator[Change]:
    """Yield the changed members of a value of the model; `path` may hold keys in brackets."""
    for one in fields(old):
        if one.name in skip:
            continue
        name = _DOCUMENT_NAMES.get(one.name, one.name)
        before, after = getattr(old, one.name), getattr(new, one.name)
        here = f"{path}.{name}" if path else name
        known = before if before is not None else after
        if is_dataclass(known) and not isinstance(known, _WHOLE):
            empty = _EMPTY.get(type(known))
            yield from _members(before or empty, after or empty, here, sides)
        elif before != after:
            effect = judge(_generic(here), before, after, sides)
            yield _change(here, before, after, effect)


def _sections(sides: Sides) -> Iterator[Change]:
    for name in _SECTIONS:
        old, new = getattr(sides.old, name), getattr(sides.new, name)
        known = old if old is not None else new
        if known is not None:
            empty = _EMPTY.get(type(known))
            yield from _members(old or empty, new or empty, name, sides)


def _parties(sides: Sides) -> Iterator[Change]:
    old = {party.ref: party for party in sides.old.parties}
    new = {party.ref: party for party in sides.new.parties}
    for ref in dict.fromkeys((*old, *new)):
        if ref in old and ref in new:
            yield from _members(old[ref], new[ref], f"parties[{ref}]", sides)
        else:
            # Being named lets nobody see anything: only a rule does.
            yield _change(f"parties[{ref}]", old.get(ref), new.get(ref), Effect.NEUTRAL)


def _datasets(sides: Sides) -> Iterator[Change]:
    old = {data.dataset: data for data in sides.old.datasets}
    new = {data.dataset: data for data in sides.new.datasets}
    for name in dict.fromkeys((*old, *new)):
        place = f"data[{name}]"
        if name not in old or name not in new:
            yield _change(place, old.get(name), new.get(name), Effect.NEUTRAL)
            continue
        yield from _members(old[name], new[name], place, sides, skip=frozenset({"fields"}))
        yield from _fields(old[name], new[name], sides)


def _fields(before: Dataset, after: Dataset, sides: Sides) -> Iterator[Change]:
    old = {field.name: field for field in before.fields}
    new = {field.name: field for field in after.fields}
    for name in dict.fromkeys((*old, *new)):
        place = f"data[{before.dataset}].fields[{name}]"
        effect = judge_field(before.dataset, name, sides)
        if name not in old or name not in new:
            yield _change(place, old.get(name), new.get(name), effect)
            continue
        for change in _members(old[name], new[name], place, sides):
            shown = effect if change.clause.endswith(".never") else change.effect
            yield _change(change.clause, change.before, change.after, shown)


def _rules(sides: Sides) -> Iterator[Change]:
    old = {rule.id: rule for rule in sides.old.rules}
    new = {rule.id: rule for rule in sides.new.rules}
    for name in dict.fromkeys((*old, *new)):
        place = f"access.rules[{name}]"
        if name not in new:
            yield _change(place, old[name], None, Effect.NARROWS)
        elif name not in old:
            yield _change(place, None, new[name], Effect.WIDENS)
        else:
            both = sides._replace(old_rule=old[name], new_rule=new[name])
            yield from _members(old[name], new[name], place, both)


def _break_glass(sides: Sides) -> Iterator[Change]:
    old, new = sides.old.break_glass, sides.new.break_glass
    place = "access.break_glass"
    if old is not None and new is not None:
        yield from _members(old, new, place, sides)
    elif old is not None or new is not None:
        yield _change(place, old, new, Effect.WIDENS if old is None else Effect.NARROWS)


def _governance(sides: Sides) -> Iterator[Change]:
    old, new = sides.old, sides.new
    if old.governance != new.governance:
        yield _change("governance.decisions", old.governance, new.governance, Effect.NEUTRAL)
    if old.ethics != new.ethics:
        yield _change("governance.ethics", old.ethics, new.ethics, Effect.NEUTRAL)


def _generic(path: str) -> str:
    """Return a path without its keys: ``access.rules[R1].hours`` is ``access.rules[].hours``."""
    text, inside = "", False
    for letter in path:
        inside = letter == "[" or (inside and letter != "]")
        text += letter if not inside or letter == "[" else ""
    return text


def _change(place: str, before: object, after: object, effect: Effect) -> Change:
    turn = Turn.CHANGED
    if before is None or after is None:
        turn = Turn.ADDED if before is None else Turn.REMOVED
    return Change(
        clause=place,
        turn=turn,
        effect=effect,
        sentence=_sentence(place, before, after),
        before=before,
        after=after,
    )


def _sentence(place: str, before: object, after: object) -> str:
    subject = _subject(place)
    if is_dataclass(before if before is not None else after) and not isinstance(before, _WHOLE):
        if before is None:
            return f"{subject} is new."
        if after is None:
            return f"{subject} is gone."
    if isinstance(before, tuple) and isinstance(after, tuple) and _of_texts(before + after):
        return _list_sentence(subject, before, after)
    if place == "governance.decisions":
        return "The record of the approval is not the same."
    return f"{subject}: was {_said(before)}, is now {_said(after)}."


def _list_sentence(subject: str, before: tuple[str, ...], after: tuple[str, ...]) -> str:
    gained = [one for one in after if one not in before]
    lost = [one for one in before if one not in after]
    said = []
    if gained:
        said.append(f"adds {', '.join(gained)}")
    if lost:
        said.append(f"takes away {', '.join(lost)}")
    return f"{subject}: {' and '.join(said) or 'the order changes'}."


def _subject(place: str) -> str:
    """Return what a clause is called by people: ``Rule R1, opening hours``."""
    parts, path = [], ""
    for step in _steps(place):
        path = f"{path}.{step.partition('[')[0]}".strip(".")
        bare, _, key = step.partition("[")
        generic = f"{path}[]" if key else path
        label = meaning_of(path).label
        if key:
            parts.append(f"{_SINGULAR[bare]} {key.removesuffix(']')}")
        elif path != "access":
            parts.append(label)
        path = generic
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]


_SINGULAR: Final = {"parties": "body", "data": "dataset", "fields": "field", "rules": "rule"}


def _steps(place: str) -> list[str]:
    """Return the members of a clause; a dot inside brackets belongs to the key."""
    steps, depth = [""], 0
    for letter in place:
        depth += {"[": 1, "]": -1}.get(letter, 0)
        if letter == "." and not depth:
            steps.append("")
        else:
            steps[-1] += letter
    return steps


def _of_texts(values: tuple[object, ...]) -> bool:
    return all(isinstance(value, str) for value in values)


def _said(value: object) -> str:
    match value:
        case None | () | "":
            return "not set"
        case bool():
            return "yes" if value else "no"
        case Hours():
            return f"{value.opens} to {value.closes} {value.zone}, {value.days}"
        case Duration():
            parts = {"month": value.months, "day": value.days, "minute": value.minutes}
            said = [f"{n} {unit}{'s' * (n != 1)}" for unit, n in parts.items() if n]
            return " and ".join(said) or "no time"
        case OptOut():
            return "applied" if value.applies else "not applied"
        case _:
            text = str(_plain(value))
            return text if len(text) <= QUOTED_CHARS_MAX else f"{text[:QUOTED_CHARS_MAX]}…"


def _plain(value: object) -> object:
    """Return a value of the model as plain JSON values."""
    match value:
        case Duration():
            return f"P{value.months}M{value.days}DT{value.minutes}M"
        case date():
            return value.isoformat()
        case Mapping():
            return {str(key): _plain(one) for key, one in value.items()}
        case tuple() | list():
            return [_plain(one) for one in value]
    if is_dataclass(value):
        return {
            _DOCUMENT_NAMES.get(one.name, one.name): _plain(getattr(value, one.name))
            for one in fields(value)
        }
    return value
