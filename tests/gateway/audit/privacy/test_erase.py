"""Erasure: gone for good, told in the log, and every proof as before (I9, F21)."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from gateway.audit.entry import KIND_CODES, EntryInvalid, Kind, unwrap_keys
from gateway.audit.holds import adding, new_hold, read_holds
from gateway.audit.log import AuditLog
from gateway.audit.privacy.erasable import Selection, Tally, planned
from gateway.audit.privacy.erase import count, erase, erasure_record, holds_of
from gateway.audit.privacy.keyed import core_of, wrapped_names
from gateway.audit.publishing.proofs import prove_index
from gateway.audit.reading.reader import find_log, snapshot, verify_log
from gateway.audit.search.query import show
from gateway.audit.store import Beside, Overtaken
from gateway.clock import new_uuid7, system_time_us
from tests.gateway.audit.erasing import ANN, BOB, ORDER, erased, with_exchanges
from tests.gateway.audit.records import (
    ORIGIN,
    each_store,
    integrated,
    intent,
    keys_in,
    opened,
    record,
    selected,
    tampered,
    using,
)

KILLS: Final = 6
"""Processes killed in the middle of erasing, each at another moment."""
ERASED_ONE_BY_ONE: Final = 80
"""Exchanges for them to erase, more than they get to."""


def told(path: Path) -> dict[int, set[str]]:
    """Return what the log's own records say was erased: sections by index."""
    rows = selected(
        path, "SELECT sections FROM audit_record WHERE kind = ?", KIND_CODES[Kind.ERASURE]
    )
    gone: dict[int, set[str]] = {}
    for (sections,) in rows:
        for group in core_of(sections)["erased"]:
            for first, last in group["indices"]:
                for index in range(first, last + 1):
                    gone.setdefault(index, set()).update(group["sections"])
    return gone


def wrapped_of(path: Path) -> dict[int, bytes]:
    """Return the wrapped keys that the log still has."""
    return dict(selected(path, "SELECT leaf_index, wrapped FROM audit_key"))


@each_store
def test_a_person_is_erased_and_everybody_else_stays(tmp_path: Path) -> None:
    """I9: sections about Ann cannot be opened any more; who asked stays, and so does Bob."""
    path, (about_ann, about_bob) = with_exchanges(tmp_path, [ANN], [BOB])
    keys, proof = keys_in(tmp_path), prove_index(path, 1)[1] or ""
    tally = erased(tmp_path, Selection(person=ANN))
    assert (tally.records, dict(tally.sections)) == (2, {"subject": 2, "payload": 1})
    ann, bob = show(path, about_ann, keys=keys), show(path, about_bob, keys=keys)
    assert ann is not None
    assert bob is not None
    assert ann["sections"] == {
        "subject": None,
        "payload": None,
        "actor": {"client": "council-app"},
        "net": {"source": "192.0.2.7"},
    }
    assert isinstance(bob["sections"], dict)
    assert bob["sections"]["subject"]["ids"] == ["999 0000026"]
    assert told(path) == {1: {"payload", "subject"}, 2: {"subject"}}
    again = prove_index(path, 1)[1] or ""
    assert again.splitlines()[2] == proof.splitlines()[2]


@each_store
def test_every_proof_is_valid_after_an_erasure(tmp_path: Path) -> None:
    """I9: counts, order and signed heads are unchanged; the verifier counts what is erased."""
    path, _ = with_exchanges(tmp_path, [ANN], [BOB], [ANN, BOB])
    vkey = keys_in(tmp_path).signer(ORIGIN).verifier.vkey()
    before = verify_log(path, vkey=vkey, keys=keys_in(tmp_path))
    assert erased(tmp_path, Selection(person=ANN)).shared == 2
    after = verify_log(path, vkey=vkey, keys=keys_in(tmp_path))
    assert (after.ok, after.faults) == (True, ())
    assert after.size == before.size + 1
    # Three more are those of the erasure's record: authority, and no person.
    assert (after.opened, after.erased) == (before.opened - 6 + 1, 6)


