"""Processes of a gateway are known while they run, and not a moment longer."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.presence import GatewayRuns, Present, Role, check_alone, present, who_runs

_WORKER = """
import sys, time
from pathlib import Path
from gateway.presence import Role, present
with present(Path(sys.argv[1]), Role.WORKER):
    print("here", flush=True)
    time.sleep(60)
"""


def test_a_process_is_known_until_it_leaves(tmp_path: Path) -> None:
    """It makes the directory if need be, and takes its file away."""
    with present(tmp_path / "run", Role.CONTROL):
        assert who_runs(tmp_path / "run") == (Present(Role.CONTROL, os.getpid()),)
    assert who_runs(tmp_path / "run") == ()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_killed_process_is_not_taken_for_one_that_runs(tmp_path: Path) -> None:
    """What it could not take away is removed by whoever looks."""
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        assert who_runs(tmp_path) == (Present(Role.WORKER, worker.pid),)
        os.kill(worker.pid, signal.SIGKILL)
    assert who_runs(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("running", "pids", "told"),
    [
        ((Present(Role.CONTROL, 7), Present(Role.WORKER, 8)), (7,), "runs already"),
        ((Present(Role.WORKER, 8), Present(Role.WORKER, 9)), (8, 9), r"still run \(pids 8, 9\)"),
    ],
)
def test_what_runs_is_told_with_the_pids_that_end_it(
    running: tuple[Present, ...], pids: tuple[int, ...], told: str
) -> None:
    """A whole gateway ends with its control process; workers without one end one by one."""
    runs = GatewayRuns(running)
    assert runs.pids == pids
    assert re.search(told, str(runs))


def test_one_gateway_a_home(tmp_path: Path) -> None:
    """Where a process runs, no other gateway may start."""
    check_alone(tmp_path)
    with present(tmp_path, Role.WORKER), pytest.raises(GatewayRuns):
        check_alone(tmp_path)


def test_without_a_directory_nothing_runs(tmp_path: Path) -> None:
    """A new home has none; files of others are left alone."""
    (tmp_path / "metrics.bin").touch()
    (tmp_path / "other.lock").touch()
    assert who_runs(tmp_path / "missing") == ()
    assert who_runs(tmp_path) == ()
    assert len(list(tmp_path.iterdir())) == 2
