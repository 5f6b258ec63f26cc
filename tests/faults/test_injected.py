"""The kernel refuses, or kills: every write, sync, truncation, removal and renaming in its turn.

`make faults` injects each fault at every call of each kind; the suite does so at some of them.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from gateway.audit.disk.doubt import is_in_doubt
from gateway.audit.entry import KIND_CODES, Kind
from gateway.audit.log import AuditLog
from gateway.audit.reading.reader import find_log, find_shards, shard_name, verify_log
from gateway.audit.tree import read_sealed_head
from gateway.clock import new_uuid7
from tests.faults.forked import FORKED
from tests.faults.victim import COMPLAINED, SAID, meet_faults
from tests.gateway.audit.lifecycle.test_shards import HOST, first_record, newest, retired
from tests.gateway.audit.records import (
    ORIGIN,
    filled,
    integrated,
    intent,
    keys_in,
    outcome,
    selected,
    using,
)

CALLS: Final = ("pwrite64", "fsync", "fdatasync", "ftruncate", "unlink", "rename")
FAULTS: Final = ("error=EIO", "error=ENOSPC", "signal=KILL")
VICTIM_S_MAX: Final = 60.0

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@dataclass(frozen=True)
class Injection:
    """The `number`-th call of `call` fails as `fault` says."""

    call: str
    number: int
    fault: str

    def words(self) -> tuple[str, ...]:
        """Return it as strace takes it; of other calls it keeps no trace."""
        inject = f"inject={self.call}:{self.fault}:when={self.number}"
        return "-e", f"trace={self.call}", "-e", inject


@dataclass(frozen=True)
class Done:
    """How a victim ended, what it said until then, and why it broke off."""

    exit_code: int | None
    said: str
    complained: str


def run_victim(what: str, directory: Path, *trace: str) -> Done:
    """Run the victim, traced from where it has loaded everything and done nothing yet."""
    gate, theirs = FORKED.Pipe()
    victim = FORKED.Process(target=meet_faults, args=(what, directory, theirs))
    victim.start()
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", directory / "trace", *trace, "-p", str(victim.pid)]
    )
    try:
        while not is_traced(victim.pid):
            assert tracer.poll() is None
            time.sleep(0.002)
        gate.send(None)
        victim.join(VICTIM_S_MAX)
        assert victim.exitcode is not None
        tracer.wait(VICTIM_S_MAX)
    finally:
        victim.kill()
        tracer.kill()
        tracer.wait()
        gate.close()
        theirs.close()
    said, complained = ((directory / name).read_text() for name in (SAID, COMPLAINED))
    return Done(victim.exitcode, said, complained)


def is_traced(pid: int | None) -> bool:
    """Tell whether somebody traces a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return re.search(r"^TracerPid:\t0$", status, re.MULTILINE) is None


def calls_of(what: str, base: Path, scratch: Path) -> Counter[str]:
    """Return how often a victim that meets no fault makes each call."""
    shutil.copytree(base, scratch)
    done = run_victim(what, scratch, "-e", f"trace={','.join(CALLS)}")
    assert done.exit_code == 0, done.complained
    trace = (scratch / "trace").read_text(errors="replace")
    shutil.rmtree(scratch)
    return Counter(re.findall(r"^\d+ +(\w+)\(", trace, re.MULTILINE))