@pytest.mark.parametrize("exchanges", [1, 20])
def test_the_old_bytes_are_in_no_file(tmp_path: Path, exchanges: int) -> None:
    """I9: neither the database nor its write-ahead log holds the wrapped keys afterwards.

    Nor does what SQLite left in a page when the table grew beyond its first one.
    """
    path, _ = with_exchanges(tmp_path, *[[ANN]] * exchanges, [BOB])
    before = wrapped_of(path)
    held_open = opened(tmp_path)  # a gateway's connection, so that the WAL is not removed
    erased(tmp_path, Selection(person=ANN))
    after = wrapped_of(path)
    changed = {index: old for index, old in before.items() if after.get(index) != old}
    assert set(changed) == set(range(1, 1 + 2 * exchanges))
    everything = b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())
    for old in changed.values():
        names_end = 1 + old[0]
        assert old[names_end:] not in everything
        assert old[names_end + 12 : names_end + 44] not in everything
    asyncio.run(_stopped(held_open))


async def _stopped(log: AuditLog) -> None:
    await log.start()
    await log.stop()


@each_store
def test_old_ciphertext_stays_noise_when_it_is_restored(tmp_path: Path) -> None:
    """F21: a copy of the records from before the erasure opens with no key that is left (I9)."""
    path, _ = with_exchanges(tmp_path, [ANN])
    (copy,) = selected(path, "SELECT record_id, sections FROM audit_record WHERE leaf_index = 2")
    erased(tmp_path, Selection(person=ANN))
    tampered(path, "UPDATE audit_record SET sections = ? WHERE leaf_index = 2", copy[1])
    assert selected(path, "SELECT 1 FROM audit_key WHERE leaf_index = 2") == []
    keys = keys_in(tmp_path)
    others = selected(path, "SELECT kek_id, wrapped FROM audit_key")
    for day, wrapped in others:
        kek = keys.find_day_key(day)
        assert kek is not None
        with pytest.raises(EntryInvalid):
            unwrap_keys(kek, ORIGIN, copy[0], wrapped)
    assert verify_log(path, keys=keys).ok


@each_store
def test_a_reader_of_an_earlier_moment_does_not_hinder_an_erasure(tmp_path: Path) -> None:
    """F21: whoever reads or exports meanwhile goes on; the erasure is whole all the same (I9)."""
    path, _ = with_exchanges(tmp_path, [ANN])
    with snapshot(path) as reading:
        before = reading.execute("SELECT count(*) FROM audit_key").fetchone()[0]

        async def use(log: AuditLog) -> None:
            await erase(log, keys_in(tmp_path), Selection(person=ANN), ORDER, agreements=())

        using(tmp_path, use)
        assert reading.execute("SELECT count(*) FROM audit_key").fetchone()[0] == before
    assert sorted(told(path)) == [1, 2]
    assert verify_log(path, keys=keys_in(tmp_path)).ok


@each_store
def test_an_exchange_and_what_is_older_can_be_erased_by_section(tmp_path: Path) -> None:
    """All sections of one exchange; one class of everything before a time."""
    path, (first, second) = with_exchanges(tmp_path, [ANN], [BOB])
    assert erased(tmp_path, Selection(exchange=first)).sections == {
        "actor": 1, "net": 1, "payload": 1, "subject": 2,
    }  # fmt: skip
    old = Selection(before_us=system_time_us(), sections=frozenset({"net"}))
    assert erased(tmp_path, old).sections == {"net": 1}
    view = show(path, second, keys=keys_in(tmp_path))
    assert view is not None
    assert isinstance(view["sections"], dict)
    assert view["sections"]["net"] is None
    assert view["sections"]["actor"] == {"client": "council-app"}
    assert erased(tmp_path, old).records == 0


