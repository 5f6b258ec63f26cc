"""The tables of docs/agreements.md are those that the model gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.decision import ReasonCode
from policies.reference import UnknownTable, section_names, table_names, with_tables

PAGE = Path(__file__).parents[2] / "docs/agreements.md"


def test_the_page_is_up_to_date() -> None:
    """If this fails: concordat policy fields --into docs/agreements.md."""
    text = PAGE.read_text()
    assert with_tables(text) == text


def test_the_page_has_every_section_once() -> None:
    """Each section of the document, the reasons and the stricter rules, and nothing twice."""
    names = table_names(PAGE.read_text())
    assert len(set(names)) == len(names)
    assert set(names) == {*section_names(), "reasons", "stricter"}


def test_tables_show_words_and_reasons() -> None:
    """Closed words are all shown, and every reason but OK has its row."""
    made = with_tables("<!-- table: access.rules[].actor -->\n<!-- end of table -->")
    assert "`public`, `application`, `user`" in made
    assert "(may be left out)" in made
    reasons = with_tables("<!-- table: reasons -->\n<!-- end of table -->")
    assert all(f"`{one.value}`" in reasons for one in ReasonCode if one is not ReasonCode.OK)


def test_tables_leave_the_text_around_them() -> None:
    """What stands between two tables stays, and making them twice changes nothing."""
    empty = "<!-- table: term -->\n<!-- end of table -->\n\nBetween.\n\n"
    once = with_tables(empty + empty.replace("term", "costs"))
    assert once.count("Between.") == 2
    assert with_tables(once) == once


def test_an_unknown_table_is_refused() -> None:
    """A page cannot ask for what is not made."""
    with pytest.raises(UnknownTable):
        with_tables("<!-- table: nothing -->\n<!-- end of table -->")
