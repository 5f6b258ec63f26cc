"""Builders for the policy tests: the scenario pack as values, and queries with defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from policies.agreement import Agreement
from policies.compile import Policy, compile_policy
from policies.decide import decide
from policies.decision import (
    PUBLIC,
    BreakGlassRequest,
    Caller,
    Decision,
    DecisionForm,
    Query,
)
from policies.document import digest, read_agreement
from policies.law import Law, read_instruments
from policies.select import AgreementIndex, refuse, select
from policies.service import ServiceFacts, read_services

ROOT = Path(__file__).parents[2]
PACKS = (ROOT / "gateway/demo/pack", ROOT.parent / "shared/scenarios")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A scenario pack, read and compiled."""

    documents: Mapping[str, dict[str, Any]]
    agreements: Mapping[str, Agreement]
    services: Mapping[str, ServiceFacts]
    policies: Mapping[str, Policy]
    law: Law
    index: AgreementIndex
    issuers: Mapping[str, frozenset[str]]
    forms: Mapping[str, DecisionForm]
    sheets: tuple[dict[str, Any], ...]

    def compile(self, agreement: Agreement) -> Policy:
        """Compile a changed agreement against the pack's services."""
        return compile_policy(agreement, digest="sha256:00", services=self.services)

    def calls(self) -> Iterator[dict[str, Any]]:
        """Yield every call, with its file's agreement and defaults filled in."""
        for sheet in self.sheets:
            for call in sheet["calls"]:
                yield {"agreement": sheet["agreement"], **sheet["defaults"], **call}

    def call(self, call_id: str) -> dict[str, Any]:
        """Return one call by its id."""
        return next(call for call in self.calls() if call["id"] == call_id)

    def query(self, call_id: str, **changes: Any) -> Query:
        """Return the query of a call, with some of its members changed."""
        return replace(query_of(self.call(call_id), self), **changes)

    def decide(self, call_id: str, **changes: Any) -> Decision:
        """Decide a call of the pack, with some members of its query changed."""
        policy = self.policies[self.call(call_id)["agreement"]]
        return decide(policy, self.query(call_id, **changes), self.law)

    def play(self, call: Mapping[str, Any]) -> Decision:
        """Select an agreement for a call, and decide it."""
        query = query_of(call, self)
        chosen = select(
            self.index,
            caller=query.caller,
            agreement=None if query.caller.organisation == PUBLIC else call["agreement"],
            service=self.service_of(query),
            method=query.method,
            path=query.path,
            purpose=query.purpose,
        )
        return decide(chosen, query, self.law) if isinstance(chosen, Policy) else refuse(chosen)

    def service_of(self, query: Query) -> str | None:
        """Return the connector that serves a path, as the route table would."""
        for policy in self.policies.values():
            for rule, _ in policy.matching(query.method, query.path):
                return rule.connector
        return None


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def _form(request: dict[str, Any], decision: dict[str, Any]) -> DecisionForm:
    subject = {} if request["uprn"] is None else {"uprn": request["uprn"]}
    return DecisionForm(
        reference=request["request_ref"],
        requester=request["requesting_organisation"],
        approved=decision["decision"] != "do_not_share",
        fields_released=frozenset(decision["fields_released"]),
        decided_at=datetime.fromisoformat(decision["decided_at"]),
        operation_ref=request["operation_ref"],
        subject_category=request["subject_category"],
        subject=subject,
    )


@pytest.fixture(scope="session")
def pack() -> Pack:
    """The scenario pack that ships with the demo, else the shared one."""
    home = next((path for path in PACKS if (path / "services.yaml").exists()), None)
    if home is None:
        pytest.skip("no scenario pack: neither gateway/demo/pack nor ../shared/scenarios")
    documents = {doc["agreement_id"]: doc for doc in map(_read, sorted(home.glob("agreements/*")))}
    agreements = {key: read_agreement(document) for key, document in documents.items()}
    facts = read_services(_read(home / "services.yaml"))
    services = {one.connector: one for one in facts}
    policies = {
        key: compile_policy(one, digest=digest(documents[key]), services=services)
        for key, one in agreements.items()
    }
    instruments = read_instruments(_read(home / "legal/instruments.yaml"))
    forms = _read(next(home.glob("data/s5-*forms*.json")))
    requests = {one["request_ref"]: one for one in forms if one["form"] == "request"}
    return Pack(
        documents=documents,
        agreements=agreements,
        services=services,
        policies=policies,
        law=Law(instruments={one.id: one for one in instruments}),
        index=AgreementIndex(policies.values()),
        issuers={
            one["issuer"]: frozenset({one["ref"]})
            for one in _read(home / "parties.yaml")["parties"]
            if one["issuer"]
        },
        forms={
            one["request_ref"]: _form(requests[one["request_ref"]], one)
            for one in forms
            if one["form"] == "decision"
        },
        sheets=tuple(_read(path) for path in sorted(home.glob("calls/*.yaml"))),
    )


def query_of(call: Mapping[str, Any], pack: Pack) -> Query:
    """Return the query that a gateway would make of a call."""
    sent = dict(call.get("query", {}))
    fields = sent.pop("_fields", None)
    public = call["org"] == PUBLIC
    context = dict(call.get("context", {}))
    urgent = dict(call.get("break_glass", {}))
    if urgent:
        urgent["started_at"] = datetime.fromisoformat(urgent["started_at"])
    return Query(
        at=datetime.fromisoformat(call["at"]),
        caller=Caller(
            organisation=call["org"],
            client=call["client"],
            subject=call.get("sub"),
            roles=frozenset(call.get("roles", ())),
            acr=call.get("acr"),
            issuer_speaks_for=frozenset() if public else pack.issuers[call["issuer"]],
            sender_constrained=bool(call.get("sender_constrained")) and not public,
        ),
        method=call["method"],
        path=tuple(call["path"].split("/")[1:]),
        purpose=None if public else call["purpose"],
        parameters=tuple(sent.items()),
        fields=None if fields is None else tuple(fields.split(",")),
        rows=_rows(call.get("body")),
        context=context,
        on_behalf_of=call.get("on_behalf_of"),
        break_glass=BreakGlassRequest(**urgent) if urgent else None,
        decision_form=pack.forms.get(context.get("decision_ref", "")),
        decision_form_used=bool(call.get("decision_already_used")),
    )


def _rows(body: Mapping[str, Any] | None) -> tuple[Mapping[str, object], ...] | None:
    if body is None:
        return None
    if "batch_size" in body:
        return tuple({"uprn": str(999000000000 + n)} for n in range(body["batch_size"]))
    return tuple(body["batch"]) if "batch" in body else (body,)


@pytest.fixture
def changed(pack: Pack) -> Callable[..., dict[str, Any]]:
    """Return a deep copy of an agreement's document, changed at the pointers given."""

    def change(agreement_id: str, changes: Mapping[tuple[str | int, ...], Any]) -> dict[str, Any]:
        document: dict[str, Any] = deepcopy(pack.documents[agreement_id])
        for pointer, value in changes.items():
            target: Any = document
            for step in pointer[:-1]:
                target = target[step]
            target[pointer[-1]] = value
        return document

    return change
