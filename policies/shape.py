"""The shape of an agreement document, derived from the model: members, types, closed words."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from policies import agreement as model
from policies import words
from policies.times import Duration

TITLE_CHARS_MAX: Final = 160
CODE_CHARS_MIN: Final = 2

ORGANISATION: Final = r"^(ods:[A-Z0-9]{3,9}|gss:[EWSN][0-9]{8}|govuk:[a-z0-9-]+|urn:ukfdx:org:.+)$"
PARTY: Final = ORGANISATION[:-2] + "|public)$"
AGREEMENT_ID: Final = "^DSA-[0-9]{4}-[0-9]{4}$"
PATH: Final = r"^(/([A-Za-z0-9._~!$&'()*+,;=:@-]+|\{[a-z_][a-z0-9_]{0,63}\}))+$"
CLOCK: Final = "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"
_DAY: Final = "(mon|tue|wed|thu|fri|sat|sun)"
DAYS: Final = f"^ *{_DAY}(-{_DAY})? *(, *{_DAY}(-{_DAY})? *)*$"


class Kind(StrEnum):
    """What a value is, as an author would say it."""

    TEXT = "text"
    FLAG = "true or false"
    NUMBER = "whole number"
    INSTANT = "instant with its offset"
    DATE = "date"
    DURATION = "duration"
    OPEN = "open object"
    CODES_BY_NAME = "object of code lists"
    OBJECT = "object"
    LIST = "list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a value may be. `members` are an object's, `item` a list's.

    `words` close a text, `pattern` (ECMA 262) bounds one; `size_min` counts characters of a text
    or items of a list; `minimum` bounds a number. `needed_if` names a member whose truth makes
    the members of `needed` required.
    """

    kind: Kind
    members: Mapping[str, Member] = field(default_factory=dict)
    item: Shape | None = None
    words: tuple[str, ...] = ()
    pattern: str | None = None
    minimum: int | None = None
    size_min: int = 0
    size_max: int | None = None
    needed_if: str | None = None
    needed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of an object; `nullable` means that null stands for none."""

    shape: Shape
    required: bool
    nullable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Detail:
    """What the type of a model's member does not say."""

    called: str | None = None
    words: tuple[str, ...] = ()
    pattern: str | None = None
    nullable: bool = False
    code: bool = False
    size_min: int = 0
    size_max: int | None = None


def _closed(*closed: str, called: str | None = None) -> _Detail:
    return _Detail(words=closed, called=called)


_NULLABLE: Final = _Detail(nullable=True)
_CODES: Final = _Detail(code=True)
_DETAILS: Final[Mapping[tuple[type, str], _Detail]] = {
    (model.Agreement, "agreement_id"): _Detail(pattern=AGREEMENT_ID),
    (model.Agreement, "title"): _Detail(size_max=TITLE_CHARS_MAX),
    (model.Agreement, "kind"): _closed(*words.KINDS),
    (model.Agreement, "status"): _closed(*words.STATUSES),
    (model.Agreement, "parties"): _Detail(size_min=1),
    (model.Agreement, "datasets"): _Detail(called="data", size_min=1),
    (model.Agreement, "rules"): _Detail(size_min=1),
    (model.Agreement, "governance"): _Detail(called="decisions"),
    (model.Agreement, "supersedes"): _NULLABLE,
    (model.Party, "ref"): _Detail(pattern=PARTY),
    (model.Party, "roles"): _closed(*words.PARTY_ROLES),
    (model.Party, "dp_role"): _closed(*words.DP_ROLES),
    (model.Purpose, "codes"): _CODES,
    (model.Purpose, "prohibited"): _CODES,
    (model.Legal, "regime"): _closed(*words.REGIMES),
    (model.Legal, "data_types"): _closed(*words.DATA_TYPES),
    (model.Legal, "instruments"): _Detail(size_min=1),
    (model.Legal, "appropriate_policy_document"): _NULLABLE,
    (model.Legal, "exemptions"): _CODES,
    (model.Dpia, "outcome"): _closed(*words.DPIA_OUTCOMES),
    (model.Dea, "register_id"): _NULLABLE,
    (model.Dea, "register_url"): _NULLABLE,
    (model.Dataset, "identifiability"): _closed(*words.IDENTIFIABILITIES),
    (model.Dataset, "subject_identifier"): _NULLABLE,
    (model.Field, "class_"): _closed(*words.FIELD_CLASSES, called="class"),
    (model.Rule, "party"): _Detail(pattern=PARTY),
    (model.Rule, "methods"): _Detail(words=words.METHODS, size_min=1),
    (model.Rule, "path"): _Detail(pattern=PATH),
    (model.Rule, "purposes"): _Detail(code=True, size_min=1),
    (model.Rule, "action"): _closed(*words.ACTIONS),
    (model.Rule, "obligations"): _closed(*words.OBLIGATIONS),
    (model.Actor, "mode"): _closed(*words.ACTOR_MODES),
    (model.Actor, "min_acr"): _closed(*words.ASSURANCE_LEVELS),
    (model.Hours, "zone"): _Detail(called="tz"),
    (model.Hours, "opens"): _Detail(called="from", pattern=CLOCK),
    (model.Hours, "closes"): _Detail(called="to", pattern=CLOCK),
    (model.Hours, "days"): _Detail(pattern=DAYS),
    (model.BreakGlass, "min_acr"): _closed(*words.ASSURANCE_LEVELS),
    (model.Security, "classification"): _closed(*words.CLASSIFICATIONS),
    (model.Security, "transport"): _closed(*words.TRANSPORTS),
    (model.Retention, "legal_hold"): _NULLABLE,
    (model.Rights, "subject_visibility"): _closed(*words.VISIBILITIES),
    (model.Rights, "restriction_basis"): _NULLABLE,
    (model.Costs, "charging"): _closed(*words.CHARGING),
    (model.Transparency, "publish"): _closed(*words.PUBLISHING),
    (model.GovernanceStep, "step"): _closed(*words.STEPS),
    (model.GovernanceStep, "role"): _closed(*words.STEP_ROLES),
    (model.GovernanceStep, "outcome"): _closed(*words.STEP_OUTCOMES),
}
_LEAVES: Final[Mapping[object, Shape]] = {
    str: Shape(kind=Kind.TEXT),
    bool: Shape(kind=Kind.FLAG),
    int: Shape(kind=Kind.NUMBER, minimum=1),
    date: Shape(kind=Kind.DATE),
    datetime: Shape(kind=Kind.INSTANT),
    Duration: Shape(kind=Kind.DURATION),
    Mapping[str, object]: Shape(kind=Kind.OPEN),
    Mapping[str, tuple[str, ...]]: Shape(kind=Kind.CODES_BY_NAME),
}


