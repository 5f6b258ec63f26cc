"""What a record can be found by: words that it says in clear, and people and names as tags."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.audit.entry import INTEGER_MAX, Kind
from gateway.audit.people import normalise

EXCHANGE: Final = "exchange"
"""The word under `kind` of what a list of exchanges begins with: permits and refusals."""

# Members of `core` that are words by themselves, under the name that a search has for each.
_WORDS: Final[Mapping[str, str]] = {
    "agreement": "agreement",
    "agreement_version": "version",
    "agreement_digest": "digest",
    "rule": "rule",
    "purpose": "purpose",
    "decision": "decision",
    "service": "service",
    "dataset": "dataset",
    "route": "route",
    "method": "method",
    "action": "action",
    "subject_view": "subject_view",
    "register": "register",
    "consumer": "consumer",
    "provider": "provider",
    "problem": "problem",
    "verb": "verb",
    "note": "note",
    "about": "about",
}
_LISTS: Final[Mapping[str, str]] = {
    "exemptions": "exemption",
    "data_classes": "data_class",
    "exchanges": "about",
}
_FIGURES: Final = ("records", "subjects", "records_dropped", "bytes")
"""The members of `core` that make `Figures`."""
_CHANGED: Final = ("added", "changed", "removed")
# What the caller has a reference of its own for: each is found as a case reference.
_CASES: Final = ("case_reference", "decision_ref", "operation_ref")
_BEGINNINGS: Final = frozenset({Kind.INTENT, Kind.DENY})
_ENDINGS: Final = frozenset({Kind.OUTCOME, Kind.INDETERMINATE, Kind.LATE_OUTCOME})
_NAMING: Final = frozenset({"actor", "net", "payload", "subject"})
# What an answer's payload holds are digests and what was released.
_NAMING_AT_THE_END: Final = _NAMING - {"payload"}
WORDS_REMEMBERED_MAX: Final = 16_384
"""Words whose numbers are kept at hand."""
OWN: Final = frozenset({
    "bytes", "decided_at", "duration_us", "inputs_digest", "intent", "intent_leaf", "records",
    "records_dropped", "redacted_subjects", "subjects", "trace_id",
})  # fmt: skip
"""Members of `core` in which records differ that say the same otherwise."""
# Words that nearly every record has one of its own of: nothing is counted by them.
UNCOUNTED: Final = frozenset({"trace", "about", "document"})


class What(IntEnum):
    """What a tag stands for; the numbers are stored."""

    PERSON = 1
    CLIENT = 2
    ACTOR = 3
    SOURCE = 4
    TOKEN = 5
    CASE = 6


TAGGED: Final[Mapping[What, str]] = {
    What.CLIENT: "_client",
    What.ACTOR: "_actor",
    What.SOURCE: "_source",
    What.TOKEN: "_token",
    What.CASE: "_case",
}
"""The types under which names are tagged; no person's type begins with an underscore."""


class Named(NamedTuple):
    """Something to be tagged: what it stands for, its type, and its value in clear."""

    what: What
    id_type: str
    value: str


class Figures(NamedTuple):
    """How much an exchange disclosed: rows, people, rows that were dropped, octets."""

    records: int
    people: int
    dropped: int
    octets: int


