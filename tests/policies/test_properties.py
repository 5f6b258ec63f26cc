"""What holds of every agreement and every query, whatever the clauses: algebra, not examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from policies.compile import Policy
from policies.decide import decide
from policies.decision import Decision, Query
from policies.identifiers import is_nhs_number
from policies.law import Instrument, InstrumentVersion, Law, read_instruments
from policies.times import Window
from tests.policies.cedar.comparison import Material, compiled, read_material
from tests.policies.cedar.documents import agreement_of, law_of
from tests.policies.cedar.instants import review_lapses_us, wall_clock
from tests.policies.cedar.queries import Queries
from tests.policies.narrowing import NARROWINGS

SHARED: Final = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=150,
)
SEEDS: Final = st.integers(0, 2**32)
QUERIES_PER_EXAMPLE: Final = 25
SECOND: Final = timedelta(seconds=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def material() -> Material:
    """The raw documents of the scenario pack."""
    return read_material()


class World:
    """An agreement by chance, its law, and queries that come near its bounds."""

    def __init__(self, material: Material, seed: int) -> None:
        self.chance = Random(seed)  # noqa: S311 - no secret
        self.services = material.with_fresh()
        instruments = law_of(self.chance, material.instruments)
        self.document = agreement_of(self.chance, material.agreements, instruments)
        self.law = Law(
            instruments={one.id: one for one in read_instruments({"instruments": instruments})}
        )
        source = Queries(self.chance, self.document, instruments, self.services)
        self.queries = [source.draw() for _ in range(QUERIES_PER_EXAMPLE)]

    def compiled(self) -> Policy:
        """Compile the document as it is now; a document that is refused is no example."""
        policy = compiled(self.document, self.services)
        assume(policy is not None)
        assert policy is not None
        return policy

    def decisions(self) -> list[Decision]:
        """Decide every query under the document as it is now."""
        policy = self.compiled()
        return [decide(policy, query, self.law) for query in self.queries]


@SHARED
@given(seed=SEEDS)
def test_decisions_are_total_and_the_same_again(material: Material, seed: int) -> None:
    """Near every bound: an answer, twice the same, from a policy compiled twice."""
    world = World(material, seed)
    assert world.decisions() == world.decisions()


@SHARED
@given(seed=SEEDS, narrowing=st.sampled_from(NARROWINGS))
def test_narrowing_never_widens(
    material: Material, seed: int, narrowing: Callable[[Random, Any, Any], None]
) -> None:
    """What the narrower agreement permits, the wider one permitted, with no fewer fields."""
    world = World(material, seed)
    before = world.decisions()
    rule = world.chance.choice(world.document["access"]["rules"])
    narrowing(world.chance, world.document, rule)
    for wide, narrow in zip(before, world.decisions(), strict=True):
        if narrow.permitted:
            assert wide.permitted
            assert narrow.duties.allowed is not None
            assert wide.duties.allowed is not None
            if narrow.rule == wide.rule:
                assert narrow.duties.allowed <= wide.duties.allowed


def _shuffle(chance: Random, document: Any) -> None:
    """Shuffle every list but those whose order means something: instruments and purposes."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name not in ("instruments", "purposes", "codes", "days"):
                _shuffle(chance, value)
    elif isinstance(document, list):
        chance.shuffle(document)
        for value in document:
            _shuffle(chance, value)


@SHARED
@given(seed=SEEDS)
def test_the_order_of_clauses_does_not_matter(material: Material, seed: int) -> None:
    """Parties, datasets, fields, rules, roles, filters and contexts may stand in any order."""
    world = World(material, seed)
    providers = [one for one in world.document["parties"] if "provider" in one["roles"]]
    assume(len(providers) == 1)  # of several, the first one's contact is named
    before = world.decisions()
    _shuffle(world.chance, world.document)
    for one, other in zip(before, world.decisions(), strict=True):
        assert (one.verdict, one.reason, one.rule) == (other.verdict, other.reason, other.rule)
        assert (one.instrument, one.duties) == (other.instrument, other.duties)
        assert (one.clause, one.contact, one.alert) == (other.clause, other.contact, other.alert)
        assert {check.reason for check in one.checks} == {check.reason for check in other.checks}


PERMITTED: Final = ("S1A1", "S1A3", "S2A1", "S2A2", "S2A3", "S3A1", "S4A1", "S4A2", "S4A3", "S5A1")
"""Calls of the pack that are permitted, at least one of each agreement."""


