"""What callers may rely on, whichever the store: what is refused, what is kept, what is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.audit.entry import Kind
from gateway.audit.log import AuditLog
from gateway.audit.merkle import leaf_hash
from gateway.audit.store import (
    AlreadyClosed,
    Append,
    AppendRefused,
    Claim,
    ClaimTaken,
    CounterChange,
    CounterExceeded,
    LogBusy,
    LogFrozen,
    LogUnavailable,
    Position,
    RecordRepeated,
)
from gateway.clock import new_uuid7, system_time_us
from tests.gateway.audit.records import (
    each_store,
    intent,
    outcome,
    place_in,
    provisioned,
    record,
    selected,
    using,
)

WRITERS = 3
LATER_US = system_time_us() + 3_600_000_000


def test_every_failure_has_a_code_of_its_own_and_one_of_two_parents() -> None:
    """Callers catch LogUnavailable for "nothing may be done", AppendRefused for "not this"."""
    failures: list[type[LogUnavailable]] = [LogUnavailable, LogBusy, LogFrozen]
    refusals: list[type[AppendRefused]] = [
        AppendRefused,
        ClaimTaken,
        CounterExceeded,
        RecordRepeated,
        AlreadyClosed,
    ]
    assert all(issubclass(kind, LogUnavailable) for kind in failures)
    assert all(issubclass(kind, AppendRefused) for kind in refusals)
    codes = [kind.code for kind in failures] + [kind.code for kind in refusals]
    assert len(set(codes)) == len(codes)


def test_no_key_is_in_a_refusals_text() -> None:
    """A claim's key may stand for a person's token, so texts do not show it."""
    assert "secret" not in str(ClaimTaken(b"secret"))
    assert "secret" not in str(CounterExceeded(b"secret"))


@each_store
def test_a_claim_is_taken_once_and_refuses_one_record_only(tmp_path: Path) -> None:
    """Of three appends in one batch the repeated claim fails, and takes no index (I4)."""

    async def use(log: AuditLog) -> None:
        claim = Claim(b"jti", LATER_US)
        answers = await asyncio.gather(
            log.append(intent(), claims=[claim]),
            log.append(intent(), claims=[claim]),
            log.append(intent()),
            return_exceptions=True,
        )
        assert isinstance(answers[1], ClaimTaken)
        assert answers[1].key == b"jti"
        places = [answer.index for answer in answers if isinstance(answer, Position)]
        assert places == [1, 2]

    using(tmp_path, use)
    assert selected(place_in(tmp_path), "SELECT key FROM audit_claim") == [(b"jti",)]


@each_store
def test_a_claim_is_free_again_once_released_or_expired(tmp_path: Path) -> None:
    """A later append may release a claim, and an expired one holds nobody up."""

    async def use(log: AuditLog) -> None:
        await log.append(intent(), claims=[Claim(b"form", LATER_US), Claim(b"old", 1)])
        await log.append(intent(), claims=[Claim(b"old", LATER_US)])
        await log.append(intent(), releases=[b"form"])
        await log.append(intent(), claims=[Claim(b"form", LATER_US)])
        with pytest.raises(ClaimTaken):
            await log.append(intent(), claims=[Claim(b"form", LATER_US)])

    using(tmp_path, use)


@each_store
def test_a_refused_record_leaves_no_other_claim_behind(tmp_path: Path) -> None:
    """All changes of one append happen or none does."""

    async def use(log: AuditLog) -> None:
        await log.append(intent(), claims=[Claim(b"taken", LATER_US)])
        both = [Claim(b"free", LATER_US), Claim(b"taken", LATER_US)]
        with pytest.raises(ClaimTaken):
            await log.append(intent(), claims=both)
        await log.append(intent(), claims=[Claim(b"free", LATER_US)])

    using(tmp_path, use)


@each_store
def test_a_counter_stops_at_its_maximum_and_survives_a_restart(tmp_path: Path) -> None:
    """Additions above the maximum are refused, also at first; what is given back counts."""

    async def use(log: AuditLog) -> None:
        day = b"subjects/2026-11-22"
        await log.append(intent(), counters=[CounterChange(day, 8, 10)])
        with pytest.raises(CounterExceeded):
            await log.append(intent(), counters=[CounterChange(day, 3, 10)])
        with pytest.raises(CounterExceeded):
            await log.append(intent(), counters=[CounterChange(b"other", 11, 10)])
        await log.append(intent(), counters=[CounterChange(day, -1, 0)])

    async def again(log: AuditLog) -> None:
        day = b"subjects/2026-11-22"
        await log.append(intent(), counters=[CounterChange(day, 3, 10)])
        with pytest.raises(CounterExceeded):
            await log.append(intent(), counters=[CounterChange(day, 1, 10)])

    using(tmp_path, use)
    using(tmp_path, again)


@each_store
def test_an_exchange_has_one_terminal_record(tmp_path: Path) -> None:
    """A second outcome is a late one, and a closed exchange is not indeterminate (I4)."""
    exchange = new_uuid7()

    async def use(log: AuditLog) -> None:
        await log.append(intent(exchange))
        await log.append(outcome(exchange))
        late = await log.append(outcome(exchange))
        with pytest.raises(AlreadyClosed):
            await log.append(record(Kind.INDETERMINATE, exchange, core={}))
        assert late.index == 3

    using(tmp_path, use)
    path = place_in(tmp_path)
    rows = selected(path, "SELECT kind, entry, leaf_hash FROM audit_record ORDER BY leaf_index")
    assert [row[0] for row in rows] == [9, 1, 2, 4]
    assert b'"kind":"exchange.late_outcome"' in rows[3][1]
    assert leaf_hash(rows[3][1]) == rows[3][2]


@each_store
def test_a_retry_finds_its_place_and_a_second_intent_is_refused(tmp_path: Path) -> None:
    """The same sealed record keeps its index; an open exchange is not begun twice (I4)."""

    async def use(log: AuditLog) -> None:
        made = intent()
        sealed = log._sealer.seal(made)
        first = await log._store.append([Append(sealed)])
        again = await log._store.append([Append(sealed)])
        assert first == again
        with pytest.raises(RecordRepeated):
            await log.append(intent(made.exchange))

    using(tmp_path, use)


@each_store
def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Three processes write and are killed -9, twice: no gap, nothing lost (I3, I4)."""
    provisioned(tmp_path)
    acknowledged: dict[int, str] = {}
    for _ in range(2):
        writers = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.gateway.audit.writer", str(tmp_path)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(WRITERS)
        ]
        for writer in writers:  # each has acknowledged some before the first is killed
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(25)]
            acknowledged |= {int(line.split()[0]): line.split()[1] for line in lines}
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            whole = [line for line in writer.communicate()[0].splitlines(True) if line[-1] == "\n"]
            acknowledged |= {int(line.split()[0]): line.split()[1] for line in whole}
    path = place_in(tmp_path)
    rows = selected(path, "SELECT leaf_index, leaf_hash FROM audit_record ORDER BY leaf_index")
    stored = {index: leaf.hex() for index, leaf in rows}
    assert list(stored) == list(range(len(stored)))
    assert len(acknowledged) >= 2 * WRITERS * 25
    assert {index: stored.get(index) for index in acknowledged} == acknowledged
    assert selected(path, "SELECT next_index FROM audit_head") == [(len(stored),)]
