"""One agreement by chance, decided by both engines: what was compared, and where they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import yaml

from policies.compile import Policy, compile_policy
from policies.decide import decide
from policies.decision import Decision, Query, Verdict
from policies.document import DocumentInvalid, read_agreement
from policies.law import Law, read_instruments
from policies.service import read_services
from tests.policies.cedar.adapter import Answer, Oracle
from tests.policies.cedar.documents import SERVICE, Json, agreement_of, law_of
from tests.policies.cedar.queries import Queries

PACK: Final = Path(__file__).parents[3] / "gateway/demo/pack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """The raw documents that agreements are made from."""

    agreements: Sequence[Mapping[str, Any]]
    instruments: Sequence[Mapping[str, Any]]
    services: Sequence[Mapping[str, Any]]

    def with_fresh(self) -> list[Json]:
        """Return the services, the generator's own among them."""
        return [*map(dict, self.services), SERVICE]


def read_material() -> Material:
    """Return the raw documents of the scenario pack that ships with the demo."""

    def read(path: Path) -> Any:
        return yaml.safe_load(path.read_text())

    return Material(
        agreements=[read(path) for path in sorted(PACK.glob("agreements/*.yaml"))],
        instruments=read(PACK / "legal/instruments.yaml")["instruments"],
        services=read(PACK / "services.yaml")["services"],
    )


@dataclass(slots=True)
class Tally:
    """What a run compared: decisions by verdict, denials by their only reason, disagreements."""

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    sole_reasons: Counter[str] = field(default_factory=Counter)
    refused_documents: int = 0
    disagreements: list[str] = field(default_factory=list)

    def note(self, seed: str, case: Case, answer: Answer) -> None:
        """Count one comparison, and keep what differs."""
        decision = case.decision
        self.verdicts[decision.verdict] += 1
        if len({check.reason for check in decision.checks}) == 1:
            self.sole_reasons[decision.reason.value] += 1
        wrong = difference(case, answer)
        if wrong is not None:
            self.disagreements.append(f"{seed}: {wrong}: {decision.reason} {case.query}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One query as the native engine decided it."""

    query: Query
    decision: Decision
    oracle: Oracle


def difference(case: Case, answer: Answer) -> str | None:
    """Return how the native decision departs from Cedar's answer, or None."""
    decision, oracle = case.decision, case.oracle
    if answer.errors:
        return f"Cedar could not tell: {answer.errors}"
    if decision.permitted is not answer.permitted:
        return f"native {decision.verdict}, Cedar {sorted(answer.rules) or 'deny'}"
    if not decision.permitted:
        return None
    if decision.rule not in answer.rules:
        return f"native permits by {decision.rule}, Cedar by {sorted(answer.rules)}"
    if (decision.verdict is Verdict.PERMIT) is not (case.query.break_glass is None):
        return f"{decision.verdict} is the wrong kind of permit"
    rule = next(one for one in oracle.agreement.rules if one.id == decision.rule)
    allowed = oracle.allowed(rule, case.query)
    if decision.duties.allowed != allowed:
        return f"native lets {decision.duties.allowed} out, the oracle {allowed}"
    instrument = oracle.instrument(rule, case.query)
    if decision.instrument != instrument:
        return f"native relies on {decision.instrument}, the oracle on {instrument}"
    return None


def compiled(document: Json, services: Sequence[Json]) -> Policy | None:
    """Return a document as the native engine enforces it, or None where it refuses it."""
    facts = {one.connector: one for one in read_services({"services": services})}
    try:
        return compile_policy(read_agreement(document), digest="sha256:00", services=facts)
    except DocumentInvalid:
        return None


def compare(material: Material, seed: str, *, agreements: int, queries: int) -> Tally:
    """Compare the engines on so many agreements, with so many queries each."""
    tally, chance, services = Tally(), Random(seed), material.with_fresh()  # noqa: S311 - no secret
    while agreements:
        instruments = law_of(chance, material.instruments)
        document = agreement_of(chance, material.agreements, instruments)
        policy = compiled(document, services)
        if policy is None:
            tally.refused_documents += 1
            continue
        agreements -= 1
        found = read_instruments({"instruments": instruments})
        law = Law(instruments={one.id: one for one in found})
        oracle = Oracle(document, instruments, services)
        source = Queries(chance, document, instruments, services)
        drawn = [source.draw() for _ in range(queries)]
        for query, answer in zip(drawn, oracle.answers(drawn), strict=True):
            case = Case(query=query, decision=decide(policy, query, law), oracle=oracle)
            tally.note(seed, case, answer)
    return tally
