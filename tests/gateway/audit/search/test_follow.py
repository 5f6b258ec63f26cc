"""The follower, and the index that it keeps."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.log import AuditLog
from gateway.audit.people import Person
from gateway.audit.privacy.erasable import Selection
from gateway.audit.seal import DAY_US
from gateway.audit.search import follow
from gateway.audit.search.follow import Follower, catch_up
from gateway.audit.search.index import NAMES, index_path, index_snapshot, watermark
from gateway.audit.search.query import Filters, find, seek_person, show
from gateway.audit.store import LogUnavailable
from gateway.clock import new_uuid7, system_time_us, uuid_text
from tests.gateway.audit.erasing import erased
from tests.gateway.audit.records import (
    each_store,
    filled,
    intent,
    keys_in,
    outcome,
    provisioned,
    record,
    selected,
    tampered,
    using,
)

PEOPLE = ["9990000018", "9990000026"]


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return everything that an index holds."""
    return {name: selected(path, f"SELECT * FROM {name}") for name in NAMES}  # noqa: S608 - constants


def disclosed(directory: Path) -> Path:
    """Make a log in which one exchange has disclosed two people; return its file."""
    path, exchange = provisioned(directory), new_uuid7()

    async def use(log: AuditLog) -> None:
        await log.append(intent(exchange))
        people: dict[str, object] = {"type": "nhs_number", "ids": PEOPLE}
        await log.append(record(Kind.OUTCOME, exchange, core={"status": 200}, subject=people))

    using(directory, use)
    return path


def test_steps_of_any_length_make_the_same_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether an outcome comes in its intent's step or later makes no difference."""
    path, keys = filled(tmp_path, 7), keys_in(tmp_path)
    catch_up(path, keys)
    at_once = rows(index_path(path))
    follower = Follower(path, keys=keys)
    monkeypatch.setattr(follow, "RECORDS_PER_STEP_MAX", 2)
    follower.forget_all()
    steps = 1
    while follower.step():
        steps += 1
    follower.close()
    assert steps == 8
    assert rows(index_path(path)) == at_once
    assert len(at_once["search_row"]) == 8  # the log's first record is one of them


def test_a_person_is_found_by_tag_and_stands_nowhere_in_clear(tmp_path: Path) -> None:
    """The index holds one row for each person of an exchange, and no identifier or client."""
    path, keys = disclosed(tmp_path), keys_in(tmp_path)
    for person in PEOPLE:
        page = find(path, Filters(person=seek_person(f"nhs_number:{person}", keys)), keys=keys)
        assert len(page.items) == 1
    nobody = seek_person("nhs_number:9990000034", keys)
    assert find(path, Filters(person=nobody), keys=keys).items == ()
    stored = b"".join(file.read_bytes() for file in path.parent.glob("index-*"))
    for value in (*PEOPLE, "council-app"):
        assert value.encode() not in stored


def test_without_the_years_key_nobody_is_found(tmp_path: Path) -> None:
    """Destroying a year's key unlinks its people for ever: the next year makes it not anew (I9)."""
    path, keys = disclosed(tmp_path), keys_in(tmp_path)
    catch_up(path, keys)
    (year,) = keys.subject_years()
    (tmp_path / "keys" / f"log-subject-{year}.key").unlink()
    sought = Filters(person=seek_person(f"nhs_number:{PEOPLE[0]}", keys))
    assert find(path, sought, keys=keys).items == ()


def test_a_record_of_a_year_without_a_key_is_not_tagged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index made anew after a year's key was destroyed tags nobody of that year (I9)."""
    path, keys = disclosed(tmp_path), keys_in(tmp_path)
    later = system_time_us() + 366 * 86_400_000_000
    monkeypatch.setattr(follow, "system_time_us", lambda: later)
    catch_up(path, keys)
    assert rows(index_path(path))["search_tag"] == []
    assert keys.subject_years() == ()


def test_between_steps_nobody_is_known(tmp_path: Path) -> None:
    """What was tagged is in clear, and keys may be destroyed: neither outlives a step (I9)."""
    follower = Follower(disclosed(tmp_path), keys=keys_in(tmp_path))
    follower.step()
    assert follower._tags == {}
    assert follower._year_keys == {}
    follower.close()


