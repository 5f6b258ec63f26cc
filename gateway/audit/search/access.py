"""Readings of the log: what it may be read for, the record that each leaves, what a list shows.

Everything that lets a person read the log goes through here, so that no way in asks for less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final, Protocol

from gateway.audit.entry import Kind, Record
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.people import PersonTags
from gateway.audit.place import LogHome, Place
from gateway.audit.reading.reader import find_log, find_shards
from gateway.audit.search.across import find_across
from gateway.audit.search.query import Filters, Page, View, seek_person, show
from gateway.audit.store import Position
from gateway.clock import new_uuid7, system_time_us, uuid_text

NOT_FOUND: Final = (
    "is not in the log: a refused stranger may have been counted, not recorded one by one"
)
"""What to say of an identifier that leads to no record (docs/decisions/0005)."""


class Use(StrEnum):
    """Why somebody reads the log; the law knows these uses and no others (DPA 2018, s.62(4))."""

    VERIFY_LAWFULNESS = "verify_lawfulness"
    SELF_MONITORING = "self_monitoring"
    INTEGRITY_AND_SECURITY = "integrity_and_security"
    CRIMINAL_PROCEEDINGS = "criminal_proceedings"


class Via(StrEnum):
    """The way in: the control listener's API, or the command line on the gateway's own machine."""

    API = "api"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who reads the log: the principal that was signed in, or the user of the operating system."""

    principal: str
    via: Via


class AccessLog(Protocol):
    """Where readings of the log are recorded; the audit log itself."""

    async def append(self, record: Record) -> Position:
        """Make a record durable; raises LogUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReader:
    """The audit log's read side: where its shards are, and the keys that open personal sections."""

    directory: LogHome
    keys: LogKeys

    def place(self) -> Place:
        """Return the newest shard; raises LogUnavailable where there is none."""
        return find_log(self.directory)

    def find(self, filters: Filters, *, cursor: int | None, limit: int) -> Page:
        """Return a page of exchanges of all shards, without personal sections: a list needs none.

        Raises LogUnavailable where a shard cannot be read.
        """
        return find_across(self.directory, filters, cursor=cursor, limit=limit, keys=self.keys)

    def seek(self, unverified: str) -> PersonTags:
        """Return the tags of somebody given as ``type:value``; raises PersonInvalid."""
        return seek_person(unverified, self.keys)

    def show(self, identifier: bytes) -> View | None:
        """Return one exchange with everything that was not erased, of whichever shard, or None."""
        for path in (self.place(), *reversed(find_shards(self.directory)[:-1])):
            found = show(path, identifier, keys=self.keys)
            if found is not None:
                return found
        return None


def find_record(reader: Reader, use: Use, filters: Filters, *, verb: str = "find") -> Record:
    """Return the record that `reader` searches the log, or counts what a search finds.

    What is looked for may be about a person, so that `core`, which is clear, names the filters
    alone; their values are sealed. Of a person even the sealed value is a tag.
    """
    asked = {
        field.name: str(value) if isinstance(value, PersonTags) else value
        for field in fields(filters)
        if (value := getattr(filters, field.name)) is not None
    }
    return _record(reader, use, {"verb": verb, "filters": sorted(asked)}, asked)


def show_record(reader: Reader, use: Use, identifier: bytes) -> Record:
    """Return the record that `reader` opens one exchange, or one record of no exchange."""
    return _record(reader, use, {"verb": "show", "exchange": uuid_text(identifier)}, {})


def prove_record(reader: Reader, use: Use, identifier: bytes | int) -> Record:
    """Return the record that `reader` has an exchange, or the record at an index, proved."""
    known = uuid_text(identifier) if isinstance(identifier, bytes) else None
    what = {"index": identifier} if known is None else {"exchange": known}
    return _record(reader, use, {"verb": "prove", **what}, {})


def mirror_record(reader: Reader, shard: str) -> Record:
    """Return the record that `reader` fetches a shard's entries, which name nobody, in bulk."""
    what: dict[str, object] = {"verb": "mirror", "shard": shard}
    return _record(reader, Use.INTEGRITY_AND_SECURITY, what, {})


def look_record(reader: Reader, verb: str, asked: Mapping[str, object]) -> Record:
    """Return the record that `reader` looks at what an erasure or a hold is to touch."""
    return _record(reader, Use.VERIFY_LAWFULNESS, {"verb": verb}, asked)


def _record(
    reader: Reader, use: Use, what: Mapping[str, object], asked: Mapping[str, object]
) -> Record:
    sections: dict[str, Mapping[str, object]] = {
        "core": {**what, "use": use.value},
        "actor": {"principal": reader.principal, "via": reader.via.value},
    }
    if asked:
        sections["payload"] = asked
    return Record(
        record_id=new_uuid7(),
        kind=Kind.ACCESS,
        exchange=None,
        at_us=system_time_us(),
        sections=sections,
    )
