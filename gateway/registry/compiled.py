"""Agreements compiled once: a new configuration compiles only what is new in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.registry.documents import PlainDocument
from policies.compile import Policy, compile_policy
from policies.document import digest, read_agreement
from policies.reading import DocumentInvalid
from policies.service import ServiceFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """The policies of a configuration's agreements, and what is wrong with those that have none."""

    policies: tuple[Policy, ...]
    invalid: Mapping[str, DocumentInvalid]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """A policy with all that it was made of."""

    document: PlainDocument
    services: Mapping[str, ServiceFacts]
    policy: Policy


class AgreementCompiler:
    """Compiles one configuration's agreements after another's.

    A policy is made again only where its document, or the facts of a service that its rules name,
    differ from the last time: with a thousand agreements, a change of one takes as long as one.
    """

    def __init__(self) -> None:
        """Begin with nothing compiled."""
        self._last: Mapping[str, _Compiled] = {}

    def compile(
        self, agreements: Mapping[str, PlainDocument], services: Mapping[str, ServiceFacts]
    ) -> Compilation:
        """Return the policies of `agreements`, by key, under the facts of `services`."""
        compiled: dict[str, _Compiled] = {}
        invalid: dict[str, DocumentInvalid] = {}
        for key, document in agreements.items():
            last = self._last.get(key)
            if last is not None and _stands(last, document, services):
                compiled[key] = last
                continue
            try:
                compiled[key] = _compile(document, services)
            except DocumentInvalid as found:
                invalid[key] = found
        self._last = compiled
        policies = tuple(one.policy for one in compiled.values())
        return Compilation(policies=policies, invalid=invalid)


def _stands(last: _Compiled, document: PlainDocument, services: Mapping[str, ServiceFacts]) -> bool:
    return document == last.document and all(
        services.get(connector) == facts for connector, facts in last.services.items()
    )


def _compile(document: PlainDocument, services: Mapping[str, ServiceFacts]) -> _Compiled:
    policy = compile_policy(read_agreement(document), digest=digest(document), services=services)
    named = {rule.connector: services[rule.connector] for rule in policy.rules}
    return _Compiled(document=document, services=named, policy=policy)
