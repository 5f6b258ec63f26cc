"""The house rules as a test: what style review would say, said by a machine."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("gateway", "policies", "connectors")
FUNCTION_LINES_MAX: Final = 60
FILE_LINES_MAX: Final = 400
POSITIONAL_PARAMETERS_MAX: Final = 5

BANNED_WORDS: Final = frozenset({"utils", "util", "helpers", "helper", "manager", "misc", "common"})
"""Words that name no thing of the field (codebases.md, section 6, rule 3)."""

BANNED_CALLS: Final = {
    "datetime.now": "take the time from gateway/clock.py",
    "datetime.utcnow": "take the time from gateway/clock.py",
    "time.time": "take the time from gateway/clock.py",
    "time.time_ns": "take the time from gateway/clock.py",
    "time.monotonic": "take the time from gateway/clock.py",
    "time.monotonic_ns": "take the time from gateway/clock.py",
    "uuid.uuid4": "take identifiers from gateway/clock.py",
    "os.urandom": "take randomness from gateway/clock.py",
    "secrets.token_bytes": "take randomness from gateway/clock.py",
    "asyncio.create_task": "keep the task: use a TaskGroup or a set that discards it when done",
    "asyncio.ensure_future": "keep the task: use a TaskGroup or a set that discards it when done",
    "os.environ": "settings are read once, in gateway/settings.py",
    "os.getenv": "settings are read once, in gateway/settings.py",
    "print": "only gateway/cli/output.py speaks to the terminal",
}
ALLOWED: Final = {
    "gateway/clock.py": {
        "datetime.now", "time.time_ns", "time.monotonic", "time.monotonic_ns", "os.urandom",
    },
    "gateway/settings.py": {"os.environ"},
    "gateway/cli/output.py": {"print"},
}  # fmt: skip
"""The one module that may make each call."""

UNTESTED: Final = {
    "gateway/__main__.py": "three lines; the end-to-end test starts the program",
}
"""Modules without a mirrored test, and why."""


def tracked(pattern: str) -> list[Path]:
    """Return the files of the project that match `pattern`, committed or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", pattern],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


def sources() -> list[Path]:
    """Return every module of the three packages."""
    return [path for path in tracked("*.py") if path.relative_to(ROOT).parts[0] in PACKAGES]


def named(path: Path) -> str:
    """Return the path as test ids show it."""
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length_without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function from its def to its end, its docstring left out."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def dotted(node: ast.AST) -> str:
    """Return the dotted name of an expression, or an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


PYTHON: Final = [pytest.param(path, id=named(path)) for path in tracked("*.py")]
SOURCES: Final = [pytest.param(path, id=named(path)) for path in sources()]


@pytest.mark.parametrize("path", PYTHON)
def test_files_and_functions_are_short(path: Path) -> None:
    """A file has at most 400 lines, a function at most 60."""
    text = path.read_text()
    long = [
        f"{f.name}: {length_without_docstring(f)} lines"
        for f in functions(ast.parse(text))
        if length_without_docstring(f) > FUNCTION_LINES_MAX
    ]

    assert len(text.splitlines()) <= FILE_LINES_MAX
    assert long == []


@pytest.mark.parametrize("path", SOURCES)
def test_parameters_are_few_or_named(path: Path) -> None:
    """A function takes at most five parameters before the keyword-only ones."""
    many = [
        f.name
        for f in functions(ast.parse(path.read_text()))
        if len([a for a in f.args.posonlyargs + f.args.args if a.arg not in ("self", "cls")])
        > POSITIONAL_PARAMETERS_MAX
    ]

    assert many == []


@pytest.mark.parametrize("path", PYTHON)
def test_module_says_its_purpose(path: Path) -> None:
    """A module opens with a docstring whose first line is one sentence."""
    docstring = ast.get_docstring(ast.parse(path.read_text()))

    assert docstring is not None
    assert re.search(r"[.:?]$", docstring.split("\n\n")[0])


@pytest.mark.parametrize("path", SOURCES)
def test_public_names_are_documented(path: Path) -> None:
    """Public classes and functions of a module say what they promise."""
    tree = ast.parse(path.read_text())
    bare = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]

    assert bare == []


@pytest.mark.parametrize("path", SOURCES)
def test_source_has_a_mirrored_test(path: Path) -> None:
    """The test of X/y.py is tests/X/test_y.py."""
    if path.name == "__init__.py" or "versions" in path.parts or named(path) in UNTESTED:
        return
    relative = path.relative_to(ROOT)

    assert (ROOT / "tests" / relative.parent / f"test_{relative.name}").exists()


@pytest.mark.parametrize("path", SOURCES)
def test_names_are_of_the_field(path: Path) -> None:
    """No module, class or function carries a word that says nothing."""
    names = [path.stem]
    names += [
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    words = {w.lower() for name in names for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}

    assert words & BANNED_WORDS == set()


@pytest.mark.parametrize("path", SOURCES)
def test_time_chance_environment_and_terminal_have_one_home(path: Path) -> None:
    """Calls that make code hard to replay or to keep quiet are made in one module each."""
    allowed = ALLOWED.get(named(path), set())
    found = [
        f"line {node.lineno}: {name}: {BANNED_CALLS[name]}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call | ast.Attribute)
        for name in [dotted(node.func) if isinstance(node, ast.Call) else dotted(node)]
        if name in BANNED_CALLS and name not in allowed
    ]

    assert found == []


@pytest.mark.parametrize("path", PYTHON)
def test_exceptions_to_the_rules_give_a_reason(path: Path) -> None:
    """Every noqa and type: ignore names its code and says why; nothing is left for later."""
    bare = [
        f"line {number}"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"#\s*noqa(?!: [A-Z]+\d+(, [A-Z]+\d+)* - \w)", line)
        or re.search(r"#\s*type: ignore(?!\[[a-z, -]+\]  # \w)", line)
        or re.search(r"#.*\b(TODO|FIXME|XXX)\b(?!\()", line)
    ]

    assert bare == [] or path == Path(__file__).resolve()


@pytest.mark.parametrize(
    "path",
    [p for p in PYTHON if named(p.values[0]).startswith("tests/")],  # type: ignore[arg-type]  # ParameterSet holds objects
)
def test_tests_say_the_behaviour(path: Path) -> None:
    """Every test has a docstring that states the behaviour."""
    silent = [
        f.name
        for f in functions(ast.parse(path.read_text()))
        if f.name.startswith("test_") and ast.get_docstring(f) is None
    ]

    assert silent == []


@pytest.mark.parametrize("path", [pytest.param(p, id=named(p)) for p in tracked("*.md")])
def test_documents_have_one_title(path: Path) -> None:
    """A Markdown file has exactly one top-level title."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)

    assert len(re.findall(r"^# ", text, flags=re.MULTILINE)) == 1


def test_nothing_names_an_index_host_or_this_machine() -> None:
    """No tracked file names a package registry's host or a path of this machine."""
    hosts = "|".join(("py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com"))
    places = "|".join(("/" + "work/main", "/" + "work/shared", "/" + "root/"))
    found = [
        named(path)
        for path in tracked("*")
        if path.suffix not in {".png", ".parquet"}
        and re.search(f"{hosts}|{places}", path.read_text(errors="replace"))
    ]

    assert found == []
