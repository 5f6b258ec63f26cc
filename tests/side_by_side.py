"""Run the tests in two processes side by side: `python -m tests.side_by_side [PYTEST ARGUMENTS]`.

Most of the tests wait for processes of their own: gateways, commands, PostgreSQL. Two runs beside
each other take little more than half as long as one. Each has its own servers and folders, and
ports are the kernel's choice, so neither sees the other. Every line says which run wrote it.

Where the arguments name files or folders, one process runs those alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Final

APART: Final = "tests/gateway"
"""The folder that has a process to itself; the other one runs everything else."""

NOTHING_TO_RUN: Final = 5
"""pytest's exit status where an expression selects no test."""

_terminal: Final = Lock()


def commands(arguments: list[str]) -> dict[str, list[str]]:
    """Return the runs of pytest that `arguments` ask for, by the names their lines have."""
    pytest = [sys.executable, "-m", "pytest", *arguments]
    if any(Path(argument.partition("::")[0]).exists() for argument in arguments):
        return {"tests": pytest}
    runs = {"gateway": [APART], "others": [f"--ignore={APART}"]}
    # What failed last is kept by each for itself, or the second to end would overwrite it.
    return {
        name: [*pytest, "-o", f"cache_dir=.pytest_cache/{name}", *chosen]
        for name, chosen in runs.items()
    }


def run_all(runs: dict[str, list[str]]) -> int:
    """Run the commands at once, pass their lines on, and return the exit status of them all.

    It is that of the first that failed. One that had nothing to run is no failure, unless none had.
    """
    with ThreadPoolExecutor(len(runs)) as threads:
        statuses = list(threads.map(_run, runs, runs.values()))
    failed = [status for status in statuses if status not in (0, NOTHING_TO_RUN)]
    return failed[0] if failed else min(statuses)


def _run(name: str, command: list[str]) -> int:
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            with _terminal:
                sys.stdout.buffer.write(f"{name}: ".encode() + line)
                sys.stdout.flush()
    return process.returncode


if __name__ == "__main__":
    sys.exit(run_all(commands(sys.argv[1:])))
