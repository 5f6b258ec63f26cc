"""Statutory gateways as tables: who may share with whom under DEA 2017 s.35, on any day."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from policies.reading import DocumentInvalid, Fault, Section
from policies.vocabulary import ALWAYS, Period, read_period

_PARAGRAPHS: Final = re.compile(r"([1-9][0-9]{0,2})(?:-([1-9][0-9]{0,2}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """Who is specified for an objective over a period: paragraphs of DEA 2017 Sch 4."""

    paragraphs: frozenset[int]
    in_force: Period = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class OnwardBar:
    """The section that bars passing information on, and whether doing so is an offence."""

    section: str
    prohibited: bool
    offence: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecifiedPersons:
    """DEA 2017 s.35: both parties must be specified persons for the same objective.

    An objective has one specification for each period of its law, so that an amendment is a new
    entry and an old agreement is still judged by the old one.
    """

    bodies: Mapping[int, str]
    objectives: Mapping[str, tuple[Specification, ...]]
    onward: OnwardBar

    def has_objective(self, objective: str, at: datetime) -> bool:
        """Whether the objective is one of the law at `at`."""
        return any(one.in_force.covers(at) for one in self.objectives.get(objective, ()))

    def specified(self, objective: str, paragraph: int, at: datetime) -> bool:
        """Whether the body of a Sch 4 paragraph is specified for `objective` at `at`."""
        return any(
            paragraph in one.paragraphs
            for one in self.objectives.get(objective, ())
            if one.in_force.covers(at)
        )


def read_specified_persons(document: object) -> SpecifiedPersons:
    """Read ``legal/dea2017-s35.yaml``; an objective is a list of paragraphs, or of dated entries.

    Raises:
        DocumentInvalid: with every fault of the document.
    """
    faults: list[Fault] = []
    root = Section(
        document,
        (),
        faults,
        required=("schedule4_paragraph", "objective", "onward"),
        optional=("version", "notes"),
    )
    objectives = root.free("objective")
    holder = root.section("objective", optional=objectives)
    onward = root.section("onward", required=("section", "default"), optional=("offence",))
    persons = SpecifiedPersons(
        bodies=_read_bodies(root),
        objectives={name: _read_objective(holder, name, objectives[name]) for name in objectives},
        onward=OnwardBar(
            section=onward.text("section"),
            prohibited=onward.word("default", ("prohibited", "permitted")) == "prohibited",
            offence=onward.flag("offence"),
        ),
    )
    root.optional_text("version")
    root.texts("notes")
    if faults:
        raise DocumentInvalid(faults)
    return persons


def _read_bodies(root: Section) -> Mapping[int, str]:
    members = root.free("schedule4_paragraph")
    holder = root.section("schedule4_paragraph", optional=members)
    bodies: dict[int, str] = {}
    for paragraph in members:
        numbers = _numbers(holder, paragraph, (paragraph,))
        bodies |= dict.fromkeys(numbers, holder.text(paragraph))
    return bodies


def _read_objective(holder: Section, name: str, value: object) -> tuple[Specification, ...]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return (Specification(paragraphs=_numbers(holder, name, holder.texts(name))),)
    period = ("in_force_from", "in_force_until")
    return tuple(
        Specification(
            paragraphs=_numbers(one, "paragraphs", one.texts("paragraphs")),
            in_force=read_period(one),
        )
        for one in holder.sections(name, required=("paragraphs",), optional=("source", *period))
    )


def _numbers(one: Section, name: str, texts: Iterable[str]) -> frozenset[int]:
    """Read paragraphs such as ``6-8`` and ``22`` as the numbers they span."""
    numbers: set[int] = set()
    for text in texts:
        found = _PARAGRAPHS.fullmatch(text)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last:
            one.fault(name, "malformed", f"{text!r} is no paragraph or range of paragraphs")
        numbers.update(range(first, last + 1))
    return frozenset(numbers)