def number_of(name: str, value: str) -> int:
    """Return the number of a word: the first 64 bits of a digest.

    Of a million words two share a number with a chance of 3 in 100 million.
    """
    digest = hashlib.sha256(f"{name}\0{value}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@lru_cache(maxsize=WORDS_REMEMBERED_MAX)
def term_of(name: str, value: str) -> int:
    """Return `number_of` a word that is likely to be asked for again."""
    return number_of(name, value)


def own_words_of(shared: Mapping[str, object], own: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the words, each with its name, for which a core's members in `OWN` must be known."""
    trace, until, at = own.get("trace_id"), shared.get("instrument_until"), own.get("decided_at")
    words = [("trace", trace)] if isinstance(trace, str) else []
    if isinstance(until, int) and isinstance(at, int) and at >= until:
        words.append(("instrument_ended", "true"))
    return words


def shared_words_of(kind: Kind | None, core: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the words, each with its name, in which no member in `OWN` has a part.

    Records that differ in those alone share them.
    """
    if kind is not None:
        yield "kind", kind.value
    # A record that cannot tell its kind is listed where it is looked at, not hidden.
    if kind is None or kind in _BEGINNINGS:
        yield "kind", EXCHANGE
    if kind is not None and kind in _ENDINGS:
        yield "ended", kind.value
    for member, name in _WORDS.items():
        value = core.get(member)
        if isinstance(value, str | int) and not isinstance(value, bool):
            yield name, str(value)
            if name in ("consumer", "provider"):
                yield "organisation", str(value)
    if isinstance(core.get("opt_out"), bool):
        yield "opt_out", str(core["opt_out"]).lower()
    for member, name in _LISTS.items():
        yield from ((name, value) for value in _texts(core.get(member)))
    yield from _of_the_answer(kind, core)
    yield from _of_the_law(core)
    yield from _of_a_change(core)


def _of_the_answer(kind: Kind | None, core: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    status, reason = core.get("status"), core.get("reason")
    if isinstance(status, int):
        yield "status", str(status)
    # What an intent says is not yet how the exchange ended.
    if isinstance(reason, str) and kind is not Kind.INTENT:
        yield "reason", reason
    if isinstance(core.get("method"), str) and isinstance(core.get("route"), str):
        yield "operation", f"{core['method']} {core['route']}"
    for mark in ("alert", "break_glass", "end_unproved"):
        if core.get(mark) is True:
            yield mark, "true"
    if core.get("fields_never"):
        yield "leak", "true"


def _of_the_law(core: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    instrument = core.get("instrument")
    if isinstance(instrument, str):
        yield "instrument", instrument
        yield "instrument", instrument.rpartition("@")[0] or instrument


def _of_a_change(core: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for way in _CHANGED:
        for document in _texts(core.get(way)):
            yield "document", document
            kind, _, key = document.partition(" ")
            if kind == "agreement":
                yield "agreement", key


def naming(kind: Kind | None) -> Collection[str]:
    """Return the names of the sections in which a record of this kind may name somebody."""
    return _NAMING_AT_THE_END if kind in _ENDINGS else _NAMING


def named_in(sections: Mapping[str, object]) -> Iterator[Named]:
    """Yield whom and what a record's opened sections name; what was erased names nobody."""
    actor, net = _section(sections, "actor"), _section(sections, "net")
    yield from _named(What.CLIENT, actor.get("client") or actor.get("client_id"))
    yield from _named(What.ACTOR, actor.get("subject") or actor.get("principal"))
    yield from _named(What.TOKEN, actor.get("token_id_digest"))
    yield from _named(What.SOURCE, net.get("source"))
    context = _section(_section(sections, "payload"), "context")
    for name in _CASES:
        value = context.get(name)
        if isinstance(value, str):
            yield from _named(What.CASE, normalise("case", value))
    subject = _section(sections, "subject")
    id_type = subject.get("type")
    for identifier in _texts(subject.get("ids")):
        id_text = str(id_type or "record")
        yield Named(What.PERSON, id_text, normalise(id_text, identifier))


def figures_of(core: Mapping[str, object]) -> Figures:
    """Return how much an outcome says was disclosed; ValueError for what no record may hold."""
    said = [core.get(name) for name in _FIGURES]
    found = [value if isinstance(value, int) else 0 for value in said]
    if min(found) < 0 or max(found) > INTEGER_MAX:
        raise ValueError("nothing so large, or less than nothing, is disclosed")
    return Figures(*found)


def _named(what: What, value: object) -> Iterator[Named]:
    if isinstance(value, str) and value:
        yield Named(what, TAGGED[what], value)


def _section(sections: Mapping[str, object], name: str) -> Mapping[str, object]:
    section = sections.get(name)
    return section if isinstance(section, dict) else {}


def _texts(value: object) -> Iterable[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else ()
