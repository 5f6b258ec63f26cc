"""Mutation testing of the decision: `python -m tests.policies.mutation [module ...]`.

Each mutant is one small fault in a copy of one module. It is tried in a process of its own:
first against a sample of the differential test (Cedar's answers are worked out once), then
against the fast policy tests. A mutant that nothing notices survives; `survivors.py` says why.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import io
import os
import pickle
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any, Final

import hypothesis
import pytest

from tests.policies.cedar.adapter import Answer, Oracle
from tests.policies.cedar.comparison import Material, compiled, read_material
from tests.policies.cedar.documents import Json, agreement_of, law_of
from tests.policies.cedar.queries import Queries
from tests.policies.mutants import Mutant, mutants_of
from tests.policies.survivors import SURVIVORS

ROOT: Final = Path(__file__).parents[2]
MODULES: Final = ("decide", "checks", "request_checks", "case", "select", "settled", "times")
TESTS: Final = (
    *(
        "hints",
        "told",
        "times",
        "checks",
        "request_checks",
        "case",
        "select",
        "decide",
        "settled",
        "scenarios",
    ),
)
AGREEMENTS: Final = 60
QUERIES_PER_AGREEMENT: Final = 60
SECONDS_PER_MUTANT_MAX: Final = 120
KILLED_BY_SAMPLE, KILLED_BY_TESTS, SURVIVED = 1, 2, 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One agreement with its law, its queries (pickled) and what Cedar answers to each."""

    document: Json
    instruments: list[Json]
    services: list[Json]
    queries: bytes
    answers: list[Answer]
    oracle: Oracle


def samples(material: Material) -> Iterator[Sample]:
    """Yield the sample, always the same."""
    chance, services = Random("mutation"), material.with_fresh()  # noqa: S311 - no secret
    made = 0
    while made < AGREEMENTS:
        instruments = law_of(chance, material.instruments)
        document = agreement_of(chance, material.agreements, instruments)
        if compiled(document, services) is None:
            continue
        made += 1
        source = Queries(chance, document, instruments, services)
        queries = [source.draw() for _ in range(QUERIES_PER_AGREEMENT)]
        oracle = Oracle(document, instruments, services)
        answers = oracle.answers(queries)
        data = pickle.dumps(queries)
        yield Sample(document, instruments, services, data, answers, oracle)


class _Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the mutant wherever its module is imported."""

    def __init__(self, mutant: Mutant) -> None:
        self.name = f"policies.{mutant.module}"
        self.code = compile(mutant.source(), f"<mutant of {self.name}>", "exec")

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Find only the module that is mutated."""
        return importlib.util.spec_from_loader(name, self) if name == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        """Run the mutant as the module."""
        exec(self.code, module.__dict__)  # noqa: S102 - our own source with one fault


def _try(mutant: Mutant, sample: Sequence[Sample]) -> int:
    """Try a mutant in this process, which is given up afterwards."""
    sys.meta_path.insert(0, _Loader(mutant))
    for name in [one for one in sys.modules if one.startswith(("policies", "tests.policies"))]:
        del sys.modules[name]
    signal.alarm(SECONDS_PER_MUTANT_MAX)
    try:
        if not _agrees(sample):
            return KILLED_BY_SAMPLE
    except Exception:  # noqa: BLE001 - whatever a mutant breaks, it is noticed
        return KILLED_BY_SAMPLE
    hypothesis.settings.register_profile("mutation", max_examples=30, database=None)
    hypothesis.settings.load_profile("mutation")
    files = [str(ROOT / f"tests/policies/test_{name}.py") for name in TESTS]
    files.append(str(ROOT / "tests/policies/cedar/test_found.py"))
    known = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis is imported already
    options = ["-x", "-q", "-p", "no:cacheprovider", "-W", known, "--hypothesis-seed=1"]
    failed = pytest.main([*options, *files]) != 0
    return KILLED_BY_TESTS if failed else SURVIVED


def _agrees(sample: Sequence[Sample]) -> bool:
    from policies.decide import decide
    from policies.law import Law, read_instruments
    from tests.policies.cedar.comparison import Case, compiled, difference

    for one in sample:
        policy = compiled(one.document, one.services)
        if policy is None:
            return False
        found = read_instruments({"instruments": one.instruments})
        law = Law(instruments={each.id: each for each in found})
        queries = pickle.loads(one.queries)  # noqa: S301 - our own bytes
        for query, answer in zip(queries, one.answers, strict=True):
            case = Case(query=query, decision=decide(policy, query, law), oracle=one.oracle)
            if difference(case, answer) is not None:
                return False
    return True


def outcome_of(mutant: Mutant, sample: Sequence[Sample]) -> int:
    """Try a mutant in a process of its own; a timeout or a crash is a kill."""
    child = os.fork()
    if child == 0:
        code = KILLED_BY_TESTS
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        with contextlib.suppress(BaseException), contextlib.redirect_stdout(io.StringIO()):
            code = _try(mutant, sample)
        os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else KILLED_BY_TESTS


def _source(module: str) -> str:
    return (ROOT / f"policies/{module}.py").read_text()


def main(modules: Sequence[str]) -> int:
    """Try every mutant, tell the figures, and fail for a survivor that nobody has explained."""
    sample = list(samples(read_material()))
    figures: Counter[int] = Counter()
    unharmed = Mutant("times", "", 0, "nothing", "", _source("times"), 0, lambda node, parent: None)
    assert outcome_of(unharmed, sample) == SURVIVED, "the tests fail without any fault"
    survived: set[str] = set()
    for module in modules or MODULES:
        for mutant in mutants_of(module, _source(module)):
            outcome = outcome_of(mutant, sample)
            figures[outcome] += 1
            if figures.total() % 50 == 0:
                print(f"  {figures.total()} tried", flush=True)
            if outcome == SURVIVED:
                survived.add(mutant.name)
                why = SURVIVORS.get(mutant.name, "NOT EXPLAINED")
                print(f"{mutant.line}: {mutant.name}: {why}", flush=True)
        print(f"after {module}: {dict(sorted(figures.items()))}", flush=True)
    unexplained = survived - SURVIVORS.keys()
    stale = set() if modules else SURVIVORS.keys() - survived
    print(
        f"{figures.total()} mutants: {figures[KILLED_BY_SAMPLE]} killed by the differential "
        f"sample, {figures[KILLED_BY_TESTS]} by the tests; {figures[SURVIVED]} survived, "
        f"{len(unexplained)} of them not explained; explained but killed: {sorted(stale)}"
    )
    return 1 if unexplained or stale else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