def injections(calls: Counter[str], *, thorough: bool) -> Iterator[Injection]:
    """Yield every injection, or each fault once, late in the kind of call where it tells most."""
    sync = max(("fsync", "fdatasync"), key=calls.__getitem__)
    telling = dict(zip(FAULTS, (sync, "pwrite64", "pwrite64"), strict=True))
    for fault in FAULTS:
        if not thorough:
            yield Injection(telling[fault], calls[telling[fault]] * 2 // 3, fault)
            continue
        for call, count in sorted(calls.items()):
            yield from (Injection(call, number, fault) for number in range(1, count + 1))


def promised(said: str) -> dict[int, str]:
    """Return the records that a victim was told are durable."""
    return {
        int(line.split()[0]): line.split()[1]
        for line in said.splitlines()
        if line[0].isdigit() and len(line.split()) == 2
    }


def judge(directory: Path, said: str, injection: Injection) -> None:
    """Hold the log to what was promised and published; then it must go on as ever (I3, I4, I5)."""
    lines = said.splitlines()
    first = next((n for n, line in enumerate(lines) if line == "refused audit-unavailable"), None)
    if first is not None:  # a store that failed takes nothing more
        assert set(lines[first:]) == {"refused audit-unavailable"}, lines
    path = find_log(directory / "audit")
    doubted = is_in_doubt(path.parent)
    head = read_sealed_head(path.parent)
    exchange = new_uuid7()

    async def go_on(log: AuditLog) -> None:
        await log.append(intent(exchange))
        await log.append(outcome(exchange))

    using(directory, go_on)
    integrated(directory)
    stored = dict(selected(path, "SELECT leaf_index, leaf_hash FROM audit_record"))
    assert sorted(stored) == list(range(len(stored))), injection
    promises = promised(said)
    assert {index: stored[index].hex() for index in promises} == promises, injection
    vkey = keys_in(directory).signer(ORIGIN).verifier.vkey()
    report = verify_log(path, vkey=vkey, keys=keys_in(directory))
    assert report.ok, (injection, report.faults)
    assert report.signed_size == len(stored)
    if head is not None:
        notes = selected(path, "SELECT note FROM audit_checkpoint")
        assert (head,) in notes, "what was published is not in the log"
    incidents = selected(
        path, "SELECT count(*) FROM audit_record WHERE kind = ?", KIND_CODES[Kind.INCIDENT]
    )
    assert incidents == [(int(doubted),)], injection


def inject_all(
    what: str, base: Path, directory: Path, *, thorough: bool, note: Callable[[str, object], None]
) -> None:
    """Run a victim with each fault, and judge what is left each time."""
    calls = calls_of(what, base, directory / "dry")
    assert calls["pwrite64"] > 5
    assert calls["fsync"] + calls["fdatasync"] > 2
    rounds, failed = 0, 0
    for injection in injections(calls, thorough=thorough):
        place = directory / "place"
        shutil.copytree(base, place)
        done = run_victim(what, place, *injection.words())
        failed += done.exit_code != 0 or "refused" in done.said
        # What fails is the log, at whichever statement: nobody has to know the driver's errors.
        assert "pysqlite3" not in done.complained, done.complained
        judge(place, done.said, injection)
        shutil.rmtree(place)
        rounds += 1
    note("rounds", rounds)
    assert failed * 2 > rounds, "most faults must be felt, or none was injected"


def test_a_fault_at_any_call_of_a_shard_s_end_leaves_one_way_on(
    tmp_path: Path, thorough: bool, record_property: Callable[[str, object], None]
) -> None:
    """F3: whatever was done of it, the command ends the shard when it is given again (I4, I5).

    Both shards verify, the older one is sealed once, and its last head is in the newer one.
    """
    base = prepared(tmp_path / "base", exchanges=2)
    calls = calls_of("retire", base, tmp_path / "dry")
    rounds = 0
    for injection in injections(calls, thorough=thorough):
        place = tmp_path / "place"
        shutil.copytree(base, place)
        done = run_victim("retire", place, *injection.words())
        shards = find_shards(place / "audit")
        if len(shards) == 1:
            assert "retired" not in done.said, injection
            assert retired(place).contradiction is None, injection
            shards = find_shards(place / "audit")
        assert len(shards) == 2, injection
        for path in shards:
            vkey = keys_in(place).signer(f"{HOST}/audit/{shard_name(path)}").verifier.vkey()
            report = verify_log(path, vkey=vkey, keys=keys_in(place))
            assert report.ok, (injection, report.faults)
        ((last,),) = selected(
            shards[0], "SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1"
        )
        assert first_record(place)["previous"] == last, injection
        seal = KIND_CODES[Kind.SEAL]
        of_kind = "SELECT count(*) FROM audit_record WHERE kind = ?"
        assert selected(shards[0], of_kind, seal) == [(1,)], injection
        asyncio.run(newest(place).stop())
        shutil.rmtree(place)
        rounds += 1
    record_property("rounds", rounds)


def prepared(directory: Path, *, exchanges: int) -> Path:
    """Make a log to begin from: some exchanges are in the tree, some are not yet."""

    async def more(log: AuditLog) -> None:
        ids = [new_uuid7() for _ in range(exchanges)]
        await asyncio.gather(*[log.append(intent(one)) for one in ids])
        await asyncio.gather(*[log.append(outcome(one)) for one in ids])

    filled(directory, 2)
    using(directory, more)
    return directory


def test_a_fault_at_any_call_of_an_append_loses_nothing(
    tmp_path: Path, thorough: bool, record_property: Callable[[str, object], None]
) -> None:
    """F3: appends, their syncs, and the WAL's way into the file (I3, I4, I5).

    After a failed write or sync nothing more is taken, and the incident is on record before the
    next head.
    """
    base = prepared(tmp_path / "base", exchanges=1)
    inject_all("append", base, tmp_path, thorough=thorough, note=record_property)


def test_a_fault_at_any_call_of_the_integrator_leaves_one_tree(
    tmp_path: Path, thorough: bool, record_property: Callable[[str, object], None]
) -> None:
    """F3, F18: tiles, checkpoint, commit, sealed head: the next leader computes the same (I5)."""
    base = prepared(tmp_path / "base", exchanges=140)
    inject_all("integrate", base, tmp_path, thorough=thorough, note=record_property)
