"""Whether the sections of an agreement fit together: every reference meets what it names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from policies.agreement import Agreement, Dataset, Rule
from policies.decision import PUBLIC
from policies.reading import Fault, Pointer, nearest

_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*")
_BY_DECISION: Final = frozenset({"single_use_decision", "fields_limited_to_decision"})
"""Obligations to keep to a recorded decision, which is about what the request holds."""
_JSON: Final = re.compile(r"[/+]json$")


def incoherences(agreement: Agreement) -> list[Fault]:
    """Return every contradiction and every reference to something that is not there."""
    faults: list[Fault] = []
    _refuse_repeats(faults, ("parties",), "ref", [party.ref for party in agreement.parties])
    _refuse_repeats(faults, ("data",), "dataset", [data.dataset for data in agreement.datasets])
    _refuse_repeats(faults, ("access", "rules"), "id", [rule.id for rule in agreement.rules])
    if not any("provider" in party.roles for party in agreement.parties):
        _note(faults, ("parties",), "contradiction", "no party is the provider")
    for position, code in enumerate(agreement.purpose.prohibited):
        if code in agreement.purpose.codes:
            pointer = ("purpose", "prohibited", position)
            _note(faults, pointer, "contradiction", f"{code!r} is both permitted and prohibited")
    term = agreement.term
    if term.end is not None and term.end <= term.start:
        _note(faults, ("term", "end"), "contradiction", "the agreement ends before it starts")
    for number, data in enumerate(agreement.datasets):
        names = [field.name for field in data.fields]
        _refuse_repeats(faults, ("data", number, "fields"), "name", names)
    datasets = {data.dataset: data for data in agreement.datasets}
    for number, rule in enumerate(agreement.rules):
        _check_rule(faults, agreement, rule, ("access", "rules", number), datasets)
    ids = [rule.id for rule in agreement.rules]
    if agreement.break_glass is not None:
        where = ("access", "break_glass", "rules")
        _check_names(faults, where, agreement.break_glass.rules, ids, "a rule")
    if agreement.feedback is not None and agreement.feedback.rule is not None:
        _check_name(faults, ("feedback", "rule"), agreement.feedback.rule, ids, "a rule")
    return faults


def _check_rule(
    faults: list[Fault],
    agreement: Agreement,
    rule: Rule,
    pointer: Pointer,
    datasets: dict[str, Dataset],
) -> None:
    refs = [party.ref for party in agreement.parties]
    _check_name(faults, (*pointer, "party"), rule.party, refs, "a party of this agreement")
    purposes = (*pointer, "purposes")
    codes = agreement.purpose.codes
    _check_names(faults, purposes, rule.purposes, codes, "a purpose of this agreement")
    for name in ("methods", "purposes"):
        if not getattr(rule, name):
            _note(faults, (*pointer, name), "too-short", "at least one is asked for")
    if rule.actor.mode == "public" and rule.party != PUBLIC:
        where = (*pointer, "actor", "mode")
        _note(faults, where, "contradiction", "mode public asks for the party 'public'")
    _check_unread(faults, rule, pointer)
    if rule.dataset is not None:
        dataset, where = datasets.get(rule.dataset), (*pointer, "dataset")
        _check_name(faults, where, rule.dataset, datasets, "a dataset of this agreement")
        if dataset is not None:
            _check_fields(faults, rule, (*pointer, "fields_allowed"), dataset)


def _check_unread(faults: list[Fault], rule: Rule, pointer: Pointer) -> None:
    """A file that is not read cannot be held against a clause about what a request holds."""
    for position, name in enumerate(rule.body_media_types_allowed):
        where = (*pointer, "body_media_types_allowed", position)
        if _MEDIA_TYPE.fullmatch(name) is None:
            _note(faults, where, "malformed", "a media type in small letters, without parameters")
        elif _JSON.search(name):
            _note(faults, where, "contradiction", "JSON is always read: body_fields_allowed rules")
    if not rule.body_media_types_allowed:
        return
    message = "cannot be kept where body_media_types_allowed lets files through unread"
    if rule.filter_values:
        _note(faults, (*pointer, "filter_values"), "contradiction", message)
    for name in ("records_per_response", "subjects_per_day"):
        if getattr(rule.limits, name) is not None:
            _note(faults, (*pointer, "limits", name), "contradiction", message)
    for position, name in enumerate(rule.obligations):
        if name in _BY_DECISION:
            _note(faults, (*pointer, "obligations", position), "contradiction", message)


def _check_fields(faults: list[Fault], rule: Rule, pointer: Pointer, dataset: Dataset) -> None:
    declared = {field.name: field.never for field in dataset.fields}
    for position, name in enumerate(rule.fields_allowed or ()):
        where = (*pointer, position)
        _check_name(faults, where, name, declared, f"a field of {dataset.dataset!r}")
        if declared.get(name):
            _note(faults, where, "contradiction", f"{name!r} is marked never to be shared")


def _check_names(
    faults: list[Fault], pointer: Pointer, names: Iterable[str], known: Iterable[str], what: str
) -> None:
    known = tuple(known)
    for position, name in enumerate(names):
        _check_name(faults, (*pointer, position), name, known, what)


def _check_name(
    faults: list[Fault], pointer: Pointer, name: str, known: Iterable[str], what: str
) -> None:
    if name not in known:
        message = f"{name!r} is not {what}{nearest(name, known)}"
        _note(faults, pointer, "unknown-reference", message)


def _refuse_repeats(faults: list[Fault], pointer: Pointer, key: str, names: list[str]) -> None:
    for position, name in enumerate(names):
        if name in names[:position]:
            _note(faults, (*pointer, position, key), "duplicate", f"{name!r} is there twice")


def _note(faults: list[Fault], pointer: Pointer, code: str, message: str) -> None:
    faults.append(Fault(pointer=pointer, code=code, message=message))
