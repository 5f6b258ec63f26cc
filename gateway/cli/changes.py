"""Changes of the configuration, told to people and to programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.registry.comparison import ABSENT, Difference, differences
from gateway.registry.documents import Configuration, Kind, PlainDocument
from gateway.registry.store import Changes
from policies.reading import place

DIFFERENCES_SHOWN_MAX: Final = 20
"""Differences of one document that a person is shown; programs are told all of them."""
_VALUE_CHARS_MAX: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What an apply would change, with the places in which each changed document differs."""

    changes: Changes
    places: Mapping[tuple[Kind, str], tuple[Difference, ...]]

    @classmethod
    def of(cls, changes: Changes, was: Configuration, will_be: Configuration) -> Comparison:
        """Compare the documents that have changed."""
        before, after = _by_name(was), _by_name(will_be)
        places = {name: tuple(differences(before[name], after[name])) for name in changes.changed}
        return cls(changes=changes, places=places)

    def as_data(self) -> Mapping[str, Any]:
        """Return it as plain values."""
        listed = [
            {
                "document": f"{kind} {key}",
                "differences": [_as_data(difference) for difference in places],
            }
            for (kind, key), places in self.places.items()
        ]
        return {**as_data(self.changes), "changed": listed}

    def sentences(self) -> Iterator[str]:
        """Yield it for a person, a document or a difference a line."""
        if self.changes.nothing:
            yield f"Nothing would change: revision {self.changes.revision} says the same."
            return
        yield f"Against revision {self.changes.revision}:"
        yield from _listed("added", self.changes.added)
        for name in self.changes.changed:
            yield from _listed("changed", (name,))
            places = self.places[name]
            for difference in places[:DIFFERENCES_SHOWN_MAX]:
                where = place(difference.pointer)
                yield f"    {where}: {_told(difference.was)} → {_told(difference.will_be)}"
            if len(places) > DIFFERENCES_SHOWN_MAX:
                yield f"    … and {len(places) - DIFFERENCES_SHOWN_MAX} places more (--json)"
        yield from _listed("removed", self.changes.removed)


def as_data(changes: Changes) -> Mapping[str, Any]:
    """Return changes as plain values for programs."""
    return {
        "revision": changes.revision,
        "digest": changes.digest,
        "added": [f"{kind} {key}" for kind, key in changes.added],
        "changed": [f"{kind} {key}" for kind, key in changes.changed],
        "removed": [f"{kind} {key}" for kind, key in changes.removed],
    }


def applied_sentences(changes: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was applied, for a person; `changes` are those of `as_data`."""
    words = ("added", "changed", "removed")
    if not any(changes[word] for word in words):
        yield f"Nothing was changed: revision {changes['revision']} says the same already."
        return
    counts = ", ".join(f"{len(changes[word])} {word}" for word in words if changes[word])
    yield f"Revision {changes['revision']}: {counts}."
    for word in words:
        for name in changes[word]:
            yield f"  {word:8} {name}"
    yield "On record in the audit log: concordat audit search --kind admin.change"


def _by_name(configuration: Configuration) -> Mapping[tuple[Kind, str], PlainDocument]:
    return {(kind, key): document for kind, key, document in configuration.documents()}


def _listed(word: str, names: tuple[tuple[Kind, str], ...]) -> Iterator[str]:
    for kind, key in names:
        yield f"  {word:8} {kind} {key}"


def _as_data(difference: Difference) -> Mapping[str, Any]:
    told: dict[str, Any] = {"at": list(difference.pointer)}
    if difference.was is not ABSENT:
        told["was"] = difference.was
    if difference.will_be is not ABSENT:
        told["will_be"] = difference.will_be
    return told


def _told(value: object) -> str:
    if value is ABSENT:
        return "absent"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE_CHARS_MAX else f"{text[:_VALUE_CHARS_MAX]}…"
