"""Agreements are compiled once: only what is new in a configuration is compiled again."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from gateway.registry.compiled import AgreementCompiler
from gateway.registry.configuration import Configuration
from policies.compile import Policy
from policies.service import ServiceFacts, read_services
from tests.configured import pack_configuration

KEY = "DSA-2026-0003"


def facts_of(configuration: Configuration) -> dict[str, ServiceFacts]:
    """Return the facts of every service."""
    found = read_services({"services": list(configuration.services.values())})
    return {facts.connector: facts for facts in found}


def by_id(policies: tuple[Policy, ...]) -> Mapping[str, Policy]:
    """Return policies by their agreements' ids."""
    return {policy.agreement_id: policy for policy in policies}


def test_what_is_the_same_is_not_compiled_again() -> None:
    """A document read anew, but equal, keeps its policy; so does one whose service moved."""
    configuration, compiler = pack_configuration(), AgreementCompiler()
    facts = facts_of(configuration)
    first = compiler.compile(configuration.agreements, facts)
    again = compiler.compile(copy.deepcopy(dict(configuration.agreements)), facts_of(configuration))

    assert not first.invalid
    assert len(first.policies) == len(configuration.agreements)
    assert all(old is new for old, new in zip(first.policies, again.policies, strict=True))


def test_a_changed_document_is_compiled_and_no_other() -> None:
    """The policy says what the new document says."""
    configuration, compiler = pack_configuration(), AgreementCompiler()
    facts = facts_of(configuration)
    first = by_id(compiler.compile(configuration.agreements, facts).policies)
    changed = {**configuration.agreements[KEY], "version": 2}
    second = by_id(compiler.compile({**configuration.agreements, KEY: changed}, facts).policies)

    assert second[KEY].version == 2
    assert {key for key in first if first[key] is not second[key]} == {KEY}


def test_a_changed_service_has_its_agreements_compiled_again() -> None:
    """A policy is made of the facts of the services that its rules name as well."""
    configuration, compiler = pack_configuration(), AgreementCompiler()
    facts = facts_of(configuration)
    first = by_id(compiler.compile(configuration.agreements, facts).policies)
    (connector,) = {rule.connector for rule in first[KEY].rules}
    document: dict[str, Any] = {**configuration.services[connector], "title": "Another title"}
    (other,) = read_services({"services": [document]})
    second = by_id(compiler.compile(configuration.agreements, {**facts, connector: other}).policies)

    named = {key for key, one in first.items() if connector in {r.connector for r in one.rules}}
    assert {key for key in first if first[key] is not second[key]} == named


def test_a_service_that_went_away_makes_its_agreements_invalid() -> None:
    """A policy of before never stands in for one that could not be made."""
    configuration, compiler = pack_configuration(), AgreementCompiler()
    facts = facts_of(configuration)
    first = by_id(compiler.compile(configuration.agreements, facts).policies)
    (connector,) = {rule.connector for rule in first[KEY].rules}
    del facts[connector]
    second = compiler.compile(configuration.agreements, facts)

    assert KEY in second.invalid
    assert KEY not in by_id(second.policies)
