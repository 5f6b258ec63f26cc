"""What a log must hold, kept in plain Python: what was begun, ended, claimed, held and erased.

The model reads no table of the log's state. It learns of a record from the log itself, and only
takes one that it expects: one that was handed in and not refused, or one of the kinds that the log
writes by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.audit.entry import Kind, Record
from gateway.audit.holds import Hold
from gateway.audit.lifecycle.sweep import EXCHANGE_AGE_MAX_S
from gateway.audit.people import Person
from gateway.audit.privacy.erasable import Selection
from gateway.audit.seal import DAY_US
from gateway.audit.store import Claim, CounterChange

OWN_KINDS: Final = frozenset({Kind.OPEN, Kind.SEAL, Kind.INDETERMINATE, Kind.ERASURE})
"""What the log's own parts write; every other record was handed in by the test."""
ENDINGS: Final = frozenset({Kind.OUTCOME, Kind.INDETERMINATE})
SUBJECT: Final = "subject"
EXCHANGE_AGE_MAX_US: Final = EXCHANGE_AGE_MAX_S * 1_000_000
NEVER_US: Final = 1 << 62
"""When the tests' claims expire, if they do not at once."""

Sections = dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A record that was handed in, by whom, and what was to change with it."""

    record: Record
    instance: str
    claims: tuple[Claim, ...] = ()
    releases: tuple[bytes, ...] = ()
    counters: tuple[CounterChange, ...] = ()
    added: Hold | None = None
    released: Hold | None = None


@dataclass(frozen=True, kw_only=True)
class Line:
    """A record that a shard holds for ever, and what it said before anything was erased."""

    index: int
    record_id: bytes
    exchange: bytes | None
    kind: Kind
    at_us: int
    leaf_hash: bytes
    stored: bytes
    sections: Sections

    @property
    def core(self) -> dict[str, Any]:
        """What it says in clear."""
        return self.sections.get("core", {})

    @property
    def day(self) -> int:
        """The day whose key wraps its keys."""
        return self.at_us // DAY_US

    @property
    def whole(self) -> bytes:
        """What it belongs to: its exchange, or itself."""
        return self.exchange or self.record_id

    @property
    def sealed(self) -> frozenset[str]:
        """The names of its sealed sections."""
        return frozenset(self.sections) - {"core", "peer"}


@dataclass
class ShardModel:
    """One shard: its records, what was acknowledged of them, what left the process, what is gone.

    `published` are the notes of sealed heads by size; `gone` are erased sections by index and name.
    """

    origin: str
    lines: list[Line] = field(default_factory=list)
    acknowledged: dict[int, bytes] = field(default_factory=dict)
    published: dict[int, str] = field(default_factory=dict)
    receipts: list[str] = field(default_factory=list)
    gone: set[tuple[int, str]] = field(default_factory=set)
    _roots: dict[int, bytes] = field(default_factory=dict)

    def root(self, size: int) -> bytes:
        """Return the root over the first `size` records, by the definition of RFC 6962, 2.1."""
        if size not in self._roots:
            self._roots[size] = root_by_definition([line.leaf_hash for line in self.lines[:size]])
        return self._roots[size]


@dataclass
class Model:
    """The whole log, over all of its shards."""

    shards: list[ShardModel] = field(default_factory=list)
    expected: dict[bytes, Wanted] = field(default_factory=dict)
    open: dict[bytes, str] = field(default_factory=dict)
    begun: dict[bytes, Line] = field(default_factory=dict)
    ended: list[bytes] = field(default_factory=list)
    alive: set[str] = field(default_factory=set)
    orphans: set[bytes] = field(default_factory=set)
    asked: set[bytes] = field(default_factory=set)
    released: set[bytes] = field(default_factory=set)
    claims: set[bytes] = field(default_factory=set)
    counters: dict[bytes, int] = field(default_factory=dict)
    holds: dict[bytes, Hold] = field(default_factory=dict)
    days_gone: set[int] = field(default_factory=set)

    @property
    def shard(self) -> ShardModel:
        """The newest shard, the one that is appended to."""
        return self.shards[-1]

    def lines(self) -> Iterator[Line]:
        """Yield the records of all shards."""
        for shard in self.shards:
            yield from shard.lines

    def died(self, *instances: str) -> None:
        """Take down that processes have ended: what they left open is anybody's to close."""
        self.alive.difference_update(instances)
        self.orphans |= {exchange for exchange, by in self.open.items() if by in instances}

    def closable(self, now_us: int) -> set[bytes]:
        """Return what a sweep closes: orphans, and what is older than any exchange may be."""
        oldest_us = now_us - EXCHANGE_AGE_MAX_US
        return self.orphans | {one for one in self.open if self.begun[one].at_us < oldest_us}

    def take(self, shard: ShardModel, line: Line) -> None:
        """Take a record that a shard holds, with all that changes with it."""
        wanted = self.expected.pop(line.record_id, None)
        assert wanted is not None or line.kind in OWN_KINDS, f"I3: nobody appended {line.kind}"
        if wanted is not None:
            assert line.sections == wanted.record.sections, "I3: it does not say what was handed in"
        shard.lines.append(line)
        if line.kind is Kind.INTENT:
            assert wanted is not None
            self.open[line.whole] = wanted.instance
            self.begun[line.whole] = line
            if wanted.instance not in self.alive:
                self.orphans.add(line.whole)
        elif line.kind in ENDINGS:
            assert line.whole in self.open, "I4: an exchange has two terminal records"
            by = self.open.pop(line.whole)
            if line.kind is Kind.INDETERMINATE:
                overdue = self.begun[line.whole].at_us < line.at_us - EXCHANGE_AGE_MAX_US
                assert overdue or by not in self.alive, "I8: a living process's exchange was closed"
            self.orphans.discard(line.whole)
            self.ended.append(line.whole)
        elif line.kind is Kind.LATE_OUTCOME:
            assert line.whole not in self.open, "I4: an open exchange got a late outcome"
        elif line.kind is Kind.ERASURE:
            shard.gone |= told_gone(line)
        if wanted is not None:
            self._change(wanted)

    def _change(self, wanted: Wanted) -> None:
        self.claims -= set(wanted.releases)
        self.claims |= {claim.key for claim in wanted.claims if claim.expires_at_us == NEVER_US}
        for key, add, maximum in wanted.counters:
            value = self.counters.get(key, 0) + add
            assert add <= 0 or value <= maximum, "I4: a counter is beyond its maximum"
            self.counters[key] = max(value, 0)
        if wanted.added is not None:
            self.holds[wanted.added.id] = wanted.added
        if wanted.released is not None:
            del self.holds[wanted.released.id]

    def left(self, shard: ShardModel, line: Line) -> frozenset[str]:
        """Return the sealed sections of a record that can still be opened."""
        if line.day in self.days_gone:
            return frozenset()
        return frozenset(name for name in line.sealed if (line.index, name) not in shard.gone)

    def about(self, person: Person) -> set[bytes]:
        """Return what in the newest shard names a person, as far as it can still be opened."""
        return {
            line.whole
            for line in self.shard.lines
            if SUBJECT in self.left(self.shard, line) and named(line, person)
        }

    def erases(self, selection: Selection) -> set[tuple[int, str]]:
        """Return which sections of the newest shard a selection must erase, and no others."""
        about = self.about(selection.person) if selection.person is not None else set()
        chosen = [
            line
            for line in self.shard.lines
            if line.whole in about
            or (selection.exchange is not None and line.exchange == selection.exchange)
            or (selection.before_us is not None and line.at_us < selection.before_us)
        ]
        held = self._held()
        return {
            (line.index, name)
            for line in chosen
            if line.whole not in held
            for name in self.left(self.shard, line)
            if selection.takes(name)
        }

    def _held(self) -> set[bytes]:
        """Return what is on legal hold in the newest shard."""
        targets = [hold.target for hold in self.holds.values()]
        held = {target for target in targets if isinstance(target, bytes)}
        for target in targets:
            if isinstance(target, Person):
                held |= self.about(target)
        begun = {line.whole: line for line in self.shard.lines if line.kind is Kind.INTENT}
        return held | {
            exchange for exchange, line in begun.items() if line.core.get("agreement") in targets
        }


def root_by_definition(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash as RFC 6962 defines it, with nothing of the gateway's."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = root_by_definition(leaves[:split]), root_by_definition(leaves[split:])
    return hashlib.sha256(b"\1" + left + right).digest()


def named(line: Line, person: Person) -> bool:
    """Tell whether a record was made about a person."""
    subject = line.sections.get(SUBJECT, {})
    return subject.get("type") == person.id_type and person.normalised_id in subject["ids"]


def told_gone(line: Line) -> set[tuple[int, str]]:
    """Return which sections a `log.erasure` record says are gone."""
    return {
        (index, name)
        for group in line.core.get("erased", ())
        for first, last in group["indices"]
        for index in range(first, last + 1)
        for name in group["sections"]
    }
