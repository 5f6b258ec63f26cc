"""Forwarding: what is published arrives at least once, whatever fails, and nothing personal."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from connectors.tls import Trust
from gateway.audit.entry import KIND_CODES, Kind
from gateway.audit.exports.forward import (
    BACK_OFF_S_MAX,
    INTERVAL_S,
    Cursor,
    Delivery,
    Forwarded,
    Forwarder,
    ForwardFailed,
    Lag,
    back_off_s,
    lag_of,
    read_progress,
)
from gateway.audit.exports.receivers import OtlpReceiver, SyslogReceiver
from gateway.audit.log import AuditLog
from gateway.audit.search.access import AccessLog
from gateway.audit.store import LogUnavailable
from tests.certificates import make_certificate_in
from tests.gateway.audit.exporting import PERSON, export_log
from tests.gateway.audit.records import (
    ORIGIN,
    each_store,
    filled,
    home_of,
    integrated,
    keys_in,
    opened,
    record,
    selected,
    tampered,
    using,
)
from tests.gateway.audit.sharded import integrated_newest, origin_of_newest, retired
from tests.siem import otlp_collector, syslog_listener, trusted

PERSONAL = (PERSON, "192.0.2.7", "SYNTHETIC-USER", "council-app")
SHARD = ORIGIN.rpartition("/")[2]


class Shelf:
    """A receiver in this process: takes what it is told, or refuses when it is told to."""

    name = "shelf"

    def __init__(self, *, unread_bytes_max: int = 0) -> None:
        """Begin empty; each event counts as 100 octets."""
        self.unread_bytes_max = unread_bytes_max
        self.events: list[Forwarded] = []
        self.failing = 0
        self.closed = False

    def deliver(self, events: Sequence[Forwarded]) -> Delivery:
        """Take them."""
        if self.failing:
            self.failing -= 1
            raise ForwardFailed("the shelf is full")
        self.events += events
        return Delivery(100 * len(events))

    def probe(self) -> None:
        """Be there."""

    def close(self) -> None:
        """Close."""
        self.closed = True

    @property
    def indices(self) -> list[int]:
        """Return the indices of what it took, in order."""
        return [body["metadata"]["sequence"] for body in self.bodies]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """Return what it took."""
        return [dict(event.body) for event in self.events]


def forwarder(directory: Path, shelf: Shelf, *, personal: bool = False) -> Forwarder:
    """Return a forwarder of a test's log."""
    keys = keys_in(directory) if personal else None
    return Forwarder(home_of(directory), shelf, keys=keys)


def drained(directory: Path, shelf: Shelf, *, personal: bool = False) -> Shelf:
    """Forward everything that can be, in one life of a process."""
    one = forwarder(directory, shelf, personal=personal)
    try:
        while one.step():
            pass
    finally:
        one.close()
    return shelf


@each_store
def test_what_is_published_is_forwarded_once_and_no_more(tmp_path: Path) -> None:
    """A record that no published checkpoint covers stays (I5); a restart sends nothing again."""
    filled(tmp_path, 150)
    shelf = drained(tmp_path, Shelf())
    assert len(shelf.events) == 1 + 150
    assert {event.kind for event in shelf.events} == {Kind.OPEN, Kind.OUTCOME}

    async def add(log: AuditLog) -> None:
        await log.append(record(Kind.CHANGE, None, core={"verb": "apply", "by": "tests"}))

    using(tmp_path, add)
    assert len(drained(tmp_path, shelf).events) == 151
    assert lag_of(home_of(tmp_path), Cursor(SHARD, 301)).records == 0
    integrated(tmp_path)
    assert lag_of(home_of(tmp_path), Cursor(SHARD, 301)).records == 1
    assert drained(tmp_path, shelf).indices[-1] == 301
    assert len(shelf.events) == 152
    assert read_progress(home_of(tmp_path), "shelf").sent == Cursor(SHARD, 302)


def test_a_failure_loses_nothing_and_keeps_the_order(tmp_path: Path) -> None:
    """After it the same records are sent again, from where they may not have arrived."""
    filled(tmp_path, 300)
    shelf = Shelf()
    one = forwarder(tmp_path, shelf)
    assert one.step()
    shelf.failing = 1
    with pytest.raises(ForwardFailed):
        one.step()
    while one.step():
        pass
    assert one.lag() == Lag(0, 0.0)
    one.close()

    assert shelf.indices == [0, *range(301, 601)]
    assert shelf.closed


def test_what_a_receiver_may_not_have_read_is_sent_again(tmp_path: Path) -> None:
    """Syslog confirms nothing: after a broken connection or a crash its last octets go again."""
    filled(tmp_path, 600)
    shelf = Shelf(unread_bytes_max=20_000)
    drained(tmp_path, shelf)
    kept, sent = read_progress(home_of(tmp_path), "shelf")
    assert kept is not None
    assert sent == Cursor(SHARD, 1201)
    again = [at for at in shelf.indices if at >= kept.next_index]
    assert len(again) * 100 >= 20_000
    assert len(again) < len(shelf.indices)

    first = list(shelf.indices)
    assert drained(tmp_path, shelf).indices == first + again


