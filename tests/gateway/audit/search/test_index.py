"""The search index: its range of time, its rarest word first, and that each search uses it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.entry import Kind
from gateway.audit.log import AuditLog
from gateway.audit.search import index
from gateway.audit.search.follow import catch_up
from gateway.audit.search.index import (
    HOUR_US,
    Condition,
    Range,
    Tagged,
    Word,
    bounds,
    index_path,
    index_snapshot,
    intersection,
    open_index,
    search_index,
)
from gateway.audit.search.query import WORDS, Filters, conditions_of, find, seek_person
from gateway.audit.store import LogUnavailable
from gateway.clock import new_uuid7
from tests.gateway.audit.records import keys_in, provisioned, record, using

EXCHANGES = 40
ALWAYS = Range()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of refusals: every second of one consumer, every fifth with an alert."""
    directory = tmp_path_factory.mktemp("index")
    file = provisioned(directory)

    async def use(log: AuditLog) -> None:
        for number in range(EXCHANGES):
            core: dict[str, object] = {
                "consumer": f"gss:E{number % 2}",
                "alert": number % 5 == 0,
                "purpose": "CARE",
            }
            await log.append(record(Kind.DENY, new_uuid7(), core=core))

    using(directory, use)
    catch_up(file, keys_in(directory))
    return file


def hits(path: Path, *conditions: Condition, limit: int = 100, within: Range = ALWAYS) -> Any:
    """Ask the index."""
    with index_snapshot(path) as db:
        return search_index(db, conditions, within, limit)


def test_every_condition_holds_newest_first(path: Path) -> None:
    """Whatever is rarest is read; a negated condition must not hold."""
    both = hits(path, Word("consumer", "gss:E0"), Word("alert", "true"))
    assert both.indices == (31, 21, 11, 1)
    quiet = hits(path, Word("consumer", "gss:E1"), Word("alert", "true", negated=True))
    assert len(quiet.indices) == 16
    assert hits(path, Word("purpose", "CARE"), Word("consumer", "none")).indices == ()
    assert hits(path, Tagged(())).indices == ()


@pytest.mark.parametrize("most", [1, 3, 100_000])
def test_a_search_reads_a_bounded_number_of_entries(
    path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Pages may be short, and joined they are everything, without gap or repeat."""
    monkeypatch.setattr(index, "CANDIDATES_PER_SEARCH_MAX", most)
    conditions = (Word("purpose", "CARE"), Word("consumer", "gss:E1"))
    found: list[int] = []
    within = Range()
    while True:
        page = hits(path, *conditions, limit=2, within=within)
        found += page.indices
        if page.cursor is None:
            break
        within = Range(before=page.cursor)
    assert found == list(range(40, 0, -2))


def test_pages_are_stable_while_the_log_grows(tmp_path: Path) -> None:
    """What comes after the first page was read comes before it: no later page changes."""
    path, keys = provisioned(tmp_path), keys_in(tmp_path)

    async def use(log: AuditLog) -> None:
        for _ in range(4):
            await log.append(record(Kind.DENY, new_uuid7(), core={"decision": "deny"}))
        first = find(path, Filters(decision="deny"), keys=keys, limit=2)
        rest = find(path, Filters(decision="deny"), keys=keys, cursor=first.cursor)
        await log.append(record(Kind.DENY, new_uuid7(), core={"decision": "deny"}))
        again = find(path, Filters(decision="deny"), keys=keys, cursor=first.cursor)
        assert (len(first.items), again.items) == (2, rest.items)
        assert again.watermark.next_index == rest.watermark.next_index + 1

    using(tmp_path, use)


def test_a_record_with_two_of_the_tags_is_found_once(tmp_path: Path) -> None:
    """As one that began in one year and ended in the next; pages join all the same."""
    path, keys = provisioned(tmp_path), keys_in(tmp_path)
    people: dict[str, object] = {"type": "nhs_number", "ids": ["9990000018", "9990000026"]}

    async def use(log: AuditLog) -> None:
        for _ in range(5):
            await log.append(record(Kind.DENY, new_uuid7(), core={}, subject=people))

    using(tmp_path, use)
    catch_up(path, keys)
    both = [seek_person(f"nhs_number:{one}", keys).tags[0] for one in ("9990000018", "9990000026")]
    found: list[int] = []
    within = Range()
    while True:
        page = hits(path, Tagged(tuple(both)), limit=2, within=within)
        found += page.indices
        if page.cursor is None:
            break
        within = Range(before=page.cursor)
    assert found == [5, 4, 3, 2, 1]


def test_times_are_found_by_the_hour_however_clocks_step(tmp_path: Path) -> None:
    """A record that was made earlier than those before it is found in its own hour (F14)."""
    path, keys = provisioned(tmp_path), keys_in(tmp_path)
    now = 1_800_000_000_000_000
    times = [now, now + 2 * HOUR_US, now - 5 * HOUR_US, now + 1]

    async def use(log: AuditLog) -> None:
        for at_us in times:
            made = record(Kind.DENY, new_uuid7(), core={"decision": "deny"})
            await log.append(replace(made, at_us=at_us))

    using(tmp_path, use)
    catch_up(path, keys)
    deny = Word("decision", "deny")
    for at, (from_us, until_us) in {
        (4, 1): (now, now + 2),
        (1,): (now, now + 1),
        (3,): (None, now),
        (2,): (now + 2, None),
        (): (now + 3 * HOUR_US, None),
    }.items():
        found = hits(path, deny, within=Range(from_us=from_us, until_us=until_us))
        assert found.indices == at
    with index_snapshot(path) as db:
        assert bounds(db, Range(from_us=now - 6 * HOUR_US, until_us=now - 4 * HOUR_US)) == (3, 4)


@pytest.mark.parametrize("name", [*WORDS, "client", "actor", "source", "token", "case", "person"])
@pytest.mark.parametrize("timed", [False, True], ids=["at any time", "in a range of time"])
def test_every_filter_uses_an_index_and_sorts_nothing(
    path: Path, name: str, *, timed: bool
) -> None:
    """The engine's own plan says so: it searches, in the order that is shown, and scans nothing."""
    keys = keys_in(path.parent.parent)
    value: Any = seek_person("nino:QQ1", keys) if name == "person" else "x"
    conditions = conditions_of(Filters(**{name: value}), keys)
    within = Range(from_us=1, until_us=2) if timed else Range()
    for first in conditions:
        others = [one for one in conditions if one is not first]
        statement, values = intersection(first, others, within)
        times = (1, 2) if timed else ()
        with index_snapshot(path) as db:
            plan = db.execute(f"EXPLAIN QUERY PLAN {statement}", (*values, 9, 0, *times, 5))
            steps = [row[3] for row in plan]
        assert steps
        assert all(step.startswith("SEARCH") and "USING" in step for step in steps), steps


def test_a_log_without_an_index_says_how_to_make_one(tmp_path: Path) -> None:
    """Reading makes no file."""
    path = provisioned(tmp_path)
    with pytest.raises(LogUnavailable, match="reindex"), index_snapshot(path):
        pass
    assert not index_path(path).exists()


def test_an_index_is_opened_again_as_it_is(path: Path) -> None:
    """Its tables are made once."""
    before = index_path(path).stat().st_ino
    open_index(path).close()
    assert hits(path, Word("alert", "true")).indices != ()
    assert index_path(path).stat().st_ino == before
