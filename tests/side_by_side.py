"""Run the tests in two processes side by side: `python -m tests.side_by_side [PYTEST ARGUMENTS]`.

Most of the tests wait for processes of their own: gateways, commands, PostgreSQL. Two runs beside
each other take little more than half as long as one. Each has its own servers and folders, and
ports are the kernel's choice, so neither sees the other. Every line says which run wrote it.

What failed, and why, is said once more at the end, so that who sees only the last lines sees it.

Tests that hold a gateway to a time have the marker `alone`: they run last, with the machine to
themselves. Where the arguments name files, folders or markers, one process runs those and no more.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Final

APART: Final = ("tests/gateway", "tests/policies")
"""Folders that one process runs; the other runs everything else, which takes about as long."""

NOTHING_TO_RUN: Final = 5
"""pytest's exit status where an expression selects no test."""

Runs = dict[str, list[str]]
"""Commands to run at once, by the names that their lines have."""

BAD_NEWS: Final = (
    *(b"E   ", b"FAILED ", b"ERROR ", b"INTERNALERROR"),
    b"skipped, and CI must not skip it",
)
"""Beginnings of the lines of pytest that say why a run was red."""

BAD_NEWS_MAX: Final = 60
"""How many of them are said again of each run: its last, for those name what failed."""

# Also with its value in the same argument, or behind letters that take none: -malone, -xm fault.
_MARKERS: Final = re.compile("-[hlqsvx]*m")

_terminal: Final = Lock()


def stages(arguments: list[str]) -> list[Runs]:
    """Return the runs of pytest that `arguments` ask for: one stage after the other."""
    pytest = [sys.executable, "-m", "pytest", *arguments]
    if any(_MARKERS.match(argument) or _names_tests(argument) for argument in arguments):
        return [{"tests": pytest}]
    beside, last = ["-m", "not alone"], ["-m", "alone"]
    rest = [*beside, *(f"--ignore={folder}" for folder in APART)]
    runs = {"units": [*beside, *APART], "others": rest, "alone": last}
    # What failed last is kept by each for itself, or the last to end would overwrite it.
    units, others, alone = (
        {name: [*pytest, "-o", f"cache_dir=.pytest_cache/{name}", *chosen]}
        for name, chosen in runs.items()
    )
    return [units | others, alone]


def run_all(stages: list[Runs]) -> int:
    """Run each stage's commands at once, pass their lines on, and return one exit status.

    It is that of the first that failed. One that had nothing to run is no failure, unless none had.
    The lines that say what failed are repeated last.
    """
    statuses: list[int] = []
    news: list[bytes] = []
    for runs in stages:
        with ThreadPoolExecutor(len(runs)) as threads:
            ended = threads.map(_run, runs, runs.values())
            for status, bad in ended:
                statuses.append(status)
                news += bad
    _say(*news)
    failed = [status for status in statuses if status not in (0, NOTHING_TO_RUN)]
    return failed[0] if failed else min(statuses)


def _names_tests(argument: str) -> bool:
    return Path(argument.partition("::")[0]).exists()


def _run(name: str, command: list[str]) -> tuple[int, Iterable[bytes]]:
    """Pass on the command's lines; return its exit status, and again its bad news, which it is."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    news = deque[bytes](maxlen=BAD_NEWS_MAX)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said = f"{name}: ".encode() + line
            _say(said)
            if line.startswith(BAD_NEWS):
                news.append(said)
    if process.returncode not in (0, NOTHING_TO_RUN):
        news.append(f"{name}: ended with exit status {process.returncode}\n".encode())
    return process.returncode, news


def _say(*lines: bytes) -> None:
    with _terminal:
        sys.stdout.buffer.writelines(lines)
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(run_all(stages(sys.argv[1:])))
