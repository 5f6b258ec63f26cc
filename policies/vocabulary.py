"""The closed code lists of the law an agreement may rely on, each code with its days in force."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from typing import Final

from policies.reading import DocumentInvalid, Fault, Section, nearest
from policies.times import LONDON, Duration

PURPOSES: Final = "purpose"
"""The one list that is the deployment's own: no statute names purposes."""

CODE_LISTS: Final = (
    *("ukgdpr_article6", "recognised_legitimate_interest", "ukgdpr_article9", "exemption"),
    *("confidentiality_basis", "other_gateway", PURPOSES),
)
"""The lists that only name codes."""
PART3_LISTS: Final = (
    *("law_enforcement_purpose", "processing_ground", "sensitive_ground", "schedule8"),
)
PART3_WORDS: Final = (
    *("subject_category", "accuracy_split", "log_operations", "log_permitted_uses"),
    "rights_restriction",
)
NATIONS: Final = ("GB-ENG", "GB-WLS", "GB-SCT", "GB-NIR")
"""The nations of the United Kingdom (ISO 3166-2:GB), as the extent of a provision names them."""
PUBLIC_TASKS: Final = "public authority performing its tasks"
"""Whom UK GDPR Art 6(1), in its closing words, bars from a basis."""
SCHEDULE1_PARTS: Final = (1, 2, 3)

_PERIOD: Final = ("in_force_from", "in_force_until")
_CODE: Final = ("label", "jurisdiction", "never_alone", *_PERIOD)
_ANY_OF: Final = re.compile(r"any of (.+?)([0-9]+) \.\. \1([0-9]+)")
_TO_COMPETENT_AUTHORITY: Final = "competent authority"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """When something is law: from `from_` until just before `until`; None is no bound."""

    from_: datetime | None = None
    until: datetime | None = None

    def covers(self, at: datetime) -> bool:
        """Whether `at` lies in the period."""
        return (self.from_ is None or self.from_ <= at) and (self.until is None or at < self.until)


