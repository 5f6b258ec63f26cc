"""Tests of the pages that explain problems."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from gateway.control.pages import _page
from gateway.problems import PROBLEMS
from tests.control_listener import Control

VOID = {"meta"}


class Outline(HTMLParser):
    """Checks that tags are balanced, and keeps headings and addresses."""

    def __init__(self) -> None:
        """Begin with nothing open."""
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and where it leads."""
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that was opened last."""
        assert self.open.pop() == tag


def outline(text: str) -> Outline:
    """Return what a page consists of."""
    parser = Outline()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser


def test_every_problem_has_a_page(control: Control) -> None:
    """Each page has one heading, says what to do, and links to pages of its own host only."""
    for answer in control.get(*(f"/problems/{code}" for code in PROBLEMS), secret=None):
        found = outline(answer.text)

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert '<html lang="en">' in answer.text
        assert found.tags.count("h1") == 1
        assert found.tags.count("h2") == 3
        assert found.addresses == ["/problems"]


def test_the_list_leads_to_every_page(control: Control) -> None:
    """Nothing in the catalogue is left out of the list."""
    (answer,) = control.get("/problems", secret=None)

    assert sorted(outline(answer.text).addresses) == sorted(f"/problems/{c}" for c in PROBLEMS)


def test_an_unknown_code_is_a_page_too(control: Control) -> None:
    """A reader who mistyped is led to the list, and sees nothing that was in the address."""
    missing, hostile = control.get(
        "/problems/no-such", "/problems/%3Cscript%3Ealert(1)%3C%2Fscript%3E", secret=None
    )

    assert missing.status_code == hostile.status_code == 404
    assert outline(missing.text).tags.count("h1") == 1
    assert "alert" not in hostile.text


def test_only_the_pages_own_style_is_allowed(control: Control) -> None:
    """The policy names the hash of the style that the page carries, and nothing else."""
    (answer,) = control.get("/problems/stopped", secret=None)
    found = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert found is not None
    digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()

    assert answer.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


@pytest.mark.parametrize("title", ["<b>", "a & b", '"'])
def test_titles_are_escaped(title: str) -> None:
    """A title is text, whatever it holds."""
    page = _page(title, "<p></p>")

    assert outline(bytes(page.body).decode()).tags.count("b") == 0
