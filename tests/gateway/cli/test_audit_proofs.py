"""`audit monitor` and `audit diff-checkpoints` against a log that is served over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.audit.log import AuditLog
from gateway.audit.note import Checkpoint
from gateway.cli.output import Stop
from tests.auditor import ROOT
from tests.gateway.audit.records import (
    ORIGIN,
    filled,
    integrated,
    intent,
    keys_in,
    using,
)
from tests.gateway.cli.conftest import Run
from tests.serving import published_files, served

WAIT_S = 60


@dataclass
class Watched:
    """A log, what is served of it, and where."""

    directory: Path
    place: Path
    files: dict[str, bytes]
    url: str

    @property
    def vkey(self) -> str:
        """Return the log's key."""
        return keys_in(self.directory).signer(ORIGIN).verifier.vkey()

    def grow(self, records: int) -> None:
        """Have the log grow, and serve what it is then."""

        async def use(log: AuditLog) -> None:
            await asyncio.gather(*[log.append(intent()) for _ in range(records)])

        using(self.directory, use)
        integrated(self.directory)
        self.serve()

    def serve(self) -> None:
        """Serve what the log is now."""
        self.files.update(published_files(self.place))

    def forked(self) -> bytes:
        """Return a checkpoint of the same size and another root, signed by the log."""
        size = int(self.files["checkpoint"].split(b"\n")[1])
        head = Checkpoint(origin=ORIGIN, size=size, root=bytes(32))
        return keys_in(self.directory).signer(ORIGIN).sign(head).encode()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Return a log that is served."""
    place, files = filled(tmp_path / "log", 130), dict[str, bytes]()
    with served(files) as url:
        found = Watched(tmp_path / "log", place, files, url)
        found.serve()
        yield found


def test_a_monitor_goes_on_where_it_was(run: Run, watched: Watched, tmp_path: Path) -> None:
    """Each look compares with the checkpoint of the last one, which is the state (I5)."""
    state = tmp_path / "state"
    words = ("audit", "monitor", watched.url, "--vkey", watched.vkey, "--state", state, "--once")
    assert "of size 261 extends" in run(*words).stdout
    assert state.read_bytes() == watched.files["checkpoint"]
    watched.grow(300)
    assert json.loads(run(*words, "--json").stdout)["size"] == 561
    assert state.read_bytes() == watched.files["checkpoint"]


def test_a_fork_ends_the_monitor_with_evidence(run: Run, watched: Watched, tmp_path: Path) -> None:
    """F12: exit 1; the state stays, and what contradicts it is kept beside it (I5)."""
    state = tmp_path / "state"
    words = ("audit", "monitor", watched.url, "--vkey", watched.vkey, "--state", state)
    run(*words, "--once")
    kept = state.read_bytes()
    watched.files["checkpoint"] = fork = watched.forked()
    with pytest.raises(Stop, match="does not extend") as stopped:
        run(*words)
    assert stopped.value.code == 1
    assert state.read_bytes() == kept
    assert state.with_name("state.contradiction").read_bytes() == fork


def test_what_cannot_be_told_is_exit_2(run: Run, watched: Watched, tmp_path: Path) -> None:
    """No answer, no checkpoint, nobody to trust, a state of somebody else."""
    foreign = tmp_path / "foreign"
    foreign.write_text("not a checkpoint\n")
    trusted = ("--vkey", watched.vkey)
    for words in (
        (f"{watched.url}/nothing", *trusted),
        ("http://127.0.0.1:1/log", *trusted),
        (watched.url,),
        (watched.url, *trusted, "--state", foreign),
    ):
        with pytest.raises(Stop) as stopped:
            run("audit", "monitor", "--once", "--state", tmp_path / "state", *words)
        assert stopped.value.code == 2


def test_a_monitor_runs_until_it_is_stopped(watched: Watched, tmp_path: Path) -> None:
    """It asks again where the log cannot be read, and tells each new checkpoint."""
    checkpoint = watched.files.pop("checkpoint")
    words = ("audit", "monitor", watched.url, "--vkey", watched.vkey, "--interval", "1")
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", *words],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    ) as monitor:  # fmt: skip
        assert monitor.stdout is not None
        assert monitor.stderr is not None
        assert "there is no checkpoint; asking again" in monitor.stderr.readline()
        watched.files["checkpoint"] = checkpoint
        assert "of size 261" in monitor.stdout.readline()
        watched.grow(1)
        assert "of size 262" in monitor.stdout.readline()
        monitor.send_signal(signal.SIGINT)
        monitor.wait(WAIT_S)


def test_two_checkpoints_are_compared(run: Run, watched: Watched, tmp_path: Path) -> None:
    """One history is exit 0, two are exit 1, and without the hashes it cannot be told."""
    first, second, fork = tmp_path / "a", tmp_path / "b", tmp_path / "fork"
    first.write_bytes(watched.files["checkpoint"])
    watched.grow(30)
    second.write_bytes(watched.files["checkpoint"])
    fork.write_bytes(watched.forked())
    trust = ("--vkey", watched.vkey)

    def differ(*words: str | Path) -> tuple[int, bool | None]:
        done = run("audit", "diff-checkpoints", *words, *trust, "--json")
        return done.exit_code, json.loads(done.stdout)["ok"]

    assert differ(first, first) == (0, True)
    assert differ(second, first, "--url", watched.url) == (0, True)
    assert differ(first, second) == (2, None)
    assert differ(second, fork) == (1, False)
    assert differ(first, fork, "--url", watched.url) == (1, False)
    fork.write_bytes(second.read_bytes().replace(b"\n291\n", b"\n292\n"))
    assert differ(first, fork, "--url", watched.url) == (1, False)
    watched.files.clear()
    assert differ(first, second, "--url", watched.url) == (2, None)
    assert "FORKED" not in run("audit", "diff-checkpoints", first, first, *trust).stdout
