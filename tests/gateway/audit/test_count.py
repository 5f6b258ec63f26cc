"""Counts and reach, on a log whose numbers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.audit import count as counting
from gateway.audit.count import PERIODS, Count, Counts, count, publishable, reach
from gateway.audit.entry import Kind
from gateway.audit.index import Watermark
from gateway.audit.log import AuditLog
from gateway.audit.search import Filters
from gateway.clock import new_uuid7
from tests.gateway.audit.records import keys_in, provisioned, record, tampered, using

EXCHANGES = 12
WEEK_US = PERIODS["week"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve exchanges, of two purposes and three clients, about four people."""
    directory = tmp_path_factory.mktemp("count")
    file = provisioned(directory)

    async def use(log: AuditLog) -> None:
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

    using(directory, use)
    return file


def rows(path: Path, *by: str, **filters: Any) -> dict[tuple[str, ...], tuple[int | None, ...]]:
    """Count, and return exchanges, records and people by group."""
    found = count(path, Filters(**filters), by, keys=keys_in(path.parent.parent)).rows
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


def test_public_counts_hold_no_small_number(path: Path) -> None:
    """1 to 7 are not told, others are rounded to five, and no client is named."""
    keys = keys_in(path.parent.parent)
    counts = count(path, Filters(), ["purpose"], keys=keys)
    assert publishable(counts, Filters(), ["purpose"]).rows == (
        Count(group=("CARE",), exchanges=10, records=20, people=10, dropped=0),
        Count(group=("FUEL",), exchanges=None, records=None, people=None, dropped=0),
    )
    with pytest.raises(ValueError, match="public counts"):
        publishable(counts, Filters(), ["client"])


@pytest.mark.parametrize(
    "asked",
    [
        {"client": "client-0"}, {"actor": "SYNTHETIC-USER"}, {"case": "CASE-1"}, {"status": 200},
        {"break_glass": True}, {"alert": False}, {"kind": Kind.CHANGE},
        {"from_us": WEEK_US + 1}, {"until_us": WEEK_US // 7},
    ],
)  # fmt: skip
def test_public_counts_are_of_nobody_and_of_whole_weeks(asked: dict[str, Any]) -> None:
    """What may not divide may not filter either: one client's hour, one user, one case."""
    counts = Counts(rows=(), watermark=Watermark(next_index=0, at_us=0))
    with pytest.raises(ValueError, match="public counts are"):
        publishable(counts, Filters(**asked), ["purpose"])
    allowed = Filters(purpose="CARE", agreement="DSA-1", from_us=WEEK_US, until_us=2 * WEEK_US)
    assert publishable(counts, allowed, ["purpose", "week"]) == counts


def test_reach_tells_people_apart_and_names_nobody(path: Path) -> None:
    """Four people in twelve answers, of which one client saw all four."""
    keys = keys_in(path.parent.parent)
    everything = reach(path, Filters(), keys=keys)
    assert (everything.exchanges, everything.records, everything.octets) == (12, 24, 120)
    assert (everything.people, everything.people_counted) == (4, 12)
    assert everything.data_classes == ("health", "personal")
    assert everything.agreements == ("DSA-1",)
    assert (everything.first_us or 0) < (everything.last_us or 0)
    fuel = reach(path, Filters(client="client-0", purpose="FUEL"), keys=keys)
    assert (fuel.exchanges, fuel.people, fuel.data_classes) == (1, 1, ("personal",))
    nothing = reach(path, Filters(client="nobody"), keys=keys)
    assert (nothing.exchanges, nothing.people, nothing.first_us) == (0, 0, None)


def test_an_erased_client_is_counted_under_its_tag(path: Path) -> None:
    """Who it was cannot be told any more; how many it were can (I9)."""
    tampered(path, "DELETE FROM audit_key")
    assert {name[:7] for (name,) in rows(path, "client")} == {"erased "}
