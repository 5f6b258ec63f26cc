"""What the tests say of failures: which failure ids and invariants they name, and how they ended.

A test names the failures (F1 to F25) and the invariants (I1 to I10) of `audit-log.md` that it
covers in its name or docstring, or in ``@pytest.mark.fault("F3", "I4")``; each of them then has the
marker `fault`. `make faults` runs those tests, thoroughly, and prints the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import pytest

FAILURES: Final = {
    "F1": "a worker is killed at any step of an exchange",
    "F2": "every process is killed under load",
    "F3": "the n-th write, sync, truncation or removal fails or kills",
    "F4": "torn or flipped bytes in the files",
    "F5": "the disk is full",
    "F6": "a commit is done, its acknowledgement lost",
    "F7": "a commit is not done, and its answer lost",
    "F8": "the wait for a standby is cancelled",
    "F9": "PostgreSQL crashes",
    "F10": "failover to a standby",
    "F11": "an old copy is put back",
    "F12": "a fenced writer, two primaries",
    "F13": "a process stands still",
    "F14": "the clock is set",
    "F15": "deliveries repeat",
    "F16": "the caller leaves, or is slow",
    "F17": "the outcome cannot be recorded while an answer streams",
    "F18": "the integrator is killed, or there are two",
    "F19": "a witness crashes or is lied to",
    "F20": "bytes, rows or trees are tampered with",
    "F21": "erasure meets readers and old copies",
    "F22": "a shutdown under load",
    "F23": "records that cannot be stored",
    "F24": "all of it in any order",
    "F25": "a SQLite that loses commits",
}
"""The failures of audit-log.md, section 5, in few words."""

_IDS: Final = re.compile(r"\b(F(?:1\d|2[0-5]|[1-9])|I(?:10|[1-9]))\b")


@dataclass
class Tally:
    """What came of the tests that name one failure."""

    invariants: set[str] = field(default_factory=set)
    tests: int = 0
    rounds: int = 0
    outcomes: set[str] = field(default_factory=set)

    def outcome(self) -> str:
        """Return the worst outcome."""
        for worst in ("failed", "skipped", "passed"):
            if worst in self.outcomes:
                return worst
        return "not run"


_named: Final[dict[str, frozenset[str]]] = {}
_tallies: Final[dict[str, Tally]] = {}


def ids_in(texts: Iterable[str]) -> frozenset[str]:
    """Return the failure ids and invariants that texts name."""
    return frozenset(found for text in texts for found in _IDS.findall(text))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--faults``."""
    parser.addoption(
        "--faults",
        action="store_true",
        help="inject every fault in place of a selection, and print a table of them",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "fault(*ids): covers these failures and invariants of audit-log.md"
    )


@pytest.hookimpl(tryfirst=True)  # before `-m fault` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that names a failure, wherever it names it."""
    for item in items:
        documented = getattr(getattr(item, "function", None), "__doc__", None) or ""
        texts = [documented, item.name.replace("_", " ")]
        texts += [str(one) for mark in item.iter_markers("fault") for one in mark.args]
        named = ids_in(texts)
        if any(one.startswith("F") for one in named):
            item.add_marker("fault")
            _named[item.nodeid] = named


@pytest.fixture
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether every fault is to be injected, and not a selection only."""
    return bool(request.config.getoption("--faults"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Take down how a test that names failures ended; `rounds` is a property it may record."""
    named = _named.get(report.nodeid)
    if named is None or (report.when != "call" and report.passed):
        return
    rounds = next((value for name, value in report.user_properties if name == "rounds"), 1)
    for failure in (one for one in named if one.startswith("F")):
        tally = _tallies.setdefault(failure, Tally())
        tally.invariants |= {one for one in named if one.startswith("I")}
        tally.tests += report.when == "call" or report.skipped
        tally.rounds += int(str(rounds)) if report.passed else 0
        tally.outcomes.add(report.outcome)


def table(tallies: dict[str, Tally]) -> list[str]:
    """Return the lines of the table, every failure on one."""
    lines = [f"{'id':4} {'outcome':8} {'tests':>5} {'rounds':>6}  {'invariants':22} failure"]
    for failure, text in FAILURES.items():
        tally = tallies.get(failure, Tally())
        invariants = ", ".join(sorted(tally.invariants, key=lambda one: int(one[1:])))
        lines.append(
            f"{failure:4} {tally.outcome():8} {tally.tests:5} {tally.rounds:6}  "
            f"{invariants:22} {text}"
        )
    return lines


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table."""
    if config.getoption("--faults"):
        terminalreporter.section("failures and invariants")
        for line in table(_tallies):
            terminalreporter.write_line(line)
