"""Two runs of pytest beside each other run every test once, and fail as one would."""

from __future__ import annotations

import sys

import pytest

from tests.side_by_side import APART, NOTHING_TO_RUN, commands, run_all


def ends_with(status: int) -> list[str]:
    """Return a command that says something and ends so."""
    return [sys.executable, "-c", f"print('said'); raise SystemExit({status})"]


def test_what_one_run_takes_the_other_leaves_out() -> None:
    """Every test is in exactly one of the two, whatever folders there are."""
    one, other = commands(["--no-skips"]).values()

    assert APART in one
    assert f"--ignore={APART}" in other
    assert "--no-skips" in one
    assert "--no-skips" in other


def test_what_is_named_is_run_once() -> None:
    """Who names a file or a test of it gets that one, not two runs."""
    (alone,) = commands(["tests/test_side_by_side.py::test_what_is_named_is_run_once"]).values()

    assert not any(argument.startswith("--ignore") for argument in alone)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((0, 0), 0),
        ((0, 1), 1),
        ((2, 0), 2),
        ((0, NOTHING_TO_RUN), 0),
        ((NOTHING_TO_RUN, 1), 1),
        ((NOTHING_TO_RUN, NOTHING_TO_RUN), NOTHING_TO_RUN),
    ],
)
def test_a_failure_of_either_fails_the_run(statuses: tuple[int, int], expected: int) -> None:
    """Green means that both were green, and that some test ran."""
    first, second = statuses

    assert run_all({"a": ends_with(first), "b": ends_with(second)}) == expected


def test_every_line_says_which_run_wrote_it(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Lines stay whole, and errors are passed on with the rest."""
    run_all({"one": ends_with(0), "other": ends_with(1)})

    assert sorted(capfdbinary.readouterr().out.splitlines()) == [b"one: said", b"other: said"]
