"""Processes that stand still or die at any step of the tree's work, and two that do it at once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.audit.disk.locks import FileLock
from gateway.audit.log import AuditLog
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.reading.reader import find_log, verify_log
from gateway.audit.sqlite import LOCK_NAME
from gateway.audit.store import LogBusy, LogUnavailable
from gateway.clock import new_uuid7
from tests.gateway.audit.records import (
    ORIGIN,
    filled,
    integrated,
    intent,
    keys_in,
    outcome,
    provisioned,
    selected,
    using,
)
from tests.test_tidy import ROOT

HOLDER = """
import sys, time
from pathlib import Path
from gateway.audit.disk.locks import FileLock
lock = FileLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def stopped_holder(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that holds a lock of the log and stands still."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        os.kill(holder.pid, signal.SIGSTOP)
        yield holder
    finally:
        holder.kill()
        holder.communicate()


def test_a_process_that_stands_still_in_an_append_costs_time_and_nothing_else(
    tmp_path: Path,
) -> None:
    """F13: appends are answered as too late and never stored; then all goes on (I3, I10)."""
    provisioned(tmp_path)

    async def use(log: AuditLog) -> None:
        with stopped_holder(log.directory / LOCK_NAME) as holder:
            late = await asyncio.gather(
                *[log.append(intent()) for _ in range(3)], return_exceptions=True
            )
            assert [type(one) for one in late] == [LogBusy] * 3
            os.kill(holder.pid, signal.SIGCONT)
        exchange = new_uuid7()
        assert (await log.append(intent(exchange))).index == 1
        assert (await log.append(outcome(exchange))).index == 2

    using(tmp_path, use)
    assert selected(find_log(tmp_path / "audit"), "SELECT next_index FROM audit_head") == [(3,)]


def test_an_integrator_that_stands_still_holds_up_no_append(tmp_path: Path) -> None:
    """F13: its lead is a lock of its own; another takes over once it is gone (I6)."""
    provisioned(tmp_path)

    async def use(log: AuditLog) -> None:
        with stopped_holder(log.directory / "integrator.lock"):
            await log.append(intent())
            waiting = Integrator(log.directory, origin=ORIGIN, keys=keys_in(tmp_path))
            assert not waiting.step()
            assert waiting.published_size == 0
        waiting.step()
        assert waiting.published_size == 2
        waiting.close()

    using(tmp_path, use)


def test_two_integrators_at_once_make_one_tree(tmp_path: Path) -> None:
    """F18: under load, two that step all the time never contradict each other (I5)."""
    filled(tmp_path, 1)
    failures: list[LogUnavailable] = []
    stop = threading.Event()

    def step_on() -> None:
        while not stop.is_set():
            one = Integrator(tmp_path / "audit", origin=ORIGIN, keys=keys_in(tmp_path))
            try:
                one.step()
            except LogUnavailable as failure:
                failures.append(failure)
            finally:
                one.close()

    async def use(log: AuditLog) -> None:
        for _ in range(40):
            ids = [new_uuid7() for _ in range(20)]
            await asyncio.gather(*[log.append(intent(one)) for one in ids])
            await asyncio.gather(*[log.append(outcome(one)) for one in ids])

    steppers = [threading.Thread(target=step_on) for _ in range(2)]
    for stepper in steppers:
        stepper.start()
    try:
        using(tmp_path, use)
    finally:
        stop.set()
        for stepper in steppers:
            stepper.join()
    path = integrated(tmp_path)
    assert failures == []
    vkey = keys_in(tmp_path).signer(ORIGIN).verifier.vkey()
    report = verify_log(path, vkey=vkey)
    assert (report.ok, report.size) == (True, 1 + 2 + 1600)
    assert report.checkpoints > 3
    tiles = selected(path, "SELECT length(hashes) FROM audit_tile WHERE level = 0")
    assert tiles == [(8192,)] * (report.size // 256)
    lock = FileLock(path.parent / "integrator.lock")
    assert lock.try_acquire()
    lock.close()
