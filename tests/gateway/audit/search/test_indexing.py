"""What records add to the search index, and what is remembered between steps."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from gateway.audit.entry import Kind, pack_sections, unpack_sections
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.log import AuditLog
from gateway.audit.people import year_of
from gateway.audit.reading.reader import snapshot
from gateway.audit.seal import DAY_US
from gateway.audit.search import indexing
from gateway.audit.search.follow import Follower
from gateway.audit.search.index import NAMES, index_path, index_snapshot, open_index
from gateway.audit.search.indexing import Batch, Opened, Remembered
from gateway.audit.search.query import Filters, find, show
from gateway.audit.search.terms import What
from gateway.audit.store import LogUnavailable
from gateway.clock import new_uuid7, system_time_us
from tests.gateway.audit.records import (
    intent,
    keys_in,
    outcome,
    provisioned,
    record,
    selected,
    tampered,
    using,
)

ALIKE: dict[str, object] = {"agreement": "DSA-1", "rule": "R1", "method": "GET", "route": "/a"}


YEAR_US = 366 * DAY_US


def mixed(directory: Path) -> Path:
    """Make a log of exchanges that are alike and ones that are not; return its file."""
    path, exchanges = provisioned(directory), [new_uuid7() for _ in range(6)]

    async def use(log: AuditLog) -> None:
        for number, exchange in enumerate(exchanges):
            core = ALIKE | {"trace_id": f"{number:032x}", "rule": f"R{number % 2}"}
            caller: dict[str, object] = {
                "client": f"app-{number % 2}",
                "token_id_digest": "the same",
            }
            made = record(Kind.INTENT, exchange, core=core, actor=caller, net={"source": "::1"})
            await log.append(replace(made, at_us=made.at_us - YEAR_US * (number % 3 == 0)))
        await log.append(record(Kind.DENY, new_uuid7(), core=ALIKE | {"reason": "NO_AGREEMENT"}))
        for number, exchange in enumerate(exchanges):
            core = {"status": 200, "reason": "OK", "records": number, "bytes": 10 * number}
            await log.append(record(Kind.OUTCOME, exchange, core=core))

    using(directory, use)
    return path


def tag(*tagged: object) -> bytes:
    """Return a tag that shows what it was made of."""
    return repr(tagged).encode()


def indexed(path: Path, keys: Path, remembered: Remembered | None, size: int) -> dict[str, object]:
    """Return the index of a log that is made in steps, each of which remembers or knows nothing."""
    index_path(path).unlink(missing_ok=True)
    db = open_index(path)
    with snapshot(path) as log:
        (end,) = log.execute("SELECT next_index FROM audit_head").fetchone()
        opened = Opened(log, keys_in(keys))
        for first in range(0, end, size):
            batch = Batch(db, opened, remembered or Remembered(), tag)
            for found, core, bodies in opened.rows(first, min(first + size, end)):
                batch.add(found, core, bodies)
            batch.write()
            if remembered is not None:
                remembered.trim()
    kept = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in NAMES}  # noqa: S608 - constants
    db.close()
    return kept


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("most", [0, 1, 1_000])
def test_what_is_remembered_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, most: int
) -> None:
    """Steps that remember words, exchanges and alike records write what forgetful ones write."""
    path = mixed(tmp_path)
    forgetful = indexed(path, tmp_path, None, size)
    for limit in ("WORDS", "EXCHANGES", "CORES"):
        monkeypatch.setattr(indexing, f"{limit}_REMEMBERED_MAX", most)
    remembered = Remembered()

    assert indexed(path, tmp_path, remembered, size) == forgetful
    assert len(remembered.terms) <= most
    assert len(remembered.firsts) <= most


def test_who_calls_often_is_told_apart_by_year_and_by_what_is_said(tmp_path: Path) -> None:
    """What a section names is remembered in a step as it was said, for the year it was said in."""
    found = indexed(mixed(tmp_path), tmp_path, None, 100)["search_tag"]
    this = year_of(system_time_us())
    expected = {
        (tag(year, id_type, value), number + 1, what)
        for number in range(6)
        for year in [year_of(system_time_us() - YEAR_US) if number % 3 == 0 else this]
        for id_type, value, what in (
            ("_client", f"app-{number % 2}", What.CLIENT),
            ("_token", "the same", What.TOKEN),
            ("_source", "::1", What.SOURCE),
        )
    }

    assert isinstance(found, list)
    assert set(found) == expected


def test_records_that_are_alike_are_taken_apart_once(tmp_path: Path) -> None:
    """Two sorts of intents, a refusal, an outcome and the log's beginning: five, of 14 records."""
    remembered = Remembered()
    indexed(mixed(tmp_path), tmp_path, remembered, 100)

    assert len(remembered.terms) == 5


def test_a_long_record_is_not_remembered(tmp_path: Path) -> None:
    """What is kept at hand is bounded in octets too."""
    path = provisioned(tmp_path)

    async def use(log: AuditLog) -> None:
        exchange = new_uuid7()
        await log.append(record(Kind.INTENT, exchange, core={"purpose": "x" * 5_000}))
        await log.append(outcome(exchange))

    using(tmp_path, use)
    remembered = Remembered()
    indexed(path, tmp_path, remembered, 100)

    assert all(len(said) <= 4_096 for _, _, said in remembered.terms)
    assert len(remembered.terms) == 2


def test_who_forgets_writes_words_that_were_not_kept(tmp_path: Path) -> None:
    """After a step that failed nothing is taken for written that was in it."""
    path = provisioned(tmp_path)

    async def use(log: AuditLog) -> None:
        await log.append(intent())

    using(tmp_path, use)
    remembered = Remembered()
    first = indexed(path, tmp_path, remembered, 100)
    remembered.forget()

    assert indexed(path, tmp_path, remembered, 100) == first


