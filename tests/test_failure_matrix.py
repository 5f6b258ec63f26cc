"""The page of failures is true: each id is there once, and the tests that it names cover it."""

from __future__ import annotations

import ast
import re
from typing import Final

import pytest

from tests.fault_report import FAILURES, ids_in
from tests.test_tidy import ROOT

PAGE: Final = (ROOT / "docs" / "failure-matrix.md").read_text()
INVARIANTS: Final = tuple(f"I{number}" for number in range(1, 11))
ROWS: Final = dict(re.findall(r"^\| ([FI]\d+) \| (.*) \|$", PAGE, re.MULTILINE))
WAITING: Final = frozenset({"F19"})
"""What is injected once there is something to inject it into."""


def covered(test: str) -> frozenset[str]:
    """Return the ids that a test names, as `make faults` reads them; raises LookupError."""
    path, _, name = test.partition("::")
    for node in ast.walk(ast.parse((ROOT / "tests" / path).read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            marks = [ast.unparse(mark) for mark in node.decorator_list]
            return ids_in([ast.get_docstring(node) or "", name.replace("_", " "), *marks])
    raise LookupError(f"there is no test {test}")


def test_every_failure_and_invariant_has_one_row() -> None:
    """None is left out or told twice, and what waits is told to wait."""
    listed = re.findall(r"^\| ([FI]\d+) \|", PAGE, re.MULTILINE)
    assert listed == [*FAILURES, *INVARIANTS]
    assert {one for one, row in ROWS.items() if row.startswith("waits |")} == WAITING


@pytest.mark.parametrize("row", sorted(ROWS.keys() - WAITING))
def test_each_row_names_tests_that_cover_it(row: str) -> None:
    """Every test is there, and says itself what it covers."""
    named = re.findall(r"`([\w/]+\.py::\w+)`", ROWS[row])
    assert named
    assert [test for test in named if row not in covered(test)] == []
