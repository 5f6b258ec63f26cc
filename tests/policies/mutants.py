"""Small faults, one at a time: every way in which one line of a module could be slightly wrong."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

_FLIPS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_NAMES: Final = {"any": "all", "all": "any", "min": "max", "max": "min", "sorted": "list"}
_SET_TESTS: Final = frozenset({"isdisjoint", "issuperset", "issubset"})


_Edit = Callable[[ast.AST, ast.AST], None]
"""Changes a node of a parsed tree; it is given the node and its parent."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: where it is, in the order of `ast.walk`, and what it does."""

    module: str
    function: str
    line: int
    what: str
    before: str
    original: str
    place: int
    edit: _Edit

    @property
    def name(self) -> str:
        """A name that stays the same while other lines come and go."""
        return f"{self.module}.{self.function}: {self.what} in `{self.before}`"

    def source(self) -> str:
        """Return the module with the fault."""
        tree = ast.parse(self.original)
        nodes = list(ast.walk(tree))
        node = nodes[self.place]
        parent = next((one for one in nodes if node in ast.iter_child_nodes(one)), tree)
        self.edit(node, parent)
        return ast.unparse(ast.fix_missing_locations(tree))


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module; annotations, docstrings and messages are left alone."""
    tree, lines = ast.parse(source), source.splitlines()
    owners, skipped = _functions(tree), _annotations(tree)
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in skipped:
            continue
        for what, edit in _edits(node):
            line: int = node.lineno  # type: ignore[attr-defined]  # only statements and expressions
            yield Mutant(
                module=module,
                function=owners.get(id(node), "module"),
                line=line,
                what=what,
                before=lines[line - 1].strip(),
                original=source,
                place=place,
                edit=edit,
            )


def _functions(tree: ast.AST) -> dict[int, str]:
    owners: dict[int, str] = {}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            owners.update({id(node): function.name for node in ast.walk(function)})
    return owners


def _annotations(tree: ast.AST) -> set[int]:
    """Return the nodes that say nothing at run time, and those that only name types."""
    found: set[int] = set()
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            part = getattr(node, name, None)
            if part is not None:
                found.update(map(id, ast.walk(part)))
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            for decorator in node.decorator_list:
                found.update(map(id, ast.walk(decorator)))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "Match":
            found.update(map(id, ast.walk(node)))
    return found


def _edits(node: ast.AST) -> Iterator[tuple[str, _Edit]]:
    """Yield what may be done to a node: in words, and as an edit of a copy."""
    for kinds, found in _EDITS:
        if isinstance(node, kinds):
            yield from found(node)


def _comparisons(node: ast.Compare) -> Iterator[tuple[str, _Edit]]:
    for place, operator in enumerate(node.ops):
        for other in _FLIPS[type(operator)]:
            what = f"{type(operator).__name__} to {other.__name__}"
            yield what, _set_comparison(place, other())
    if isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
        yield f"forget the word {node.left.value!r}", _blank


def _conjunctions(node: ast.BoolOp) -> Iterator[tuple[str, _Edit]]:
    other_way = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield "swap and/or", lambda n, _: setattr(n, "op", other_way)
    for place, value in enumerate(node.values):
        yield f"drop `{ast.unparse(value)}`", _drop(place)


def _negations(node: ast.UnaryOp) -> Iterator[tuple[str, _Edit]]:
    if isinstance(node.op, ast.Not):
        yield "remove not", lambda n, p: _put(p, n, n.operand)  # type: ignore[attr-defined]  # UnaryOp


def _operators(node: ast.BinOp | ast.AugAssign) -> Iterator[tuple[str, _Edit]]:
    if type(node.op) in _OPERATORS:
        swapped = _OPERATORS[type(node.op)]()
        what = f"{type(node.op).__name__} to {type(swapped).__name__}"
        yield what, lambda n, _: setattr(n, "op", swapped)


def _conditions(node: ast.If | ast.IfExp) -> Iterator[tuple[str, _Edit]]:
    for value in (True, False):
        yield f"always {value} `{ast.unparse(node.test)}`", _set_test(value)


def _statements(node: ast.stmt) -> Iterator[tuple[str, _Edit]]:
    if isinstance(node, ast.Continue) or (isinstance(node, ast.Return) and node.value is None):
        yield "go on instead of stopping", lambda n, p: _put(p, n, ast.Pass())
    is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    if is_call or isinstance(node, ast.AugAssign):
        yield "leave the statement out", lambda n, p: _put(p, n, ast.Pass())


def _constants(node: ast.Constant) -> Iterator[tuple[str, _Edit]]:
    if isinstance(node.value, bool):
        yield f"{node.value} to {not node.value}", _set_value(not node.value)
    elif isinstance(node.value, int):
        yield f"{node.value} to {node.value + 1}", _set_value(node.value + 1)


def _calls(node: ast.Call) -> Iterator[tuple[str, _Edit]]:
    if isinstance(node.func, ast.Name) and node.func.id in _NAMES:
        other = _NAMES[node.func.id]
        yield f"{node.func.id} to {other}", lambda n, _: setattr(n.func, "id", other)  # type: ignore[attr-defined]  # Call
    if isinstance(node.func, ast.Attribute) and node.func.attr in _SET_TESTS:
        yield "negate", lambda n, p: _put(p, n, ast.UnaryOp(op=ast.Not(), operand=n))  # type: ignore[arg-type]  # expr
    if isinstance(node.func, ast.Attribute) and node.func.attr == "strip":
        yield "no strip", lambda n, p: _put(p, n, n.func.value)  # type: ignore[attr-defined]  # Call


def _set_comparison(place: int, operator: ast.cmpop) -> _Edit:
    def edit(node: ast.AST, _: ast.AST) -> None:
        assert isinstance(node, ast.Compare)
        node.ops[place] = operator

    return edit


def _blank(node: ast.AST, _: ast.AST) -> None:
    assert isinstance(node, ast.Compare)
    node.left = ast.Constant("")


def _drop(place: int) -> _Edit:
    def edit(node: ast.AST, parent: ast.AST) -> None:
        assert isinstance(node, ast.BoolOp)
        del node.values[place]
        if len(node.values) == 1:
            _put(parent, node, node.values[0])

    return edit


def _set_value(value: object) -> _Edit:
    return lambda node, _: setattr(node, "value", value)


def _set_test(value: bool) -> _Edit:
    return lambda node, _: setattr(node, "test", ast.Constant(value))


def _put(parent: ast.AST, old: ast.AST, new: ast.AST) -> None:
    """Put a node in another's place."""
    for name, value in ast.iter_fields(parent):
        if value is old:
            setattr(parent, name, new)
            return
        if isinstance(value, list):
            for place, one in enumerate(value):
                if one is old:
                    value[place] = new
                    return
    raise AssertionError("the node is not its parent's")


_EDITS: Final[tuple[tuple[Any, Callable[[Any], Iterator[tuple[str, _Edit]]]], ...]] = (
    (ast.Compare, _comparisons),
    (ast.BoolOp, _conjunctions),
    (ast.UnaryOp, _negations),
    (ast.BinOp | ast.AugAssign, _operators),
    (ast.Constant, _constants),
    (ast.If | ast.IfExp, _conditions),
    (ast.Call, _calls),
    (ast.stmt, _statements),
)