def test_nothing_personal_is_forwarded_unless_asked(tmp_path: Path) -> None:
    """The marker test: no value of a sealed section is in any octet that leaves."""
    export_log(tmp_path)
    certificate = make_certificate_in(tmp_path)
    with syslog_listener(certificate) as listener, otlp_collector() as collector:
        authorities = trusted(certificate, tmp_path)
        for receiver in (
            SyslogReceiver("localhost", listener.port, trust=Trust(ca_file=authorities)),
            OtlpReceiver(collector.url, trust=Trust()),
        ):
            one = Forwarder(home_of(tmp_path), receiver, keys=None)
            while one.step():
                pass
            one.close()
        listener.received.wait_for(collector.received.indices)
    sent = b"".join(listener.received.messages + collector.received.messages).decode()
    assert "DSA-2026-0003" in sent
    assert len(collector.received.events) == 1 + 1 + 2 * 20
    assert [marker for marker in PERSONAL if marker in sent] == []

    opened_bodies = json.dumps(drained(tmp_path, Shelf(), personal=True).bodies)
    assert [marker for marker in PERSONAL if marker not in opened_bodies] == []


def test_one_process_forwards_and_another_takes_over(tmp_path: Path) -> None:
    """Two of a host do not send everything twice."""
    filled(tmp_path, 10)
    shelf = Shelf()
    leader, other = forwarder(tmp_path, shelf), forwarder(tmp_path, shelf)
    assert not leader.step()
    assert not other.step()
    assert len(shelf.events) == 11
    leader.close()
    assert not other.step()
    other.close()
    assert len(shelf.events) == 11


def test_a_damaged_record_stops_the_forwarding(tmp_path: Path) -> None:
    """It leaves neither as if it were whole nor as if it had not been (F20)."""
    place = filled(tmp_path, 10)
    tampered(place, "UPDATE audit_record SET sections = zeroblob(3) WHERE leaf_index = 15")
    with pytest.raises(ForwardFailed, match="damaged"):
        drained(tmp_path, Shelf())


def test_a_log_that_was_taken_back_is_told_until_its_shard_ends(tmp_path: Path) -> None:
    """A restored backup has fewer records than were forwarded (F11); what follows it is sent."""
    filled(tmp_path, 10)
    drained(tmp_path, Shelf())
    file = tmp_path / "audit" / "forwarded-shelf"
    file.write_text(f"{SHARD} 99\n{SHARD} 99\n")
    with pytest.raises(ForwardFailed, match="taken back"):
        drained(tmp_path, Shelf())
    retired(tmp_path)
    integrated_newest(tmp_path)
    (opening,) = drained(tmp_path, Shelf()).events
    assert (opening.kind, opening.origin) == (Kind.OPEN, origin_of_newest(tmp_path))
    file.write_text("torn")
    with pytest.raises(LogUnavailable, match="cannot be read"):
        forwarder(tmp_path, Shelf())


def test_that_the_log_is_forwarded_is_on_record_first(tmp_path: Path) -> None:
    """A `log.export` record is durable before the first event leaves; failures are waited out."""
    place = filled(tmp_path, 3)
    shelf, told = Shelf(), list[str]()
    shelf.failing = 1
    well = threading.Event()

    def report(failure: Exception | None) -> None:
        told.append(str(failure) if failure else "well")
        if failure is None:
            well.set()

    async def play() -> None:
        log: AccessLog = opened(tmp_path)
        assert isinstance(log, AuditLog)
        await log.start()
        one = forwarder(tmp_path, shelf)
        task = asyncio.get_running_loop().create_task(one.run(log, report))
        assert await asyncio.to_thread(well.wait, 30)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await log.stop()

    asyncio.run(play())
    newest = "SELECT kind FROM audit_record ORDER BY leaf_index DESC LIMIT 1"

    assert told == ["the shelf is full", "well"]
    assert selected(place, newest) == [(KIND_CODES[Kind.EXPORT],)]
    assert shelf.indices == [0, 4, 5, 6]
    assert shelf.closed
    integrated(tmp_path)
    (own,) = drained(tmp_path, Shelf()).bodies[-1:]
    assert own["api"]["operation"] == "log.export"
    assert own["unmapped"]["verb"] == "forward"


def test_pauses_grow_and_end() -> None:
    """A receiver that is away is asked ever more seldom, and at least once a minute."""
    assert [back_off_s(failures) for failures in (0, 1, 2, 3)] == [INTERVAL_S, 2.0, 4.0, 8.0]
    assert back_off_s(1_000) == BACK_OFF_S_MAX


def test_a_next_shard_is_forwarded_after_the_last_of_the_one_before(tmp_path: Path) -> None:
    """None is left out at the end of a shard; a first start begins with the newest."""
    export_log(tmp_path)
    shelf = drained(tmp_path, Shelf())
    before, ended = len(shelf.events), retired(tmp_path)
    integrated_newest(tmp_path)
    drained(tmp_path, shelf)
    ends = [(event.kind, event.origin) for event in shelf.events[before:]]

    assert ends == [(Kind.SEAL, ORIGIN), (Kind.OPEN, ended.next_origin)]
    (tmp_path / "audit" / "forwarded-shelf").unlink()
    anew = drained(tmp_path, Shelf())
    assert [event.origin for event in anew.events] == [ended.next_origin]


def test_what_nobody_thought_of_does_not_end_the_forwarding(tmp_path: Path) -> None:
    """A receiver that fails in a way of its own is told by the failure's class, and tried again."""
    filled(tmp_path, 1)
    told, failed = list[str](), threading.Event()

    class Broken(Shelf):
        def deliver(self, events: Sequence[Forwarded]) -> Delivery:
            raise ZeroDivisionError(PERSON)

    def report(failure: Exception | None) -> None:
        told.append(str(failure))
        failed.set()

    async def play() -> None:
        log = opened(tmp_path)
        await log.start()
        one = forwarder(tmp_path, Broken())
        task = asyncio.get_running_loop().create_task(one.run(log, report))
        assert await asyncio.to_thread(failed.wait, 30)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await log.stop()

    asyncio.run(play())
    assert told == ["ZeroDivisionError"]
