"""One FHIR resource narrowed to the values that may leave, so that everybody sees that it was.

A field is named by the path of a value in FHIR's JSON, lists passed over: ``Patient.name.family``,
``Observation.valueQuantity.value``. What has no such name does not leave: other elements, the
narrative, contained resources and extensions, whatever they say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from gateway.exchange.duties.fhir_required import REQUIRED, Required
from gateway.exchange.duties.record_layouts import read_members, text_of

DEPTH_MAX: Final = 24
"""Structures inside structures of one resource; FHIR's own elements have a handful."""

ABSENT_REASON: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
"""The extension that says why a value is absent (FHIR R4 §2.1.14)."""
MASKED: Final = {"extension": [{"url": ABSENT_REASON, "valueCode": "masked"}]}
"""What stands for an element that is withheld but may not be missing: "the information is not
available due to security, privacy or related reasons" (HL7 CodeSystem data-absent-reason)."""
SUBSETTED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}
"""The tag of a resource that is not complete, so that nobody writes it back (R4 §3.1.1.5.9)."""

_ABSENT_REASONS: Final = frozenset(
    {
        *("unknown", "asked-unknown", "temp-unknown", "not-asked", "asked-declined", "masked"),
        *("not-applicable", "unsupported", "as-text", "error", "not-a-number"),
        *("negative-infinity", "positive-infinity", "not-performed", "not-permitted"),
    }
)
_NEVER: Final = frozenset({"resourceType", "contained", "extension"})
_MEANING: Final = frozenset({"modifierExtension", "implicitRules"})
"""Elements that can turn the meaning of the others round; they must not be lost unseen."""
_OF_EVERY_RESOURCE: Final = frozenset({"id", "meta", "language", "text"})
_REFERENCE: Final = re.compile(
    r"(?:https?://\S+/)?([A-Z][A-Za-z]{1,63})/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?"
)
_OBJECT: Final = ord("{")
_LIST: Final = ord("[")
_NULL: Final = ord("n")
_STRING: Final = ord('"')

_read_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_text: Final = msgspec.json.Decoder(str).decode

Members = Mapping[str, msgspec.Raw]
"""An object's members, each as it came."""


class FhirUnreadable(Exception):
    """The bytes are no resource of which all is understood; the message holds nothing of it."""


