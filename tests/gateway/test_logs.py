"""Lines for operators: JSON, of closed events and facts."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime

import pytest

from gateway.logs import FACT_CHARS_MAX, FACTS, Event, event


def test_an_event_is_one_json_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Time with its offset, level, event and facts; results on standard output stay clean."""
    event(Event.CONFIGURATION_ADOPTED, revision=7)
    event(Event.WORKER_DIED, pid=12, exit_code=-9)
    written = capsys.readouterr()
    adopted, died = [json.loads(line) for line in written.err.splitlines()]

    assert written.out == ""
    assert datetime.fromisoformat(adopted.pop("timestamp")).utcoffset() is not None
    assert adopted == {"event": "configuration.adopted", "level": "info", "revision": 7}
    assert (died["level"], died["pid"], died["exit_code"]) == ("warning", 12, -9)


def test_facts_are_a_closed_list() -> None:
    """A fact that nobody thought about does not reach a log."""
    with pytest.raises(ValueError, match="no fact of a log line: client, path"):
        event(Event.STARTED, path="/spl/v1/people", client="council-app")
    assert {
        "role", "pid", "workers", "connections", "exit_code", "revision", "faults", "failure",
        "data", "control",
    } == FACTS  # fmt: skip


def test_a_fact_is_one_short_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A failure's text can neither forge a second line nor fill a disk."""
    event(Event.INTEGRATOR_FAILED, failure='x\n{"event":"started"}' + "y" * 1_000)
    (line,) = capsys.readouterr().err.splitlines()

    failure = json.loads(line)["failure"]
    assert failure.startswith('x {"event"')
    assert len(failure) == FACT_CHARS_MAX


def test_a_terminal_that_was_closed_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is lost; the process, which carries out exchanges, goes on."""
    terminal, stream = os.openpty()
    os.close(terminal)
    with open(stream, "w", buffering=1, closefd=False) as closed:
        with pytest.raises(OSError, match="Input/output error"):
            closed.write("\n")
        monkeypatch.setattr(sys, "stderr", closed)
        event(Event.WORKER_DIED, pid=12, exit_code=-9)
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)  # what it still holds goes nowhere
