"""The mutants that the decision is tested with are faults, one each."""

from __future__ import annotations

import ast

from tests.policies.mutants import mutants_of


def test_each_mutant_has_one_fault() -> None:
    """The operators reach comparisons, connectives, conditions, numbers, sets and statements."""
    source = "def f(x: int) -> None:\n    if not x or x < 2:\n        g(x)\n        return\n"
    found = [(one.what, ast.parse(one.source())) for one in mutants_of("m", source)]
    assert [what for what, _ in found] == [
        *("always True `not x or x < 2`", "always False `not x or x < 2`", "swap and/or"),
        *("drop `not x`", "drop `x < 2`", "leave the statement out", "go on instead of stopping"),
        *("remove not", "Lt to LtE", "Lt to GtE", "2 to 3"),
    ]
    assert len({ast.dump(tree) for _, tree in found} | {ast.dump(ast.parse(source))}) == 12
