"""Legal instruments as versioned values, and which version an exchange relies on at an instant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from policies.reading import DocumentInvalid, Fault, Section
from policies.statutes import SpecifiedPersons
from policies.times import LATEST, Duration
from policies.vocabulary import Vocabulary

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentVersion:
    """One version of an instrument; it is in force from `from_` until just before `until`."""

    version: int
    from_: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A legal instrument: one object, on which many agreements stand.

    Extending a notice adds a version here and edits no agreement; each audit record keeps the
    version that it relied on. `versions` are ordered, oldest first.
    """

    id: str
    title: str
    gateway: str
    purposes: frozenset[str]
    versions: tuple[InstrumentVersion, ...]
    objective: str | None = None
    review_at_most_every: Duration | None = None
    register_entry_required: bool = False

    def in_force(self, at: datetime) -> InstrumentVersion | None:
        """Return the oldest version in force at `at`, or None."""
        for version in self.versions:
            if version.from_ <= at and (version.until is None or at < version.until):
                return version
        return None

    def last_ended(self, at: datetime) -> InstrumentVersion | None:
        """Return the version that ended last before `at`, or None."""
        ended = [one for one in self.versions if one.until is not None and one.until <= at]
        return max(ended, key=lambda one: one.until or LATEST, default=None)


class Reliance(NamedTuple):
    """The instrument that a purpose stands on at an instant, and whether it is in force."""

    instrument: Instrument
    version: InstrumentVersion | None
    in_force: bool

    @property
    def text(self) -> str | None:
        """``ID@version``, or None where no version has begun."""
        return None if self.version is None else f"{self.instrument.id}@{self.version.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """The table of legal instruments, by id; an input to every decision."""

    instruments: Mapping[str, Instrument]

    def reliance(self, ids: Iterable[str], purpose: str, at: datetime) -> Reliance | None:
        """Return what `purpose` stands on: the first of `ids` that covers it and is in force.

        If none is in force, it is the first that covers it, with the version that ended last;
        None where no instrument of the table covers the purpose.
        """
        first: Instrument | None = None
        for one in ids:
            instrument = self.instruments.get(one)
            if instrument is None or purpose not in instrument.purposes:
                continue
            version = instrument.in_force(at)
            if version is not None:
                return Reliance(instrument, version, True)
            first = first or instrument
        if first is None:
            return None
        return Reliance(first, first.last_ended(at), False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lawbook:
    """All the law that an agreement is written under: code lists, statutory tables, instruments."""

    vocabulary: Vocabulary
    specified: SpecifiedPersons
    law: Law


def read_instruments(document: object) -> tuple[Instrument, ...]:
    """Read ``legal/instruments.yaml``: ``{"instruments": [...]}``.

    Raises:
        DocumentInvalid: with every fault of the document.
    """
    faults: list[Fault] = []
    root = Section(document, (), faults, required=("instruments",))
    found = root.sections(
        "instruments",
        required=("id", "title", "gateway", "purposes", "versions"),
        optional=("objective", "review_at_most_every", "register_entry_required"),
    )
    instruments = tuple(_read_instrument(one) for one in found)
    ids = [instrument.id for instrument in instruments]
    for one, instrument in zip(found, instruments, strict=True):
        if ids.count(instrument.id) > 1:
            one.fault("id", "duplicate", f"{instrument.id!r} is there twice")
    if faults:
        raise DocumentInvalid(faults)
    return instruments


def _read_instrument(one: Section) -> Instrument:
    versions: list[InstrumentVersion] = []
    for each in one.sections("versions", required=("version", "from", "until")):
        until = each.nullable_instant("until")
        version = InstrumentVersion(
            version=each.integer("version", minimum=1),
            from_=each.instant("from").astimezone(UTC),
            until=None if until is None else until.astimezone(UTC),
        )
        if version.until is not None and version.until <= version.from_:
            each.fault("until", "contradiction", "the version ends before it begins")
        if any(version.version == other.version for other in versions):
            each.fault("version", "duplicate", f"version {version.version} is there twice")
        versions.append(version)
    return Instrument(
        id=one.text("id", pattern=_ID),
        title=one.text("title"),
        gateway=one.text("gateway"),
        purposes=frozenset(one.texts("purposes")),
        versions=tuple(sorted(versions, key=lambda version: (version.from_, version.version))),
        objective=one.optional_text("objective"),
        review_at_most_every=one.optional_duration("review_at_most_every"),
        register_entry_required=one.flag("register_entry_required"),
    )
