"""The tables of docs/agreements.md, made from the model, the closed words and the glossary."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from policies.decision import ALERTING_REASONS, Decision, ReasonCode, Verdict, status_of
from policies.explain import detail_of
from policies.glossary import When, meaning_of
from policies.schema import STRICTER
from policies.shape import Kind, Member, agreement_shape, walk

_BLOCK: Final = re.compile(
    r"(<!-- table: (?P<name>[a-z_.\[\]]+) -->\n)(?:(?!<!--).)*(<!-- end of table -->)", re.DOTALL
)
_ENFORCED: Final[Mapping[When, str]] = {
    When.CALL: "every call",
    When.WRITING: "writing",
    When.AFTER: "afterwards",
    When.RECORD: "record only",
}


class UnknownTable(Exception):
    """A document asks for a table that is not made here."""


def with_tables(text: str) -> str:
    """Return a Markdown text with every table between its markers made anew.

    ``<!-- table: term -->`` asks for the members of a section; other names are in `_TABLES`.

    Raises:
        UnknownTable: the text names a table that there is not.
    """
    return _BLOCK.sub(lambda found: f"{found[1]}\n{_table(found['name'])}\n\n{found[3]}", text)


def table_names(text: str) -> tuple[str, ...]:
    """Return the tables that a text asks for, in order."""
    return tuple(found["name"] for found in _BLOCK.finditer(text))


def section_names() -> tuple[str, ...]:
    """Return every section that has members, the document itself as ``agreement``."""
    sections = dict.fromkeys(_section(path) for path, _ in walk(agreement_shape()))
    return tuple(section or "agreement" for section in sections)


def _table(name: str) -> str:
    if name in _TABLES:
        return "\n".join(_TABLES[name]())
    if name not in section_names():
        raise UnknownTable(name)
    return "\n".join(_members("" if name == "agreement" else name))


def _members(section: str) -> Iterator[str]:
    yield "| Field | What it is | What it means | Enforced | How |"
    yield "| --- | --- | --- | --- | --- |"
    for path, member in walk(agreement_shape()):
        if _section(path) != section:
            continue
        said = meaning_of(path)
        name = path.removeprefix(section).lstrip(".")
        when = ", ".join(_ENFORCED[one] for one in said.when)
        needed = "" if member.required else " (may be left out)"
        row = (f"`{name}`{needed}", _what(member), said.meaning, when, said.how)
        yield f"| {' | '.join(row)} |"


def _section(path: str) -> str:
    return path.rpartition(".")[0]


def _what(member: Member) -> str:
    shape = member.shape
    item = shape.item
    if item is not None:
        several = "list of objects" if item.kind is Kind.OBJECT else f"list of {item.kind.value}s"
        text = f"list of: {_words(item.words)}" if item.words else several
        least = f", at least {shape.size_min}" if shape.size_min else ""
        return text + least
    text = f"one of: {_words(shape.words)}" if shape.words else shape.kind.value
    return f"{text}, or null" if member.nullable else text


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _reasons() -> Iterator[str]:
    yield "| Reason | Status | What the caller reads | Alert |"
    yield "| --- | --- | --- | --- |"
    for reason in ReasonCode:
        if reason is ReasonCode.OK:
            continue
        said = detail_of(Decision(verdict=Verdict.DENY, reason=reason))
        alert = "yes" if reason in ALERTING_REASONS else "no"
        yield f"| `{reason.value}` | {status_of(reason)} | {said} | {alert} |"


def _stricter() -> Iterator[str]:
    yield "| Where | What is asked |"
    yield "| --- | --- |"
    for place, what in STRICTER.items():
        shown = place if " " in place else f"`{place}`"
        yield f"| {shown} | {what} |"


_TABLES: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "reasons": _reasons,
    "stricter": _stricter,
}