TOO_LONG = 2**64 - 1


@pytest.mark.parametrize(
    ("kind", "core"),
    [
        (Kind.OUTCOME, b'{"reason":%b}' % (b"[" * 300 + b"]" * 300)),
        (Kind.ERASURE, b'{"erased":[1]}'),
        (Kind.ERASURE, b'{"erased":[{}]}'),
        (Kind.ERASURE, b'{"erased":[{"indices":[["a","b"]]}]}'),
        (Kind.ERASURE, b'{"erased":[{"indices":[[1,2,3]]}]}'),
        (Kind.ERASURE, b'{"erased":[{"indices":[[0,%d]]}]}' % TOO_LONG),
        (Kind.ERASURE, b'{"day":%d}' % TOO_LONG),
        (Kind.OUTCOME, b'{"bytes":%d}' % TOO_LONG),
    ],
    ids=["deep", "no groups", "no runs", "texts", "triple", "endless", "no day", "too much"],
)
def test_an_edited_record_hides_no_other(tmp_path: Path, kind: Kind, core: bytes) -> None:
    """F20: it is told as damaged, its people are found, and what comes after it is too."""
    path, keys, exchange = provisioned(tmp_path), keys_in(tmp_path), new_uuid7()

    async def use(log: AuditLog) -> None:
        await log.append(intent(exchange))
        ending = None if kind is Kind.ERASURE else exchange
        people: dict[str, object] = {"type": "nhs_number", "ids": ["9990000018"]}
        await log.append(record(kind, ending, core={"reason": "OK"}, subject=people))
        await log.append(record(Kind.DENY, new_uuid7(), core={"reason": "LATER"}))

    using(tmp_path, use)
    edited(path, 2, core)
    told = followed(path, keys)
    later = find(path, Filters(reason="LATER"), keys=keys)
    everything = find(path, Filters(), keys=keys)
    with index_snapshot(path) as index:
        tags = "SELECT count(*) FROM search_tag WHERE what = ?"
        assert index.execute(tags, (What.PERSON.value,)).fetchone() == (1,)

    assert len(told) == 1
    assert str(told[0]).startswith("1 of the records are damaged")
    assert len(later.items) == 1
    assert len(json.loads(orjson.dumps(everything.items))) == 2


@pytest.mark.parametrize("at_us", [253_402_300_800_000_000, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("erased", [False, True])
def test_a_record_of_a_year_that_there_is_not_hides_no_other(
    tmp_path: Path, at_us: int, *, erased: bool
) -> None:
    """F20: it is damaged, also where what it named is looked at again after an erasure."""
    path, keys, exchange = provisioned(tmp_path), keys_in(tmp_path), new_uuid7()
    erasure: dict[str, object] = {"erased": [{"indices": [[2, 2]]}]} if erased else {}

    async def use(log: AuditLog) -> None:
        await log.append(intent(exchange))
        people: dict[str, object] = {"type": "nhs_number", "ids": ["9990000018"]}
        await log.append(record(Kind.OUTCOME, exchange, core={"reason": "OK"}, subject=people))
        await log.append(record(Kind.ERASURE, None, core=erasure))
        await log.append(record(Kind.DENY, new_uuid7(), core={"reason": "LATER"}))

    using(tmp_path, use)
    tampered(path, "UPDATE audit_record SET t = ? WHERE leaf_index = 2", at_us)
    told = followed(path, keys)

    assert [str(one).partition(",")[0] for one in told] == ["1 of the records are damaged"]
    assert len(find(path, Filters(reason="LATER"), keys=keys).items) == 1
    assert len(json.loads(orjson.dumps(find(path, Filters(), keys=keys).items))) == 2


@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_kind_that_there_is_not_hides_nothing(tmp_path: Path, index: int) -> None:
    """F20: the record is damaged, and what can be read of its exchange is found and shown."""
    path, keys, exchange = provisioned(tmp_path), keys_in(tmp_path), new_uuid7()

    async def use(log: AuditLog) -> None:
        await log.append(intent(exchange))
        await log.append(record(Kind.OUTCOME, exchange, core={"reason": "OK"}))
        await log.append(record(Kind.DENY, new_uuid7(), core={"reason": "LATER"}))

    using(tmp_path, use)
    tampered(path, "UPDATE audit_record SET kind = 99 WHERE leaf_index = ?", index)
    told = followed(path, keys)
    items = find(path, Filters(), keys=keys).items
    shown = show(path, exchange, keys=keys)

    assert [str(one).partition(",")[0] for one in told] == ["1 of the records are damaged"]
    assert len(find(path, Filters(reason="LATER"), keys=keys).items) == 1
    assert [one["damaged"] for one in items if "damaged" in one] == [[index]]
    assert len(items) == 2
    assert shown is not None
    assert shown.get("damaged") == ([index] if index < 3 else None)


def followed(path: Path, keys: LogKeys) -> list[LogUnavailable | None]:
    """Let a follower come up with the log; returns what it told."""
    told: list[LogUnavailable | None] = []

    async def follow() -> None:
        stop, follower = asyncio.Event(), Follower(path, keys=keys)
        stop.set()
        await follower.run(stop, told.append)
        follower.close()

    asyncio.run(follow())
    return told


def edited(path: Path, index: int, core: bytes) -> None:
    """Put something else in the place of what a record says in clear."""
    query = "SELECT sections FROM audit_record WHERE leaf_index = ?"
    ((block,),) = selected(path, query, index)
    sections = [
        one._replace(body=core) if one.name == "core" else one for one in unpack_sections(block)
    ]
    change = "UPDATE audit_record SET sections = ? WHERE leaf_index = ?"
    tampered(path, change, pack_sections(sections), index)
