"""Counts and reach, on a log whose numbers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.audit.entry import Kind
from gateway.audit.log import AuditLog
from gateway.audit.reading.reader import find_shards
from gateway.audit.search import count as counting
from gateway.audit.search.count import count, reach
from gateway.audit.search.follow import Follower
from gateway.audit.search.query import Filters
from gateway.audit.store import LogUnavailable
from gateway.clock import new_uuid7
from tests.gateway.audit.records import keys_in, provisioned, record, tampered, using
from tests.gateway.audit.sharded import retired, using_newest

EXCHANGES = 12


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve exchanges, of two purposes and three clients, about four people."""
    directory = tmp_path_factory.mktemp("count")
    file = provisioned(directory)

    using(directory, exchanged)
    return file


async def exchanged(log: AuditLog) -> None:
    """Append them."""
    for number in range(EXCHANGES):
        exchange = new_uuid7()
        core: dict[str, object] = {
            "decision": "permit",
            "agreement": "DSA-1",
            "purpose": "CARE" if number < 9 else "FUEL",
            "data_classes": ["health", "personal"] if number < 9 else ["personal"],
        }
        actor: dict[str, object] = {"client": f"client-{number % 3}"}
        await log.append(record(Kind.INTENT, exchange, core=core, actor=actor))
        told: dict[str, object] = {"status": 200, "records": 2, "subjects": 1, "bytes": 10}
        people: dict[str, object] = {"type": "nhs_number", "ids": [f"999000000{number % 4}"]}
        await log.append(record(Kind.OUTCOME, exchange, core=told, subject=people))


def rows(path: Path, *by: str, **filters: Any) -> dict[tuple[str, ...], tuple[int | None, ...]]:
    """Count, and return exchanges, records and people by group."""
    found = count(path.parent, Filters(**filters), by, keys=keys_in(path.parent.parent)).rows
    return {row.group: (row.exchanges, row.records, row.people) for row in found}


@pytest.mark.parametrize("lookups", [0, 100_000], ids=["sorted once", "asked in turn"])
@pytest.mark.parametrize("rare", [0, 20_000], ids=["words first", "the rarest first"])
def test_counts_by_word_client_and_period(
    path: Path, monkeypatch: pytest.MonkeyPatch, rare: int, lookups: int
) -> None:
    """In whichever way the tables are read, the numbers are the same."""
    monkeypatch.setattr(counting, "COUNTED_FOR_RARITY_MAX", rare)
    monkeypatch.setattr(counting, "LOOKUPS_MAX", lookups)
    assert rows(path, "purpose") == {("CARE",): (9, 18, 9), ("FUEL",): (3, 6, 3)}
    assert rows(path, "client", "purpose", client="client-0") == {
        ("client-0", "CARE"): (3, 6, 3),
        ("client-0", "FUEL"): (1, 2, 1),
    }
    assert rows(path, "purpose", "client", purpose="FUEL") == {
        ("FUEL", f"client-{number}"): (1, 2, 1) for number in range(3)
    }
    assert rows(path, "data_class") == {("personal",): (12, 24, 12), ("health",): (9, 18, 9)}
    by_purpose = rows(path, "week", "purpose", "data_class")
    assert {group[1:] for group in by_purpose} == {
        ("CARE", "health"), ("CARE", "personal"), ("FUEL", "personal"),
    }  # fmt: skip
    assert sum(row[1] or 0 for row in by_purpose.values()) == 2 * (9 + 9 + 3)
    by_week = rows(path, "week")
    assert sum(row[0] or 0 for row in by_week.values()) == EXCHANGES
    assert rows(path) == {(): (12, 24, 12)}
    assert rows(path, "purpose", alert=False, reason="NONE") == {}


def test_the_greatest_comes_first_and_rows_are_bounded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what is cut off is the least."""
    monkeypatch.setattr(counting, "GROUPS_MAX", 1)
    assert list(rows(path, "purpose")) == [("CARE",)]


@pytest.mark.parametrize("by", [("trace",), ("purpose", "purpose"), ("rule",) * 4, ("person",)])
def test_what_is_not_counted_by_is_refused(path: Path, by: tuple[str, ...]) -> None:
    """The sentence names what is."""
    with pytest.raises(ValueError, match="purpose"):
        rows(path, *by)


def test_reach_tells_people_apart_and_names_nobody(path: Path) -> None:
    """Four people in twelve answers, of which one client saw all four."""
    keys = keys_in(path.parent.parent)
    everything = reach(path.parent, Filters(), keys=keys)
    assert (everything.exchanges, everything.records, everything.octets) == (12, 24, 120)
    assert (everything.people, everything.people_counted) == (4, 12)
    assert everything.data_classes == ("health", "personal")
    assert everything.agreements == ("DSA-1",)
    assert (everything.first_us or 0) < (everything.last_us or 0)
    fuel = reach(path.parent, Filters(client="client-0", purpose="FUEL"), keys=keys)
    assert (fuel.exchanges, fuel.people, fuel.data_classes) == (1, 1, ("personal",))
    nothing = reach(path.parent, Filters(client="nobody"), keys=keys)
    assert (nothing.exchanges, nothing.people, nothing.first_us) == (0, 0, None)


def test_an_erased_client_is_counted_under_its_tag(path: Path) -> None:
    """Who it was cannot be told any more; how many it were can (I9)."""
    tampered(path, "DELETE FROM audit_key")
    assert {name[:7] for (name,) in rows(path, "client")} == {"erased "}


@pytest.fixture
def two_shards(tmp_path: Path) -> Path:
    """The directory of a log of two shards with the same exchanges in each."""
    provisioned(tmp_path)
    using(tmp_path, exchanged)
    retired(tmp_path)
    using_newest(tmp_path, exchanged)
    return tmp_path / "audit"


def test_counts_and_reach_go_over_all_shards(two_shards: Path) -> None:
    """Numbers are added up, and somebody who is in both shards is one person."""
    keys = keys_in(two_shards.parent)
    found = count(two_shards, Filters(), ("client", "purpose"), keys=keys)
    assert {row.group: row.exchanges for row in found.rows} == {
        **{(f"client-{number}", "CARE"): 6 for number in range(3)},
        **{(f"client-{number}", "FUEL"): 2 for number in range(3)},
    }
    (whole,) = count(two_shards, Filters(), (), keys=keys).rows
    assert (whole.exchanges, whole.records, whole.people) == (24, 48, 24)
    reached = reach(two_shards, Filters(), keys=keys)
    assert (reached.exchanges, reached.people, reached.people_counted) == (24, 4, 24)
    assert (reached.first_us, reached.last_us) == (whole.first_us, whole.last_us)
    assert reached.watermark == found.watermark


def test_no_number_lacks_a_part_of_a_shard(
    two_shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where rows are too many to bring together, or an old index is not whole, none is told."""
    keys = keys_in(two_shards.parent)
    monkeypatch.setattr(counting, "GROUPS_MERGED_MAX", 2)
    with pytest.raises(ValueError, match="count by fewer words"):
        count(two_shards, Filters(), ["purpose"], keys=keys)
    monkeypatch.setattr(counting, "catch_up", lambda place, keys: None)
    follower = Follower(find_shards(two_shards)[0], keys=keys)
    follower.forget_all()
    follower.close()
    for reading in (lambda: count(two_shards, Filters(), [], keys=keys),
                    lambda: reach(two_shards, Filters(), keys=keys)):  # fmt: skip
        with pytest.raises(LogUnavailable, match="index"):
            reading()
