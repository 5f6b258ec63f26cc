"""Agreements and the decisions made from them: pure values and functions, standard library only."""

from policies.agreement import Agreement
from policies.compile import CompiledRule, Policy, compile_policy
from policies.decide import decide
from policies.decision import Caller, Decision, Duties, Query, ReasonCode, Verdict
from policies.document import DocumentInvalid, Fault, canonical_bytes, digest, read_agreement
from policies.explain import detail_of, explain
from policies.law import Instrument, Law, read_instruments
from policies.paths import Template
from policies.select import AgreementIndex, refuse, select
from policies.service import ServiceFacts, read_services

__all__ = [
    "Agreement",
    "AgreementIndex",
    "Caller",
    "CompiledRule",
    "Decision",
    "DocumentInvalid",
    "Duties",
    "Fault",
    "Instrument",
    "Law",
    "Policy",
    "Query",
    "ReasonCode",
    "ServiceFacts",
    "Template",
    "Verdict",
    "canonical_bytes",
    "compile_policy",
    "decide",
    "detail_of",
    "digest",
    "explain",
    "read_agreement",
    "read_instruments",
    "read_services",
    "refuse",
    "select",
]