@pytest.mark.parametrize("indexed", [True, False], ids=["from the index", "before it came in"])
def test_what_was_erased_leaves_the_index(tmp_path: Path, *, indexed: bool) -> None:
    """An erasure takes the tags away that nothing can be opened for any more, and no other (I9)."""
    path, keys = disclosed(tmp_path), keys_in(tmp_path)
    if indexed:
        catch_up(path, keys)
        assert len(rows(index_path(path))["search_tag"]) == 3
    erased(tmp_path, Selection(person=Person("nhs_number", PEOPLE[0])))
    catch_up(path, keys)
    (client,) = rows(index_path(path))["search_tag"]
    assert client[1:] == (1, 2)


def test_a_day_whose_key_goes_leaves_the_index(tmp_path: Path) -> None:
    """The record comes before the key is destroyed: what it tells of is gone all the same (I9)."""
    path, keys = disclosed(tmp_path), keys_in(tmp_path)
    catch_up(path, keys)
    today = system_time_us() // DAY_US

    async def use(log: AuditLog) -> None:
        for day in (today - 2, today - 1, today):
            await log.append(record(Kind.ERASURE, None, core={"by": "day", "day": day}))
            catch_up(path, keys)
            left.append(len(rows(index_path(path))["search_tag"]))

    left: list[int] = []
    using(tmp_path, use)
    assert left[0] == 3
    assert left[2] == 0


def test_a_log_of_another_history_is_indexed_anew(tmp_path: Path) -> None:
    """After an old backup was restored nothing is found that the log does not hold."""
    path, keys = provisioned(tmp_path), keys_in(tmp_path)
    backup = path.read_bytes()
    lost, kept = new_uuid7(), new_uuid7()
    for exchange in (lost, kept):

        async def use(log: AuditLog, exchange: bytes = exchange) -> None:
            await log.append(intent(exchange))

        using(tmp_path, use)
        catch_up(path, keys)
        if exchange is lost:
            for name in (f"{path.name}-wal", f"{path.name}-shm"):
                (path.parent / name).unlink(missing_ok=True)
            path.write_bytes(backup)
    found = [item["exchange_id"] for item in find(path, Filters(), keys=keys).items]
    assert found == [uuid_text(kept)]


def denied(directory: Path, agreements: Sequence[str]) -> None:
    """Add a refusal under each of the agreements."""

    async def use(log: AuditLog) -> None:
        for agreement in agreements:
            await log.append(record(Kind.DENY, new_uuid7(), core={"agreement": agreement}))

    using(directory, use)


def test_a_step_that_found_no_room_is_done_again_with_all_its_words(tmp_path: Path) -> None:
    """A full disk has SQLite roll back by itself: what it took back is not remembered."""
    path, keys = provisioned(tmp_path), keys_in(tmp_path)
    follower = Follower(path, keys=keys)
    assert follower.step() is False
    denied(tmp_path, [f"DSA-{number}" for number in range(400)])
    (pages,) = follower._db.execute("PRAGMA page_count").fetchone()
    follower._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LogUnavailable, match="full"):
        follower.step()
    follower._db.execute(f"PRAGMA max_page_count = {pages + 10_000}")
    assert follower.step() is False
    found = rows(index_path(path))
    follower.forget_all()
    follower.step()
    follower.close()
    assert found == rows(index_path(path))


def test_who_goes_on_where_another_left_remembers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one process makes the index anew, the gateway's follower may take the next step."""
    path, keys = provisioned(tmp_path), keys_in(tmp_path)
    denied(tmp_path, [f"DSA-{number}" for number in range(8)])
    monkeypatch.setattr(follow, "RECORDS_PER_STEP_MAX", 3)
    gateways, anew = Follower(path, keys=keys), Follower(path, keys=keys)
    while gateways.step():
        pass
    whole = rows(index_path(path))
    anew.forget_all()
    assert anew.step()
    while gateways.step():
        pass
    gateways.close()
    anew.close()
    assert rows(index_path(path)) == whole