def agreement_shape() -> Shape:
    """Return the shape of a whole agreement document of schema 0.1.

    The model is flat where the document has sections: `access` and `governance` are put back.
    """
    members = dict(_object(model.Agreement).members)
    access = {"rules": members.pop("rules"), "break_glass": _break_glass(members)}
    governance = {"decisions": members.pop("decisions"), "ethics": members.pop("ethics")}
    version = Shape(kind=Kind.TEXT, words=words.SCHEMA_VERSIONS)
    return Shape(
        kind=Kind.OBJECT,
        members={
            "schema_version": Member(shape=version, required=True),
            **members,
            "access": _section(access),
            "governance": _section(governance),
        },
    )


def walk(shape: Shape, path: str = "") -> Iterator[tuple[str, Member]]:
    """Yield every member of an object shape with its path, such as ``parties[].ref``, in order."""
    for name, member in shape.members.items():
        here = f"{path}.{name}" if path else name
        yield here, member
        inner, place = member.shape, here
        if inner.item is not None:
            inner, place = inner.item, f"{here}[]"
        yield from walk(inner, place)


def _section(members: dict[str, Member]) -> Member:
    return Member(shape=Shape(kind=Kind.OBJECT, members=members), required=True)


def _break_glass(members: dict[str, Member]) -> Member:
    """Return the clause as written: a switch, and what the model asks for once it is on."""
    shape = members.pop("break_glass").shape
    # A clause that relaxes nothing, or that never relaxes anything, may leave the list out.
    needed = tuple(
        name
        for name, member in shape.members.items()
        if member.required and name not in {"relaxes", "never_relaxes"}
    )
    optional = {
        name: dataclasses.replace(member, required=False) for name, member in shape.members.items()
    }
    enabled = Member(shape=_LEAVES[bool], required=True)
    clause = dataclasses.replace(
        shape, members={"enabled": enabled, **optional}, needed_if="enabled", needed=needed
    )
    return Member(shape=clause, required=False)


def _object(kind: type) -> Shape:
    hints = get_type_hints(kind)
    members: dict[str, Member] = {}
    for one in dataclasses.fields(kind):
        detail = _DETAILS.get((kind, one.name), _Detail())
        hint, optional = _without_none(hints[one.name])
        required = one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        members[detail.called or one.name] = Member(
            shape=_shape(hint, detail),
            required=required and not _may_be_left_out(kind, one.name),
            nullable=detail.nullable or (optional and required and hint is datetime),
        )
    return Shape(kind=Kind.OBJECT, members=members)


def _may_be_left_out(kind: type, name: str) -> bool:
    return kind is model.Agreement and name == "break_glass"


def _without_none(hint: Any) -> tuple[Any, bool]:
    """Return a type without its None, and whether it had one."""
    if get_origin(hint) in (Union, types.UnionType):
        found = [one for one in get_args(hint) if one is not type(None)]
        assert len(found) == 1, f"the model has one type per member, not {hint}"  # noqa: S101 - the model's own rule
        return found[0], True
    return hint, False


def _shape(hint: Any, detail: _Detail) -> Shape:
    if get_origin(hint) is tuple:
        item = _shape(get_args(hint)[0], dataclasses.replace(detail, size_min=0))
        return Shape(kind=Kind.LIST, item=item, size_min=detail.size_min)
    if dataclasses.is_dataclass(hint) and hint not in _LEAVES:
        return _object(hint)  # type: ignore[arg-type]  # a class of the model, never an instance
    return dataclasses.replace(
        _LEAVES[hint],
        words=detail.words,
        pattern=detail.pattern,
        size_min=CODE_CHARS_MIN if detail.code else detail.size_min,
        size_max=detail.size_max,
    )
