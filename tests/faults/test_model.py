"""F24: everything that can happen to a log, in any order, and every invariant after every step."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from gateway.audit.entry import Kind
from gateway.audit.holds import new_hold
from gateway.audit.people import Person
from gateway.audit.privacy.erasable import Selection
from gateway.audit.privacy.erase import Order, empty_wal_in_time, log_erasure
from gateway.audit.reading.reader import verify_log
from gateway.audit.seal import DAY_US
from gateway.audit.search.index import index_path
from gateway.audit.store import LogFrozen
from gateway.clock import system_time_us
from tests.faults.invariants import PEOPLE, index_is_right
from tests.faults.machine import AGREEMENTS, LABELS, PICK, LogMachine, made
from tests.faults.seeded import BUGS
from tests.faults.worlds import World

EXAMPLES: Final = 25
EXAMPLES_THOROUGH: Final = 300
SEARCHES: Final = 60
"""Runs in which a seeded bug must be found; it is in the first few."""
STEPS: Final = 40
SHARDS_MAX: Final = 3


@dataclass
class Copy:
    """An old copy of a shard's files, and how many records its tree has."""

    folder: Path
    shards: int
    tree_size: int


class WholeLogMachine(LogMachine):
    """What people do to a log: hold, erase, expire, search, verify, end it, put copies back."""

    def __init__(self) -> None:
        """Make an empty host of which there is no copy."""
        super().__init__()
        self.copy: Copy | None = None

    # --- erasure

    @rule(label=LABELS, held=st.sampled_from([*PEOPLE, AGREEMENTS[0], "exchange"]), pick=PICK)
    def put_on_hold(self, label: str, held: Person | str, pick: int) -> None:
        """A person, an agreement or an exchange is put on legal hold."""
        what: Person | str | bytes = held
        if held == "exchange":
            if not self.model.begun:
                return
            what = [*self.model.begun][pick % len(self.model.begun)]
        record = made(Kind.CHANGE, None, verb="hold")
        self.hand(self.wanted(label, record, added=new_hold(what, "LITIGATION")))

    @rule(label=LABELS, pick=PICK)
    def release(self, label: str, pick: int) -> None:
        """A legal hold ends."""
        holds = [*self.model.holds.values()]
        if not holds:
            return
        hold = holds[pick % len(holds)]
        record = made(Kind.CHANGE, None, verb="release")
        self.hand(self.wanted(label, record, released=hold))

    @rule(
        by=st.sampled_from(["person", "person", "exchange", "time"]),
        pick=PICK,
        followed=st.booleans(),
    )
    def erase(self, by: str, pick: int, *, followed: bool) -> None:
        """I9: what is selected and not on hold is gone, told, and in no page of the files."""
        if followed:
            self.follow("whole")
        selection = self.selection(by, pick)
        shard, seen = self.model.shard, self.sight.shards[-1]
        due, before = self.model.erases(selection), set(shard.gone)
        secrets = {seen.keys[index].keys for index, _ in due}
        self.world.erase(selection)
        self.sight.look(self.world.audit, self.model)
        told = {(index, name) for index, name in shard.gone - before
                if shard.lines[index].day not in self.model.days_gone}  # fmt: skip
        assert told == due, "I9: other sections were erased than were selected and not held"
        assert empty_wal_in_time(seen.path)
        wal = seen.path.with_name(f"{seen.path.name}-wal")
        for content in (seen.path.read_bytes(), wal.read_bytes()):
            assert not any(secret in content for secret in secrets), "I9: a key is left in the file"
        if followed:
            self.follow("whole")

    def selection(self, by: str, pick: int) -> Selection:
        """Return what is to be erased."""
        lines = self.model.shard.lines
        if by == "person":
            return Selection(person=PEOPLE[pick % len(PEOPLE)])
        if by == "exchange" and self.model.begun:
            return Selection(exchange=[*self.model.begun][pick % len(self.model.begun)])
        return Selection(before_us=lines[pick % len(lines)].at_us)

    @rule(days_ago=st.sampled_from([1, 2]))
    def expire(self, days_ago: int) -> None:
        """I9: a day's key is destroyed, and with it everything that the day had sealed."""
        day = system_time_us() // DAY_US - days_ago
        key = self.world.root / "keys" / f"log-day-{day}.key"
        if not key.exists():
            return
        record = log_erasure({"by": "day", "day": day}, Order(reason="RETENTION_EXPIRED"))
        self.world.run(self.world.logs["first"].append(record))
        key.unlink()
        self.model.days_gone.add(day)

    # --- the index

    @rule(how=st.sampled_from(["a step", "whole", "whole", "emptied", "lost"]))
    def follow(self, how: str) -> None:
        """The index comes up with the log, and says how far; emptied or lost it is made anew."""
        if how in ("emptied", "lost"):
            self.world.stop_follower()
        if how == "emptied":
            follower = self.world.make_follower()
            follower.forget_all()
            follower.close()
        if how == "lost":
            for path in self.world.audit.glob(f"{index_path(self.world.path).name}*"):
                path.unlink()
        while self.world.follow() and how != "a step":
            pass
        index_is_right(self.model, self.sight)

    # --- verification, shards and old copies

    @rule()
    def verify(self) -> None:
        """The verifier finds every shard whole, and counts what is gone."""
        for shard, seen in zip(self.model.shards, self.sight.shards, strict=True):
            vkey = self.world.keys.signer(shard.origin).verifier.vkey()
            report = verify_log(seen.path, vkey=vkey, keys=self.world.keys)
            assert report.ok, report.faults
            left = [self.model.left(shard, line) for line in shard.lines]
            sealed = sum(len(line.sealed) for line in shard.lines)
            counted = (report.size, report.opened, report.erased)
            opened = sum(len(names) for names in left)
            assert counted == (len(shard.lines), opened, sealed - opened), "I9: other counts"
            assert report.signed_size == max(seen.notes, default=0)

    @rule()
    def retire(self) -> None:
        """The shard is ended whole, and the next one goes on with what was used and counted."""
        if len(self.model.shards) == SHARDS_MAX:
            return
        self.end_processes()
        self.world.retire()
        self.sight.look(self.world.audit, self.model)
        ended, begun = self.model.shards[-2:]
        assert ended.lines[-1].kind is Kind.SEAL
        newest = self.sight.shards[-2].notes[len(ended.lines)]
        assert begun.lines[0].core["previous"] == newest, "I5: the next shard carries another head"
        ended.published[len(ended.lines)] = newest
        self.begin_process("first")

    @rule()
    def copy_or_put_back(self) -> None:
        """Somebody copies the files, as a backup does, or puts such a copy back."""
        if self.copy is not None and self.copy.shards == len(self.model.shards):
            self.put_back(self.copy)
        else:
            self.copy_files()

    def copy_files(self) -> None:
        """Copy the newest shard as it is on the disk."""
        folder = self.world.root / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path in self.world.audit.glob(f"{self.world.path.name}*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, folder)
        tree_size = max(self.sight.shards[-1].notes, default=0)
        self.copy = Copy(folder, len(self.model.shards), tree_size)

    def put_back(self, copy: Copy) -> None:
        """F11: an old copy is found out at every start, and signs nothing (I5, I10).

        Once the right files are there again, the log goes on.
        """
        if max(self.model.shard.published, default=0) <= copy.tree_size:
            self.note("first", Kind.DENY)
            self.world.stop_integrators()
            self.integrate("first", whole=True)
        self.end_processes()
        aside = self.world.root / "aside"
        aside.mkdir()
        files = f"{self.world.path.name}*"
        for path in self.world.audit.glob(files):
            path.rename(aside / path.name)
        for path in copy.folder.iterdir():
            shutil.copy(path, self.world.audit)
        for _ in range(2):
            assert "rolled back" in self.trouble(), "I5: an old copy was taken for the log"
        with pytest.raises(LogFrozen):
            self.world.integrate("first")
        self.world.stop_integrators()
        for path in self.world.audit.glob(files):
            path.unlink()
        for path in aside.iterdir():
            path.rename(self.world.audit / path.name)
        aside.rmdir()
        self.copy = None
        self.begin_process("first")

    def trouble(self) -> str:
        """Return why the log cannot be opened, or nothing."""
        try:
            log = self.world.open_log("first")
        except LogFrozen as frozen:
            return str(frozen)
        self.world.run(log.stop())
        return ""

    def teardown(self) -> None:
        """Forget the host."""
        self.world.close()


def bounded(examples: int, **more: Any) -> settings:
    """Return settings for so many runs of some steps each."""
    return settings(
        max_examples=examples, stateful_step_count=STEPS, deadline=None,
        suppress_health_check=list(HealthCheck), **more,
    )  # fmt: skip


@pytest.mark.timeout(1_800)
def test_any_order_of_events_leaves_every_invariant(thorough: bool) -> None:
    """F24: I1, I2, I3, I4, I5, I6, I8, I9 and I10 hold after every step of every run."""
    examples = EXAMPLES_THOROUGH if thorough else EXAMPLES
    run_state_machine_as_test(WholeLogMachine, settings=bounded(examples))


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_seeded_bug_is_found(bug: type[World]) -> None:
    """F24: of each kind of bug that the model is for, one that was put there is found by it."""
    machine = type("Seeded", (WholeLogMachine,), {"world_type": bug})
    seeded = bounded(SEARCHES, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises((AssertionError, pytest.fail.Exception), match=BUGS[bug]):
        run_state_machine_as_test(machine, settings=seeded)
