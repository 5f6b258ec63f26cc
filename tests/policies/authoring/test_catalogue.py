"""The catalogue covers the codes, the examples cover the catalogue, and the document shows it."""

from __future__ import annotations

from pathlib import Path

from policies.authoring import CATALOGUE, Code
from tests.policies.authoring.examples import EXAMPLES

DOCUMENT = Path(__file__).parents[3] / "docs" / "authoring.md"
BY_SUCCESSION = {Code.VERSION_NOT_INCREASED, Code.SIGNED_VERSION_CHANGED}
"""Codes about two documents; their examples are with `check_succession`."""


def test_every_code_is_explained() -> None:
    """There is no code without its rule, source and mend."""
    assert list(CATALOGUE) == list(Code)


def test_every_code_has_an_example() -> None:
    """No rule is there that nothing breaks."""
    assert {example.code for example in EXAMPLES} | BY_SUCCESSION == set(Code)


def test_the_document_lists_every_code() -> None:
    """docs/authoring.md has a row for each, in the words of the catalogue."""
    text = DOCUMENT.read_text()
    for code, guidance in CATALOGUE.items():
        assert f"| `{code}` | {guidance.rule} | {guidance.source} | {guidance.mend} |" in text
