"""Packs as nobody should write them: the outcome is a verdict, or what is wrong and where."""

from __future__ import annotations

import copy
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from gateway.demo.attempts import attempt_all
from gateway.demo.call_sheet import CALLS_FOLDER, read_calls
from gateway.demo.departments import DATA_FOLDER, Replacements, create_departments
from gateway.demo.evaluate import evaluate
from gateway.demo.judge import Standing
from gateway.demo.packs import BUILT_IN, Pack, read_pack
from gateway.demo.report import as_json, difference_lines, table_of
from gateway.demo.scenario import AuthoringRefusal, PackInvalid
from gateway.documents import DocumentUnreadable, Pointer, load_document
from gateway.refresh import SnapshotRefused
from gateway.registry.documents import ConfigurationInvalid

EXAMPLES = 60
"""Packs for each property in an ordinary run; each takes some 50 ms."""

UNFIT = (PackInvalid, DocumentUnreadable, ConfigurationInvalid)
ODD: tuple[object, ...] = (
    *(None, True, False, 0, -1, 5, 10**17, "", ".", "..", "/", "/a/{b", "/a//b", "no slash"),
    *("a\x00b", "é\u202e", "G T", "%zz", "/%ff/%", "http://[::1", "../../x", "[/x]", "a" * 3000),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-20T12:00:00", "public"),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01", "9999-12-31", "2026-02-30"),
    *([], [[]], [None], ["a", 1], [{"a": 1}], {}, {"": ""}, {"a": {"b": [1]}}),
    *({"batch_size": 3}, {"batch_size": -1}, {"batch_size": 10**17}, {"batch": [1]}, {"batch": 1}),
)
CONFIGURED = sorted(
    path.relative_to(BUILT_IN)
    for path in BUILT_IN.rglob("*.yaml")
    if CALLS_FOLDER not in path.relative_to(BUILT_IN).parts
)
SHEETS = sorted((BUILT_IN / CALLS_FOLDER).glob("*.yaml"))


def _places(value: object, pointer: Pointer = ()) -> Iterator[Pointer]:
    if pointer:
        yield pointer
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _places(member, (*pointer, key))
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from _places(member, (*pointer, number))


def _change(document: Any, pointer: Pointer, odd: object, how: str) -> None:
    """Change a document at a place: its value, or whether it is there, or how often."""
    target = document
    for step in pointer[:-1]:
        target = target[step]
    last = pointer[-1]
    if how == "drop":
        del target[last]
    elif how == "wrap":
        target[last] = [target[last], 7]
    elif how == "name" and isinstance(target, dict):
        target[str(odd)] = target.pop(last)
    else:
        target[last] = odd


@st.composite
def _mutated(draw: st.DrawFn, value: object) -> object:
    """Draw a document that is like `value`, but for a few places."""
    changed = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        pointers = list(_places(changed))
        if not pointers:
            break
        pointer = draw(st.sampled_from(pointers))
        how = draw(st.sampled_from(["put", "put", "put", "drop", "wrap", "name"]))
        odd = copy.deepcopy(draw(st.sampled_from(ODD)))
        _change(changed, pointer, odd, how)
    return changed


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False))


@contextmanager
def _unfit_at(where: str) -> Iterator[None]:
    """Take it that a pack is unfit, if the error says so first where that is."""
    try:
        yield
    except UNFIT as unfit:
        if not str(unfit).startswith(where):
            raise


def _judge(pack: Pack) -> None:
    """Judge a pack and tell of it, as `policy test` does."""
    results = evaluate(pack)
    json.dumps(as_json(results))
    console = Console(file=io.StringIO(), width=120, markup=False)
    console.print(table_of(results, title="t"), *difference_lines(results))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the built-in pack, to be changed and put right again."""
    return shutil.copytree(BUILT_IN, tmp_path_factory.mktemp("hostile") / "pack")


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_call_sheet_is_judged_or_told_to_be_wrong(
    pack: Pack, folder: Path, data: st.DataObject
) -> None:
    """Whatever is written where, in a sheet, of a call or of an attempt."""
    path = folder / "sheet.json"
    sheet = data.draw(st.sampled_from(SHEETS))
    _write(path, data.draw(_mutated(load_document(sheet).value)))
    with _unfit_at(f"{path}:"):
        _judge(replace(pack, sheet=read_calls(folder, [path])))


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_configuration_is_judged_or_told_to_be_wrong(folder: Path, data: st.DataObject) -> None:
    """Whatever is written where, in any file of a pack; its departments can be built."""
    name = data.draw(st.sampled_from(CONFIGURED))
    _write(folder / name, data.draw(_mutated(load_document(BUILT_IN / name).value)))
    try:
        with _unfit_at(str(folder)), suppress(SnapshotRefused):
            pack = read_pack(folder)
            create_departments(pack.operations, folder / DATA_FOLDER, Replacements(folder / "note"))
            _judge(pack)
    finally:
        shutil.copy(BUILT_IN / name, folder / name)


@given(st.data())
@settings(max_examples=3 * EXAMPLES, deadline=None)
def test_any_authoring_attempt_is_made_or_told_to_be_unknown(
    pack: Pack, data: st.DataObject
) -> None:
    """Whatever an attempt changes, wherever, in whatever order."""
    name = data.draw(st.sampled_from(sorted(pack.configuration.agreements)))
    places = [".".join(map(str, one)) for one in _places(pack.configuration.agreements[name])]
    words = st.sampled_from([*places, "parties", "add_consumer", "register_id", "..", "term.²"])
    change = data.draw(st.dictionaries(words, st.sampled_from(ODD), min_size=1, max_size=4))
    attempt = AuthoringRefusal(id="A", title="t", agreement=name, change=change)
    (result,) = attempt_all(replace(pack, sheet=replace(pack.sheet, authoring_refusals=(attempt,))))
    assert (result.missing is None) == (result.standing is not Standing.NOT_YET)


@given(st.binary(max_size=200) | st.sampled_from([b"calls: [\x00]", b"\xff", b"", b"[" * 5000]))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_bytes_are_no_call_sheet(folder: Path, content: bytes) -> None:
    """What is no text, or no YAML, or nested without end, is told with its place."""
    path = folder / "sheet.yaml"
    path.write_bytes(content)
    with pytest.raises(UNFIT, match=f"^{path}:"):
        read_calls(folder, [path])