ALWAYS: Final = Period()


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One code; `jurisdiction` empty is the whole kingdom.

    `never_alone` marks a power to act that is no gateway by itself, such as LA 2011 s.1.
    """

    code: str
    label: str
    in_force: Period = ALWAYS
    jurisdiction: frozenset[str] = frozenset()
    never_alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition(Code):
    """A condition of DPA 2018 Sch 1: its part, and whether it needs a policy document (para 5).

    `spares_disclosure_to_competent_authority` is the exception of para 10(2).
    `request_must_state` maps a word of the request's context to the answers that the condition's
    own test knows.
    """

    part: int
    policy_document: bool
    spares_disclosure_to_competent_authority: bool = False
    request_must_state: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Power(Code):
    """A power of DEA 2017 Part 5, and whether its use must stand in the public register."""

    chapter: int
    registered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BasisLimit:
    """What UK GDPR Art 6(1) asks of some of its bases: whom they bar, and which list they need."""

    codes: frozenset[str]
    bars_public_authorities: bool = False
    requires: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """All code lists by name. Every look-up takes an instant: the law is that of a day.

    `article9_needs` maps a basis to the Sch 1 conditions of which it needs one;
    `opt_out_applies` and `review_at_most_every` are by confidentiality basis.
    """

    version: str
    lists: Mapping[str, Mapping[str, Code]]
    conditions: Mapping[str, Condition]
    powers: Mapping[str, Power]
    basis_limits: tuple[BasisLimit, ...]
    article9_needs: Mapping[str, frozenset[str]]
    opt_out_applies: Mapping[str, bool]
    review_at_most_every: Mapping[str, Duration]
    part3_words: Mapping[str, frozenset[str]]

    def find(self, name: str, code: str, at: datetime) -> Code | None:
        """Return a code of the list `name` if it is law at `at`."""
        found = self.codes(name).get(code)
        return found if found is not None and found.in_force.covers(at) else None

    def codes(self, name: str) -> Mapping[str, Code]:
        """Return a list with every code that it ever had; {} where there is no such list."""
        if name == "dpa2018_schedule1":
            return self.conditions
        return self.powers if name == "dea2017_part5" else self.lists.get(name, {})

    def gateway(self, code: str, at: datetime) -> Code | None:
        """Return the code of a statutory gateway, whichever list names it, if it is law at `at`."""
        names = ("other_gateway", "dea2017_part5", "confidentiality_basis", "exemption")
        return next((found for name in names if (found := self.find(name, code, at))), None)

    def bars_public_authorities(self, basis: str) -> bool:
        """Whether Art 6(1) bars a public authority performing its tasks from `basis`."""
        return any(one.bars_public_authorities for one in self.basis_limits if basis in one.codes)

    def lists_needed(self, basis: str) -> frozenset[str]:
        """Return the lists of which an Art 6 basis needs a code as well."""
        named = (one.requires for one in self.basis_limits if basis in one.codes)
        return frozenset(name for name in named if name is not None)


def read_vocabulary(document: object) -> Vocabulary:
    """Read ``legal/vocabulary.yaml``; ``reason_code`` is the gateway's own list, read elsewhere.

    Raises:
        DocumentInvalid: with every fault of the document.
    """
    faults: list[Fault] = []
    one = Section(
        document,
        (),
        faults,
        required=(
            *("version", *CODE_LISTS, "ukgdpr_article6_rules", "ukgdpr_article9_needs_sch1"),
            *("dpa2018_schedule1", "dpa2018_part3", "ndoo_applies", "dea2017_part5"),
        ),
        optional=("reason_code", "confidentiality_review_at_most_every"),
    )
    lists = {name: _read_codes(one, name) for name in CODE_LISTS}
    part3 = one.section(
        "dpa2018_part3",
        required=(*PART3_LISTS, *PART3_WORDS),
        optional=("competent_authority",),
    )
    lists |= {name: _read_codes(part3, name) for name in PART3_LISTS}
    conditions = _read_conditions(one)
    bases = lists["confidentiality_basis"]
    vocabulary = Vocabulary(
        version=one.text("version"),
        lists=lists,
        conditions=conditions,
        powers=_read_powers(one),
        basis_limits=_read_basis_limits(one, lists["ukgdpr_article6"]),
        article9_needs=_read_needs(one, lists["ukgdpr_article9"], conditions),
        opt_out_applies=_read_opt_outs(one, bases),
        review_at_most_every=_read_reviews(one, bases),
        part3_words={name: frozenset(part3.texts(name)) for name in PART3_WORDS},
    )
    if faults:
        raise DocumentInvalid(faults)
    return vocabulary


def read_period(one: Section) -> Period:
    """Read ``in_force_from`` and ``in_force_until``: days, which begin at their London midnight.

    The day of ``in_force_until`` is the first on which it is no longer law.
    """
    from_, until = (_midnight(one.optional_day(name)) for name in _PERIOD)
    if from_ is not None and until is not None and until <= from_:
        one.fault("in_force_until", "contradiction", "it ends before it begins")
    return Period(from_=from_, until=until)


def read_jurisdiction(one: Section) -> frozenset[str]:
    """Read ``jurisdiction``: the nations in which something is law, none for all of them."""
    return frozenset(one.texts("jurisdiction", words=NATIONS))


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), tzinfo=LONDON).astimezone(UTC)


def _read_codes(parent: Section, name: str) -> dict[str, Code]:
    members = parent.free(name)
    holder = parent.section(name, optional=members)
    codes: dict[str, Code] = {}
    for code, value in members.items():
        if value is None or isinstance(value, str):  # always law, as far as the list knows
            codes[code] = Code(code=code, label=value or code)
            continue
        one = holder.section(code, required=("label",), optional=_CODE)
        codes[code] = Code(
            code=code,
            label=one.text("label"),
            in_force=read_period(one),
            jurisdiction=read_jurisdiction(one),
            never_alone=one.flag("never_alone"),
        )
    return codes


def _read_conditions(document: Section) -> Mapping[str, Condition]:
    members = document.free("dpa2018_schedule1")
    holder = document.section("dpa2018_schedule1", optional=members)
    conditions: dict[str, Condition] = {}
    for code in members:
        one = holder.section(
            code,
            required=("part", "label", "apd"),
            optional=("apd_exception", "request_must_state", *_CODE),
        )
        part = one.integer("part", minimum=min(SCHEDULE1_PARTS))
        if part > max(SCHEDULE1_PARTS):
            one.fault("part", "not-one-of", "Part 4 has rules, not conditions")
        conditions[code] = Condition(
            code=code,
            label=one.text("label"),
            in_force=read_period(one),
            jurisdiction=read_jurisdiction(one),
            part=part,
            policy_document=one.flag("apd"),
            spares_disclosure_to_competent_authority=(
                _TO_COMPETENT_AUTHORITY in (one.optional_text("apd_exception") or "")
            ),
            request_must_state={
                name: frozenset(answers)
                for name, answers in one.lists("request_must_state").items()
            },
        )
    return conditions


def _read_powers(document: Section) -> Mapping[str, Power]:
    members = document.free("dea2017_part5")
    holder = document.section("dea2017_part5", optional=members)
    powers: dict[str, Power] = {}
    for code in members:
        one = holder.section(code, required=("chapter", "label", "register"), optional=_CODE)
        powers[code] = Power(
            code=code,
            label=one.text("label"),
            in_force=read_period(one),
            jurisdiction=read_jurisdiction(one),
            chapter=one.integer("chapter", minimum=1),
            registered=one.flag("register"),
        )
    return powers


def _read_basis_limits(document: Section, bases: dict[str, Code]) -> tuple[BasisLimit, ...]:
    """Read the limits; a period in one of them is that of its bases, and is kept with them."""
    limits: list[BasisLimit] = []
    for one in document.sections(
        "ukgdpr_article6_rules", required=("code",), optional=("not_for", "requires", *_PERIOD)
    ):
        if one.given("not_for"):
            one.word("not_for", (PUBLIC_TASKS,))
        codes, period = one.one_or_more("code"), read_period(one)
        for code in codes:
            _known(one, "code", code, bases)
            if code in bases and period != ALWAYS:
                bases[code] = replace(bases[code], in_force=period)
        limits.append(
            BasisLimit(
                codes=frozenset(codes),
                bars_public_authorities=one.given("not_for"),
                requires=one.word("requires", CODE_LISTS) if one.given("requires") else None,
            )
        )
    return tuple(limits)


def _read_needs(
    document: Section, bases: Mapping[str, Code], conditions: Mapping[str, Condition]
) -> Mapping[str, frozenset[str]]:
    """Read which conditions an Art 9 basis needs: a list of codes, or ``any of A6 .. A28``."""
    name = "ukgdpr_article9_needs_sch1"
    members = document.free(name)
    holder = document.section(name, optional=members)
    needs: dict[str, frozenset[str]] = {}
    for basis in members:
        _known(holder, basis, basis, bases)
        codes = holder.one_or_more(basis)
        found = _ANY_OF.fullmatch(codes[0]) if len(codes) == 1 else None
        if found is not None:
            stem, first, last = found.groups()
            spanned = (f"{stem}{number}" for number in range(int(first), int(last) + 1))
            codes = tuple(code for code in spanned if code in conditions)
        for code in codes:
            _known(holder, basis, code, conditions)
        if not codes:
            holder.fault(basis, "too-short", "at least one condition is asked for")
        needs[basis] = frozenset(codes)
    return needs


def _read_opt_outs(document: Section, bases: Mapping[str, Code]) -> Mapping[str, bool]:
    holder = document.section("ndoo_applies", required=bases)
    return {basis: holder.flag(basis) for basis in bases}


def _read_reviews(document: Section, bases: Mapping[str, Code]) -> Mapping[str, Duration]:
    name = "confidentiality_review_at_most_every"
    members = document.free(name)
    holder = document.section(name, optional=members)
    for basis in members:
        _known(holder, basis, basis, bases)
    return {basis: holder.duration(basis) for basis in members}


def _known(one: Section, name: str, code: str, known: Iterable[str]) -> None:
    if code not in known:
        one.fault(name, "unknown-reference", f"there is no code {code!r}{nearest(code, known)}")