class Narrowing:
    """Narrows resources to `permitted` values, and keeps count of the names that they had.

    `declared` are all names of the agreement. A reference tells an id: where the id of what it
    points to is declared and not permitted, it stays.
    """

    __slots__ = ("_declared", "returned", "sent")

    def __init__(self, declared: frozenset[str]) -> None:
        """Begin with no names."""
        self._declared: Final = declared
        self.returned: Final[set[str]] = set()
        self.sent: Final[set[str]] = set()

    def narrow(self, kind: str, members: Members, permitted: frozenset[str]) -> dict[str, object]:
        """Return what may leave of a resource of type `kind`, marked as incomplete.

        Raises:
            FhirUnreadable: a name that may leave stands for a structure, an element is there that
                may change the meaning of others, or the metadata have not FHIR's form.
        """
        kept = self._object(kind, members, permitted, 0)
        meta = kept.pop("meta", {})
        tags = meta.get("tag", []) if isinstance(meta, dict) else None
        if not (isinstance(meta, dict) and isinstance(tags, list)):
            raise FhirUnreadable("metadata to which no tag can be added")
        return {"resourceType": kind, "meta": {**meta, "tag": [*tags, SUBSETTED]}, **kept}

    def _object(
        self, path: str, members: Members, permitted: frozenset[str], depth: int
    ) -> dict[str, object]:
        if depth > DEPTH_MAX:
            raise FhirUnreadable("too deep")
        kept: dict[str, object] = {}
        for name, value in members.items():
            if name in _MEANING:
                raise FhirUnreadable("an element that may change the meaning of others")
            if name in _NEVER or (depth == 0 and name == "text"):
                continue
            if name.startswith("_"):
                why = _why_absent(value) if f"{path}.{name[1:]}" in permitted else None
                if why is not None:
                    kept[name] = why
                continue
            child = self._value(f"{path}.{name}", name, value, permitted, depth)
            if child is not None:
                kept[name] = child
        if kept or depth == 0:
            for required in REQUIRED.get(path, ()):
                if not required.is_among(kept):
                    kept |= _masked(required)
        return kept

    def _value(
        self, path: str, name: str, value: msgspec.Raw, permitted: frozenset[str], depth: int
    ) -> object:
        """Return what may leave of one value, or None; FHIR has no list in a list."""
        first = bytes(value)[0]
        if first == _LIST:
            return self._items(path, name, value, permitted, depth)
        if first == _OBJECT:
            return self._structure(path, value, permitted, depth)
        if first == _NULL:
            raise FhirUnreadable("null where FHIR has none")
        if path.split(".", 2)[1] not in _OF_EVERY_RESOURCE:
            self.returned.add(path)
        if path not in permitted or (name == "reference" and self._tells_id(value, permitted)):
            return None
        self.sent.add(path)
        return value

    def _items(
        self, path: str, name: str, value: msgspec.Raw, permitted: frozenset[str], depth: int
    ) -> object:
        items: list[object] = []
        for one in _read_list(value):
            first = bytes(one)[0]
            if first == _LIST:  # each would be read anew at every level
                raise FhirUnreadable("a list in a list, which FHIR has not")
            item = None if first == _NULL else self._value(path, name, one, permitted, depth)
            if item is not None:
                items.append(item)
        return items or None

    def _structure(
        self, path: str, value: msgspec.Raw, permitted: frozenset[str], depth: int
    ) -> object:
        if path in permitted:
            raise FhirUnreadable("a structure where a value may leave")
        why = _why_absent(value)
        if why is not None:
            return why if any(name.startswith(f"{path}.") for name in permitted) else None
        return self._object(path, read_members(value), permitted, depth + 1) or None

    def _tells_id(self, value: msgspec.Raw, permitted: frozenset[str]) -> bool:
        """Whether a reference would tell an id that is withheld, or points nobody can say where."""
        if bytes(value)[0] != _STRING:
            raise FhirUnreadable("a reference that is no text")
        found = _REFERENCE.fullmatch(_read_text(value))
        if found is None:
            return True
        identifier = f"{found[1]}.id"
        return identifier in self._declared and identifier not in permitted


def text_at(kind: str, members: Members, path: str) -> str | None:
    """Return the one value that a resource of type `kind` has at `path`, as text.

    None where there is none, or more than one: which of them counts cannot be told.
    """
    first, *names = path.split(".")
    if first != kind:
        return None
    found = set(_texts(members, names))
    return found.pop() if len(found) == 1 else None


def _texts(members: Members, names: list[str]) -> Iterator[str | None]:
    value = members.get(names[0]) if names else None
    if value is None:
        return
    for one in _read_list(value) if bytes(value)[0] == _LIST else [value]:
        if len(names) == 1:
            yield text_of(one)
        elif bytes(one)[0] == _OBJECT:
            yield from _texts(read_members(one), names[1:])
        else:
            yield None


class _Why(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    valueCode: str  # noqa: N815 - FHIR's own word


class _Absence(msgspec.Struct, forbid_unknown_fields=True):
    extension: list[_Why]


_read_absence: Final = msgspec.json.Decoder(_Absence).decode


def _why_absent(value: msgspec.Raw) -> _Absence | None:
    """Return the service's own word that, and why, a value is absent; None where it is not that.

    What was read is sent, not the bytes: they may give a member twice, and only the last is judged.
    """
    try:
        said = _read_absence(value)
    except msgspec.ValidationError:
        return None
    one = said.extension
    known = len(one) == 1 and one[0].url == ABSENT_REASON and one[0].valueCode in _ABSENT_REASONS
    return said if known else None


def _masked(required: Required) -> dict[str, object]:
    """Return the member that stands for a required element that is withheld."""
    if required.structured:
        return {required.name: [MASKED] if required.repeats else MASKED}
    return {f"_{required.name}": [MASKED] if required.repeats else MASKED}
