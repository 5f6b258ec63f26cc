"""Progress is shown to people, and to nobody else."""

from __future__ import annotations

import pytest

from gateway.cli.progress import progress


def test_no_bar_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """Where standard error is not a terminal, nothing is written, whatever is told."""
    with progress("Copying") as told:
        told(1, 2)
        told(2, 2)

    assert capfd.readouterr() == ("", "")


def test_a_terminal_is_shown_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The label is on standard error; JSON for a program comes without it."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with progress("Copying") as told:
        told(1, 2)
    shown = capsys.readouterr()
    with progress("Copying", enabled=False) as told:
        told(1, 2)

    assert "Copying" in shown.err
    assert shown.out == ""
    assert capsys.readouterr() == ("", "")
