"""A log whose processes begin and end exchanges, come, go and die, and sign what they wrote.

A Hypothesis state machine over real parts; `test_model.py` adds what people do to a log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.audit.entry import Kind, Record
from gateway.audit.people import Person
from gateway.audit.privacy.erasable import Selection
from gateway.audit.publishing.published import published_head, read_tile
from gateway.audit.seal import DAY_US
from gateway.audit.store import (
    Claim,
    ClaimTaken,
    CounterChange,
    CounterExceeded,
    LogFrozen,
    Position,
    RecordRepeated,
)
from gateway.audit.tiles import TileName, entry_bundle, parse_tile_path, tile_paths
from gateway.clock import new_uuid7, system_time_us
from tests.faults.invariants import PEOPLE, Sight, hold
from tests.faults.model import NEVER_US, SUBJECT, Model, Sections, Wanted, root_by_definition
from tests.faults.worlds import Answer, World

AGREEMENTS: Final = ("DSA-2026-0003", "DSA-2026-0004")
COUNT_MAX: Final = 5
LABELS: Final = st.sampled_from(["first", "second"])
PICK: Final = st.integers(0, 1_000)


def identifier(days_ago: int = 0) -> bytes:
    """Return an identifier that was made some days ago."""
    made_ms = int.from_bytes(new_uuid7()[:6], "big") - days_ago * DAY_US // 1_000
    return made_ms.to_bytes(6, "big") + new_uuid7()[6:]


def made(
    kind: Kind, exchange: bytes | None, said: Sections | None = None, *, days_ago: int = 0,
    **core: object,
) -> Record:  # fmt: skip
    """Return a record that was made some days ago, with `core` and what else is `said`."""
    return Record(
        record_id=identifier(days_ago),
        kind=kind,
        exchange=exchange,
        at_us=system_time_us() - days_ago * DAY_US,
        sections={"core": core, **(said or {})},
    )


def about(people: Iterable[Person]) -> Sections:
    """Return the sections that name people and who asked about them."""
    ids = sorted(person.normalised_id for person in people)
    named: Sections = {SUBJECT: {"type": "nhs_number", "ids": ids}} if ids else {}
    return named | {
        "actor": {"client": "council-app"},
        "payload": {"context": {"case_reference": "SYNTHETIC-1"}},
    }


class LogMachine(RuleBasedStateMachine):
    """Draws what happens next."""

    world_type: ClassVar[type[World]] = World

    def __init__(self) -> None:
        """Make an empty host."""
        super().__init__()
        self.world = self.world_type()
        self.model = Model()
        self.sight = Sight(self.world.keys)
        self.handed: list[tuple[int, Wanted]] = []

    @initialize()
    def provision(self) -> None:
        """The log's first process makes it."""
        self.begin_process("first")

    @invariant()
    def every_invariant_holds(self) -> None:
        """I1 to I6, I8, I9 and I10, each by its name."""
        hold(self.model, self.sight, self.world.audit)

    # --- what processes do

    def begin_process(self, label: str) -> None:
        try:
            self.model.alive.add(self.world.start(label))
        except LogFrozen as frozen:
            pytest.fail(f"I5: a start finds that {frozen}")

    def end_processes(self) -> None:
        instances = [log._instance.name for log in self.world.logs.values()]
        self.world.stop_all()
        self.model.died(*instances)

    def wanted(self, label: str, record: Record, **changes: Any) -> tuple[str, Wanted]:
        """Return a record to hand in, by a process that runs."""
        runs = label if label in self.world.logs else "first"
        instance = self.world.logs[runs]._instance.name
        return runs, Wanted(record=record, instance=instance, **changes)

    def hand(self, *handed: tuple[str, Wanted], told: bool = True) -> list[Answer]:
        """Hand records in; unless a crash comes first, everybody is `told` and acts on it."""
        self.model.expected |= {wanted.record.record_id: wanted for _, wanted in handed}
        answers = self.world.append(handed)
        for (_, wanted), answer in zip(handed, answers, strict=True):
            if not isinstance(answer, Position):
                self.model.expected.pop(wanted.record.record_id)
            elif told:
                self.model.shard.acknowledged[answer.index] = answer.leaf_hash
                self.handed.append((len(self.model.shards), wanted))
                self.act_on(wanted, answer)
        return answers

    def act_on(self, wanted: Wanted, place: Position) -> None:
        """Do what may be done once a record is durable: ask the service, release the answer."""
        record = wanted.record
        if record.kind is Kind.INTENT:
            assert record.exchange is not None
            self.model.asked.add(record.exchange)
        elif record.kind is Kind.OUTCOME:
            assert record.exchange is not None
            self.model.released.add(record.exchange)
            receipt = self.world.logs["first"].receipts.sign(
                record.exchange, record.kind, index=place.index, leaf_hash=place.leaf_hash
            )
            self.model.shard.receipts.append(receipt)

    def outcome(self, exchange: bytes) -> Record:
        begun = self.model.begun[exchange]
        said = {name: section for name, section in begun.sections.items() if name == SUBJECT}
        return made(Kind.OUTCOME, exchange, said, status=200, intent=begun.index)

    def still_open(self, days_ago: int) -> int:
        """Return a day on which records can be made: none is whose key is gone."""
        return 0 if system_time_us() // DAY_US - days_ago in self.model.days_gone else days_ago

    # --- exchanges

    @rule(
        label=LABELS,
        people=st.sets(st.sampled_from(PEOPLE)),
        agreement=st.sampled_from(AGREEMENTS),
        days_ago=st.sampled_from([0, 0, 1, 2]),
        claim=st.sampled_from([None, b"a", b"b", b"b"]),
        expired=st.booleans(),
        add=st.integers(0, 3),
    )
    def begin(
        self, label: str, people: set[Person], agreement: str, *,
        days_ago: int, claim: bytes | None, expired: bool, add: int,
    ) -> None:  # fmt: skip
        """An intent, with what it claims and counts; refused exactly where it must be (I4)."""
        days_ago = self.still_open(days_ago)
        record = made(
            Kind.INTENT, identifier(days_ago), about(people),
            days_ago=days_ago, decision="permit", agreement=agreement,
        )  # fmt: skip
        claims = () if claim is None else (Claim(claim, 1 if expired else NEVER_US),)
        counters = (CounterChange(b"people", add, COUNT_MAX),) if add else ()
        taken = claim in self.model.claims
        exceeded = self.model.counters.get(b"people", 0) + add > COUNT_MAX
        (answer,) = self.hand(self.wanted(label, record, claims=claims, counters=counters))
        assert (type(answer) is ClaimTaken) == taken, "I4: a claim was given twice, or never"
        if not taken:
            expected = CounterExceeded if add and exceeded else Position
            assert type(answer) is expected, "I4: a counter was not kept to"

    def one_open(self, label: str, pick: int) -> bytes:
        """Return an exchange that has begun; one is begun if there is none."""
        if not self.model.open:
            self.hand(self.wanted(label, made(Kind.INTENT, identifier(), about(PEOPLE))))
            self.sight.look(self.world.audit, self.model)
        return [*self.model.open][pick % len(self.model.open)]

    @rule(label=LABELS, pick=PICK, release=st.booleans(), give_back=st.integers(0, 2))
    def finish(self, label: str, pick: int, *, release: bool, give_back: int) -> None:
        """An outcome, with a receipt; it may free a claim and give a count back."""
        exchange = self.one_open(label, pick)
        counters = (CounterChange(b"people", -give_back, COUNT_MAX),) if give_back else ()
        (answer,) = self.hand(
            self.wanted(
                label, self.outcome(exchange), counters=counters, releases=(b"a",) * release
            )
        )
        assert type(answer) is Position

    @rule(
        label=LABELS,
        people=st.sets(st.sampled_from(PEOPLE), min_size=1),
        count=st.integers(2, 5),
        days_ago=st.sampled_from([0, 0, 1]),
    )
    def whole_exchanges(
        self, label: str, people: set[Person], count: int, *, days_ago: int
    ) -> None:
        """Some exchanges begin at once, some time ago, and most of them end now."""
        days_ago = self.still_open(days_ago)
        begun = [
            made(
                Kind.INTENT, identifier(days_ago), about(people),
                days_ago=days_ago, agreement=AGREEMENTS[1],
            )
            for _ in range(count)
        ]  # fmt: skip
        self.hand(*(self.wanted(label, one) for one in begun))
        self.sight.look(self.world.audit, self.model)
        ended = [self.outcome(one.exchange) for one in begun[1:] if one.exchange is not None]
        self.hand(*(self.wanted(label, one) for one in ended))

    @rule(label=LABELS, pick=PICK)
    def finish_again(self, label: str, pick: int) -> None:
        """A second outcome of an exchange is a late one, whoever was quicker (I4)."""
        closed = self.closed()
        if not closed:
            return
        (answer,) = self.hand(self.wanted(label, self.outcome(closed[pick % len(closed)])))
        assert type(answer) is Position

    def closed(self) -> list[bytes]:
        """Return what has ended in the newest shard."""
        here = {line.exchange for line in self.model.shard.lines if line.kind is Kind.INTENT}
        return [exchange for exchange in self.model.ended if exchange in here]

    @rule(label=LABELS, pick=PICK)
    def go_on(self, label: str, pick: int) -> None:
        """A long exchange records its progress."""
        exchange = self.one_open(label, pick)
        begun = self.model.begun[exchange]
        self.hand(self.wanted(label, made(Kind.PROGRESS, exchange, intent=begun.index, octets=7)))

    @rule(label=LABELS, kind=st.sampled_from([Kind.DENY, Kind.CHANGE, Kind.ACCESS]))
    def note(self, label: str, kind: Kind) -> None:
        """A refusal, an administrative change, a reading of the log."""
        exchange = identifier() if kind is Kind.DENY else None
        self.hand(self.wanted(label, made(kind, exchange, about([]), verb="x")))

    @rule(count=st.integers(100, 300))
    def flood(self, count: int) -> None:
        """Many refusals at once, through all writers: they fill tiles."""
        labels = [*self.world.logs]
        records = [made(Kind.DENY, identifier(), n=n) for n in range(count)]
        self.hand(*(self.wanted(labels[n % len(labels)], one) for n, one in enumerate(records)))

    # --- duplicates

    @rule(label=LABELS, pick=PICK)
    def repeat(self, label: str, pick: int) -> None:
        """The same record again, with a claim: it takes no index, and leaves no trace (I4)."""
        self.note(label, Kind.DENY)
        self.sight.look(self.world.audit, self.model)
        here = [one for number, one in self.handed if number == len(self.model.shards)]
        record = here[pick % len(here)].record
        claims = (Claim(b"of a repeat", NEVER_US),)
        (answer,) = self.hand(self.wanted(label, record, claims=claims))
        assert type(answer) is RecordRepeated

    @rule()
    def race(self) -> None:
        """Two processes claim the same thing at once: one has it, the other is refused (I4)."""
        if b"b" in self.model.claims:
            return
        if "second" not in self.world.logs:
            self.begin_process("second")
        claims = (Claim(b"b", NEVER_US),)
        answers = self.hand(*(
            self.wanted(label, made(Kind.INTENT, identifier(), about([])), claims=claims)
            for label in self.world.logs
        ))  # fmt: skip
        told = {type(answer) for answer in answers}
        assert told == {Position, ClaimTaken}, "I4: a claim was given twice, or never"

    # --- processes come, go and die

    @rule()
    def come_or_go(self) -> None:
        """A second process writes to the same files, or ends: what it left open is orphaned."""
        if "second" in self.world.logs:
            self.model.died(self.world.stop("second"))
        else:
            self.begin_process("second")

    @rule()
    def restart(self) -> None:
        """All end in good order, and one starts again."""
        self.end_processes()
        self.begin_process("first")

    @rule(
        what=st.sampled_from(
            ["nothing", "begin", "finish", "flood", "integrate", "sweep", "erase", "follow"]
        ),
        written=st.sampled_from([0.0, 0.3, 0.7, 0.98, 1.0]),
        published=st.booleans(),
        pick=PICK,
        swept=st.booleans(),
    )
    def crash(self, what: str, *, written: float, published: bool, pick: int, swept: bool) -> None:
        """All are killed in the midst of something; whoever was not told may have been stored."""
        instances = [log._instance.name for log in self.world.logs.values()]
        self.world.crash(self.under_way(what, pick), written=written, published=published)
        self.model.died(*instances)
        self.begin_process("first")
        self.sight.look(self.world.audit, self.model)
        self.model.expected.clear()
        if swept:
            self.sweep()

    def under_way(self, what: str, pick: int) -> Callable[[], object]:
        """Return what the host does when it dies; nobody is told of it any more."""
        intent = made(Kind.INTENT, identifier(), about(PEOPLE))
        of_many = [made(Kind.DENY, identifier(), n=n) for n in range(50)]
        records = {"begin": [intent], "flood": [intent, *of_many]}.get(what, [])
        if what == "finish" and self.model.open:
            exchange = [*self.model.open][pick % len(self.model.open)]
            records = [self.outcome(exchange)]
        if records:
            return lambda: self.hand(*(self.wanted("first", one) for one in records), told=False)
        person = PEOPLE[pick % len(PEOPLE)]
        parts: dict[str, Callable[[], object]] = {
            "integrate": lambda: self.world.integrate("first"),
            "sweep": self.world.sweep,
            "erase": lambda: self.world.erase(Selection(person=person)),
            "follow": self.world.follow,
        }
        return parts.get(what, lambda: None)

    @rule()
    def sweep(self) -> None:
        """What dead processes left open is closed, and nothing else (I8)."""
        closable = self.model.closable(system_time_us())
        assert self.world.sweep() == len(closable), "I8: not what had lost its end was closed"
        self.sight.look(self.world.audit, self.model)
        assert not closable & set(self.model.open), "I8: a sweep left an orphan"

    # --- the tree

    @rule(label=LABELS, whole=st.booleans())
    def integrate(self, label: str, *, whole: bool) -> None:
        """The leader signs and publishes; another one does nothing (I5, I6)."""
        leads = not (set(self.world.integrators) - {label})
        while self.world.integrate(label) and whole:
            pass
        self.sight.look(self.world.audit, self.model)
        if leads:
            shard = self.model.shard
            assert max(shard.published) == len(shard.lines), "I6: a record is under no head"

    @rule()
    def no_leader(self) -> None:
        """The leader gives up; the next one finds its work."""
        self.world.stop_integrators()

    @rule()
    def serve_tiles(self) -> None:
        """What a mirror fetches makes the root of the head that it fetches (I5)."""
        path, shard = self.world.path, self.model.shard
        if not shard.published:
            return
        head = published_head(path)
        assert head is not None
        assert head.note == shard.published[max(shard.published)]
        leaves: list[bytes] = []
        for tile_at in tile_paths(head.size):
            name = parse_tile_path(tile_at)
            assert name is not None
            tile = read_tile(path, name)
            assert tile is not None
            assert len(tile) == 32 * name.width
            if name.level == 0:
                leaves += [tile[at : at + 32] for at in range(0, len(tile), 32)]
                entries = self.sight.shards[-1].entries[name.number << 8 :][: name.width]
                assert read_tile(path, name._replace(level=None)) == entry_bundle(entries)
        assert root_by_definition(leaves) == shard.root(head.size), "I5: tiles of another tree"
        assert read_tile(path, TileName(0, head.size >> 8, head.size % 256 + 1)) is None
