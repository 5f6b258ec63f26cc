"""`policy schema` and `policy fields`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli.output import Stop
from policies.schema import agreement_schema
from tests.gateway.cli.conftest import Run


def test_the_schema_is_written_as_json(run: Run) -> None:
    """What is written is the generated schema."""
    assert json.loads(run("policy", "schema").stdout) == agreement_schema()


def test_fields_are_explained(run: Run) -> None:
    """A line each for people, the same as data for programs."""
    shown = run("policy", "fields").stdout
    told = json.loads(run("policy", "fields", "--json").stdout)
    assert "term.end: The last instant" in shown
    assert told["term.end"]["when"] == ["every call"]


def test_tables_of_a_page_are_made_anew(run: Run, tmp_path: Path) -> None:
    """Between the markers only; a table that nobody knows stops it."""
    page = tmp_path / "page.md"
    page.write_text("Text.\n\n<!-- table: term -->\n<!-- end of table -->\n")
    run("policy", "fields", "--into", page)
    assert page.read_text().startswith("Text.\n")
    assert "| `start` |" in page.read_text()
    page.write_text("<!-- table: nothing -->\n<!-- end of table -->\n")
    with pytest.raises(Stop):
        run("policy", "fields", "--into", page)


def test_a_page_that_is_no_text_is_left_alone(run: Run, tmp_path: Path) -> None:
    """It is told, and stays as it is."""
    page = tmp_path / "page.md"
    page.write_bytes(b"\xff")
    with pytest.raises(Stop, match="is not UTF-8 text"):
        run("policy", "fields", "--into", page)
    assert page.read_bytes() == b"\xff"
