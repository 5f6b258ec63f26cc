"""The glossary's table of sections is well formed."""

from __future__ import annotations

from policies.glossary_sections import SECTIONS


def test_rows_are_well_formed() -> None:
    """Each row has a label, a meaning, letters of enforcement in one order, and how."""
    for members in SECTIONS.values():
        for label, meaning, letters, how in members.values():
            assert label
            assert meaning
            assert how
            assert letters in {"E", "EV", "EM", "V", "M", "R"}
