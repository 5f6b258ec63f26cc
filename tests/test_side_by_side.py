"""Two runs of pytest beside each other run every test once, and fail as one would."""

from __future__ import annotations

import sys

import pytest

from tests.side_by_side import APART, BAD_NEWS_MAX, NOTHING_TO_RUN, run_all, stages


def ends_with(status: int) -> list[str]:
    """Return a command that says something and ends so."""
    return [sys.executable, "-c", f"print('said'); raise SystemExit({status})"]


def test_what_one_run_takes_the_other_leaves_out() -> None:
    """Every test is in exactly one run, whatever folders there are."""
    beside, last = stages(["--no-skips"])
    (one, other), (alone,) = beside.values(), last.values()

    for folder in APART:
        assert folder in one
        assert f"--ignore={folder}" in other
    for run, selected in ((one, "not alone"), (other, "not alone"), (alone, "alone")):
        assert run[run.index("-m", 3) + 1] == selected
        assert "--no-skips" in run


def test_what_is_named_is_run_once() -> None:
    """Who names a file, a test of it or a marker gets that, in one run."""
    named = "tests/test_side_by_side.py::test_what_is_named_is_run_once"
    for chosen in ([named], ["-m", "fault"], ["-malone"], ["-xm", "fault"], ["-m=fault"]):
        assert stages(chosen) == [{"tests": [sys.executable, "-m", "pytest", *chosen]}]


def test_other_options_leave_the_runs_as_they_are() -> None:
    """An `m` in a long option, or in what another one is given, chooses no marker."""
    for chosen in (["--maxfail=1"], ["-kmemory"], ["-k", "room"], ["-x", "-vv"]):
        assert len(stages(chosen)) == 2


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
    first, second = map(ends_with, statuses)

    assert run_all([{"a": first, "b": second}]) == expected
    assert run_all([{"a": first}, {"b": second}]) == expected


def test_every_line_says_which_run_wrote_it(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Lines stay whole, and errors are passed on with the rest."""
    run_all([{"one": ends_with(0), "other": ends_with(NOTHING_TO_RUN)}])

    assert sorted(capfdbinary.readouterr().out.splitlines()) == [b"one: said", b"other: said"]


def test_what_failed_is_said_again_at_the_end(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Who is shown only the end of a long run learns what to mend."""
    lines = ("E       assert 1 == 2", "FAILED tests/test_x.py::test_y - why", "the last line")
    red = [sys.executable, "-c", f"print(*{lines}, sep='\\n'); raise SystemExit(1)"]

    run_all([{"one": red}, {"other": ends_with(0)}])

    assert capfdbinary.readouterr().out.splitlines() == [
        b"one: E       assert 1 == 2",
        b"one: FAILED tests/test_x.py::test_y - why",
        b"one: the last line",
        b"other: said",
        b"one: E       assert 1 == 2",
        b"one: FAILED tests/test_x.py::test_y - why",
        b"one: ended with exit status 1",
    ]


def test_of_very_much_bad_news_the_last_is_said_again(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    """Whatever is cut off at the end of a log, what failed is in it."""
    red = f"print('E   why\\n' * {2 * BAD_NEWS_MAX}, 'FAILED this', sep=''); raise SystemExit(1)"

    run_all([{"one": [sys.executable, "-c", red]}])

    said = capfdbinary.readouterr().out.splitlines()
    assert len(said) == 2 * BAD_NEWS_MAX + 1 + BAD_NEWS_MAX
    assert said[-2:] == [b"one: FAILED this", b"one: ended with exit status 1"]