class Bounds:
    """A permitted call of the pack under an agreement without hours, to be moved in time."""

    def __init__(self, pack: Any, call_id: str) -> None:
        call = pack.call(call_id)
        self.document = pack.documents[call["agreement"]]
        agreement = pack.agreements[call["agreement"]]
        self.hours = next(
            one for one in agreement.rules if one.id == pack.decide(call_id).rule
        ).hours
        rules = tuple(replace(one, hours=None) for one in agreement.rules)
        self.policy = pack.compile(replace(agreement, rules=rules))
        self.query: Query = pack.query(call_id)
        if self.query.decision_form is not None:
            form = replace(self.query.decision_form, decided_at=EPOCH)
            self.query = replace(self.query, decision_form=form)
        self.law = _law(agreement.legal.instruments, agreement.purpose.codes, EPOCH, None)

    def permits(self, at: datetime, law: Law | None = None) -> bool:
        """Whether the call is permitted at another instant."""
        return decide(self.policy, replace(self.query, at=at), law or self.law).permitted

    def edges(self) -> Iterator[tuple[datetime, bool]]:
        """Yield instants about the first and last instants, each with what is to be answered."""
        term = self.document["term"]
        start = datetime.fromisoformat(term["start"])
        lapse = EPOCH + timedelta(microseconds=review_lapses_us(term))
        end = lapse - timedelta(microseconds=1)
        if term["end"] is not None:
            end = min(end, datetime.fromisoformat(term["end"]))
        yield from [(start - SECOND, False), (start, True), (start + SECOND, True)]
        yield from [(end - SECOND, True), (end, True), (end + SECOND, False)]


def _law(ids: Any, purposes: Any, from_: datetime, until: datetime | None) -> Law:
    """Return a table in which every instrument has one version, in force for one span."""
    version = InstrumentVersion(version=1, from_=from_, until=until)
    found = Instrument(
        id="", title="", gateway="", purposes=frozenset(purposes), versions=(version,)
    )
    return Law(instruments={one: replace(found, id=one) for one in ids})


@pytest.mark.parametrize("call_id", PERMITTED)
def test_an_agreement_opens_and_ends_on_the_second(pack: Any, call_id: str) -> None:
    """Start and end are included, and so is the last second of the review's grace."""
    bounds = Bounds(pack, call_id)
    for at, expected in bounds.edges():
        assert bounds.permits(at) is expected, at


@pytest.mark.parametrize("call_id", PERMITTED)
def test_an_instrument_holds_from_its_first_instant_to_just_before_until(
    pack: Any, call_id: str
) -> None:
    """`from` is included, `until` is not."""
    bounds = Bounds(pack, call_id)
    legal, codes = bounds.document["legal"], bounds.document["purpose"]["codes"]
    start = datetime.fromisoformat(bounds.document["term"]["start"])
    from_, until = start + timedelta(days=10), start + timedelta(days=20)
    law = _law(legal["instruments"], codes, from_, until)
    edges = [(from_ - SECOND, False), (from_, True), (from_ + SECOND, True)]
    edges += [(until - SECOND, True), (until, False), (until + SECOND, False)]
    for at, expected in edges:
        assert bounds.permits(at, law) is expected, at


@SHARED
@given(
    call_id=st.sampled_from(PERMITTED), days=st.lists(st.floats(0, 4000), min_size=3, max_size=3)
)
def test_a_term_has_no_holes(pack: Any, call_id: str, days: list[float]) -> None:
    """Permitted now and later means permitted all the time between, the law standing still."""
    bounds = Bounds(pack, call_id)
    start = datetime.fromisoformat(bounds.document["term"]["start"]) - timedelta(days=100)
    first, middle, last = (bounds.permits(start + timedelta(days=one)) for one in sorted(days))
    assert middle or not (first and last)


ZONES: Final = {
    "Europe/London": ("2027-03-28T01:00Z", "2026-10-25T01:00Z"),
    "America/New_York": ("2027-03-14T07:00Z", "2026-11-01T06:00Z"),
    "Australia/Lord_Howe": ("2026-10-03T15:30Z", "2026-04-04T15:00Z"),
    "Atlantic/Azores": ("2027-03-28T01:00Z", "2026-10-25T01:00Z"),
}
"""Zones with the instants at which they change to summer time and back; two cross midnight."""


def _window(zone: str, opens: int, closes: int) -> Window:
    said = [f"{minute // 60:02}:{minute % 60:02}" for minute in (opens, closes)]
    return Window.parse(zone=zone, opens=said[0], closes=said[1], days="mon-sun")