def test_one_process_follows_and_the_other_goes_on(tmp_path: Path) -> None:
    """Who does not get the lock does nothing; a search then shows how far the index is (I3)."""
    path, keys = filled(tmp_path, 1), keys_in(tmp_path)
    one, other = Follower(path, keys=keys), Follower(path, keys=keys)
    with one._lock:
        assert other.step() is False
        with index_snapshot(path) as db:
            assert watermark(db).next_index == 0
    assert other.step() is False
    with index_snapshot(path) as db:
        assert watermark(db).next_index == 3
    one.close()
    other.close()


def test_a_killed_follower_leaves_a_whole_index(tmp_path: Path) -> None:
    """A step that did not commit is done again, and the index is that of an untroubled follower."""
    path, keys = filled(tmp_path, 5), keys_in(tmp_path)
    child = os.fork()
    if child == 0:
        follower = Follower(path, keys=keys)
        follower._db.set_trace_callback(
            lambda statement: (
                os.kill(os.getpid(), signal.SIGKILL) if statement.startswith("COMMIT") else None
            )
        )
        follower.step()
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    with index_snapshot(path) as db:
        assert watermark(db).next_index == 0
    catch_up(path, keys)
    assert len(find(path, Filters(), keys=keys).items) == 5


def test_an_index_that_is_no_database_is_told(tmp_path: Path) -> None:
    """A torn file ends no process: the failure says what is wrong."""
    path = filled(tmp_path, 1)
    index_path(path).write_bytes(b"torn" * 2048)
    with pytest.raises(LogUnavailable, match="index cannot be opened"):
        Follower(path, keys=LogKeys(tmp_path / "keys"))


def test_the_follower_runs_until_it_is_stopped(tmp_path: Path) -> None:
    """It tells after every step how it went, and steps a last time at the end."""
    path, keys = provisioned(tmp_path), keys_in(tmp_path)
    told: list[LogUnavailable | None] = []

    async def use(log: AuditLog) -> None:
        stop, follower = asyncio.Event(), Follower(path, keys=keys)
        running = asyncio.get_running_loop().create_task(follower.run(stop, told.append))
        exchange = new_uuid7()
        await log.append(intent(exchange))
        await log.append(outcome(exchange))
        stop.set()
        await running
        follower.close()

    using(tmp_path, use)
    with index_snapshot(path) as db:
        assert watermark(db).next_index == 3
    assert set(told) == {None}


@each_store
@pytest.mark.parametrize("mark", [b"\x04core", b'{"agreement'], ids=["sealed", "clear"])
def test_one_damaged_byte_hides_no_other_record(tmp_path: Path, mark: bytes) -> None:
    """F20: it is told once, everything else is found, and the exchange itself is still shown."""
    path, keys = filled(tmp_path, 3), keys_in(tmp_path)
    ((exchange, block),) = selected(
        path, "SELECT exchange, sections FROM audit_record WHERE leaf_index = 2"
    )
    at = bytes(block).index(mark) - (mark[0] == 4)
    broken = block[:at] + bytes([block[at] ^ 1]) + block[at + 1 :]
    tampered(path, "UPDATE audit_record SET sections = ? WHERE leaf_index = 2", broken)
    told: list[LogUnavailable | None] = []

    async def follow() -> None:
        stop, follower = asyncio.Event(), Follower(path, keys=keys)
        stop.set()
        await follower.run(stop, told.append)
        await follower.run(stop, told.append)
        follower.close()

    asyncio.run(follow())
    page = find(path, Filters(), keys=keys)
    shown = show(path, exchange, keys=keys)

    assert [str(one) if one else None for one in told] == [
        "1 of the records are damaged, and found by what is whole of them; the first is 2:"
        " see concordat audit verify",
        None,
    ]
    assert len(page.items) == 3
    assert [one["damaged"] for one in page.items if "damaged" in one] == [[2]]
    assert shown is not None
    assert (shown["status"], shown["damaged"]) == (200, [2])
