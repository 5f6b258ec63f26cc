"""How commands speak."""

from __future__ import annotations

import json

import pytest
from rich.table import Table

from gateway.cli.output import (
    Exit,
    Stop,
    amount,
    complain,
    console,
    line,
    show,
    show_json,
    tell,
    write_bytes,
)


def test_results_and_remarks_go_different_ways(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Results are on standard output, everything else on standard error."""
    line("result")
    show_json({"a": "é"})
    write_bytes(b"\x00")
    tell("remark")
    out, err = capfdbinary.readouterr()
    assert out.startswith(b"result\n")
    assert json.loads(out[len(b"result\n") : -1]) == {"a": "é"}
    assert out.endswith(b"\x00")
    assert err == b"remark\n"


def test_a_stop_says_what_mends_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The message, the line that mends it, and the exit code."""
    with pytest.raises(SystemExit) as ended:
        complain(Stop("it is broken", mend="mend it", code=Exit.FAILED))
    assert ended.value.code == 1
    assert capsys.readouterr().err == "concordat: it is broken\n  To mend it: mend it\n"


def test_without_a_terminal_tables_have_a_fixed_width() -> None:
    """Output in a pipe does not depend on the terminal."""
    assert console().width == 120


def test_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that somebody chose is read as rich's markup, which would fail or vanish."""
    table = Table("[/head]")
    table.add_row("[/cell] [bold]urn:ox:1")
    show(table, "[/line] [red]urn:ox:2")
    shown = capsys.readouterr().out
    assert "[/head]" in shown
    assert "[/cell] [bold]urn:ox:1" in shown
    assert "[/line] [red]urn:ox:2" in shown


def test_numbers_agree_with_their_nouns() -> None:
    """One of it is one, and everything else several."""
    assert [amount(count, "record") for count in (0, 1, 2)] == [
        "0 records",
        "1 record",
        "2 records",
    ]
    assert amount(1, "person", "people") == "1 person"
    assert amount(3, "person", "people") == "3 people"