def test_records_whose_clock_was_put_back_are_erased_with_their_exchange(tmp_path: Path) -> None:
    """F14: an outcome may have an identifier from before its exchange's own (I9)."""
    exchange, hour_ms = new_uuid7(), 3_600_000

    async def use(log: AuditLog) -> None:
        begun = await log.append(intent(exchange))
        named: dict[str, object] = {"type": "nhs_number", "ids": [ANN.normalised_id]}
        late = record(
            Kind.OUTCOME, exchange, core={"status": 200, "intent": begun.index}, subject=named
        )
        made_ms = int.from_bytes(late.record_id[:6], "big") - hour_ms
        earlier = made_ms.to_bytes(6, "big") + late.record_id[6:]
        await log.append(replace(late, record_id=earlier))

    using(tmp_path, use)
    integrated(tmp_path)
    assert count_of(tmp_path, Selection(exchange=exchange)) == {"actor": 1, "subject": 1}
    assert count_of(tmp_path, Selection(person=ANN)) == {"subject": 1}
    assert erased(tmp_path, Selection(exchange=exchange)).records == 2


def count_of(directory: Path, selection: Selection) -> dict[str, int]:
    """Return what a selection would erase, by section."""
    path, keys = find_log(directory / "audit"), keys_in(directory)
    return dict(count(path, keys, selection, holds_of(path, keys), ()).sections)


@each_store
def test_nothing_is_changed_by_counting(tmp_path: Path) -> None:
    """What an erasure would do can be told before it is done."""
    path, _ = with_exchanges(tmp_path, [ANN], [BOB])
    before = wrapped_of(path)
    keys = keys_in(tmp_path)
    tally = count(path, keys, Selection(person=ANN), holds_of(path, keys), ())
    assert (tally.records, tally.shared) == (2, 0)
    assert wrapped_of(path) == before


@each_store
def test_an_erasure_is_refused_whole_where_a_hold_came_meanwhile(tmp_path: Path) -> None:
    """What was planned without a hold is not done after it; nothing is half erased (I9)."""
    path, (exchange, *_) = with_exchanges(tmp_path, [ANN])
    before, keys = wrapped_of(path), keys_in(tmp_path)
    with snapshot(path) as db:
        holds = read_holds(db, keys.state_key())
        about = Selection(person=ANN)
        slots = list(planned(db, path, keys, about, Tally(), holds=holds, agreements=()))

    async def use(log: AuditLog) -> None:
        hold = adding(new_hold(exchange, "LITIGATION"), keys.state_key())
        await log.append(record(Kind.CHANGE, None, core={"verb": "hold"}), counters=hold)
        changes: list[Beside] = [holds.unchanged(), *[slot.change for slot in slots]]
        with pytest.raises(Overtaken):
            await log.append(erasure_record(slots, ORDER, by="person"), counters=changes)

    using(tmp_path, use)
    assert wrapped_of(path) == before
    assert told(path) == {}


@each_store
def test_a_killed_erasure_leaves_both_or_neither(tmp_path: Path) -> None:
    """I9 under kill -9: each record of an erasure has its keys gone, each key gone its record."""
    path, _ = with_exchanges(tmp_path, *[[ANN]] * ERASED_ONE_BY_ONE)
    started = wrapped_of(path)
    for kill in range(KILLS):
        command = [sys.executable, "-m", "tests.gateway.audit.eraser", str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as eraser:
            assert eraser.stdout is not None
            for _ in range(1 + 3 * kill):
                assert eraser.stdout.readline()
            eraser.send_signal(signal.SIGKILL)
        gone = told(path)
        left = wrapped_of(path)
        changed = {index for index, old in started.items() if left.get(index) != old}
        assert changed == set(gone)
        assert all(
            not gone[index] & set(wrapped_names(left[index])) for index in changed & set(left)
        )
    assert verify_log(integrated(tmp_path), keys=keys_in(tmp_path)).ok
    assert 0 < len(told(path)) < len(started)