@given(
    zone=st.sampled_from(sorted(ZONES)),
    change=st.sampled_from([0, 1]),
    opens=st.integers(0, 1439),
    closes=st.integers(0, 1440),
)
@settings(max_examples=60, deadline=None)
def test_hours_follow_the_wall_through_a_clock_change(
    zone: str, change: int, opens: int, closes: int
) -> None:
    """Minute by minute over two days: open exactly when the wall shows an open minute."""
    window = _window(zone, opens, closes)
    middle = datetime.fromisoformat(ZONES[zone][change])
    for minutes in range(-1440, 1441, 7):
        at = middle + timedelta(minutes=minutes)
        shown = wall_clock(at, zone)["minute"]
        inside = opens <= shown < closes if opens < closes else shown >= opens or shown < closes
        assert window.is_open(at) is inside, at


@pytest.mark.parametrize("zone", sorted(ZONES))
def test_the_hour_that_is_left_out_never_opens_and_the_one_that_comes_twice_does_twice(
    zone: str,
) -> None:
    """A window inside the changed time is open for nothing in spring and double in autumn."""
    tz = ZoneInfo(zone)
    for change, expected in ((0, 0), (1, 2)):
        instant = datetime.fromisoformat(ZONES[zone][change])
        before, after = ((instant + one).astimezone(tz) for one in (-SECOND, SECOND))
        shift = abs(after.utcoffset() - before.utcoffset())  # type: ignore[operator]  # both aware
        low = min(before + SECOND, after - SECOND, key=lambda one: one.hour * 60 + one.minute)
        if change == 1:
            low = (instant.astimezone(tz)).replace(fold=1)
        opens = low.hour * 60 + low.minute
        if change == 0:
            opens = (before.hour * 60 + before.minute + 1) % 1440
        window = _window(zone, opens, opens + shift // timedelta(minutes=1))
        day = [instant + timedelta(minutes=one) for one in range(-720, 720)]
        open_minutes = [
            at for at in day if window.is_open(at) and abs(at - instant) <= timedelta(hours=3)
        ]
        assert len(open_minutes) == expected * (shift // timedelta(minutes=1)), zone


@pytest.mark.parametrize("call_id", ["S1A1", "S2A2", "S3A1"])
def test_a_rule_opens_and_closes_on_the_second(pack: Any, call_id: str) -> None:
    """Second by second about every change between open and closed, over the week of the call."""
    call = pack.call(call_id)
    policy, query = pack.policies[call["agreement"]], pack.query(call_id)
    law = _law(policy.instruments, policy.purposes, EPOCH, None)
    week = [query.at.replace(minute=0, second=0) + timedelta(minutes=30 * n) for n in range(336)]
    rule = next(one for one in pack.agreements[call["agreement"]].rules if one.hours is not None)
    changes = 0
    for one, other in pairwise(week):
        was, becomes = (decide(policy, replace(query, at=at), law).permitted for at in (one, other))
        if was is becomes:
            continue
        changes += 1
        assert decide(policy, replace(query, at=other - SECOND), law).permitted is was
        assert decide(policy, replace(query, at=other + SECOND), law).permitted is becomes
        shown = wall_clock(other, rule.hours.zone)["minute"]
        clock = rule.hours.opens if becomes else rule.hours.closes
        assert f"{shown // 60:02}:{shown % 60:02}" == clock
    assert changes == (10 if rule.hours.days == "mon-fri" else 14)


NHS_NUMBERS: Final = (
    st.integers(0, 999_999_999)
    .map(lambda prefix: f"{prefix:09}")
    .flatmap(lambda prefix: st.sampled_from([f"{prefix}{digit}" for digit in range(10)]))
    .filter(is_nhs_number)
)


@given(number=NHS_NUMBERS)
@settings(max_examples=100, suppress_health_check=[HealthCheck.filter_too_much])
def test_every_wrong_digit_and_every_swap_of_neighbours_is_noticed(number: str) -> None:
    """The NHS number's check digit finds every single wrong digit, and every transposition."""
    for place, right in enumerate(number):
        for digit in "0123456789":
            if digit != right:
                assert not is_nhs_number(number[:place] + digit + number[place + 1 :])
    for place, (one, other) in enumerate(pairwise(number)):
        if one != other:
            assert not is_nhs_number(number[:place] + other + one + number[place + 2 :])


def test_the_generator_makes_what_is_read(material: Material) -> None:
    """Most generated agreements are ones that could be signed here."""
    chance = Random(11)  # noqa: S311 - no secret
    made = [agreement_of(chance, material.agreements, material.instruments) for _ in range(100)]
    assert sum(compiled(one, material.with_fresh()) is not None for one in made) > 80
    assert yaml.safe_load(yaml.safe_dump(made[0])) == made[0]
