"""Which agreement a call is judged by: the one it names, or the only one that fits it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from policies.compile import Policy
from policies.decision import (
    ALERTING_REASONS,
    PUBLIC,
    Caller,
    Check,
    Decision,
    Outcome,
    ReasonCode,
    Verdict,
)


class AgreementIndex:
    """The agreements of a snapshot, by id and by party; immutable and picklable.

    Of several versions of one agreement, the latest that answers stands, else the latest.
    """

    __slots__ = ("_by_id", "_by_party")

    def __init__(self, policies: Iterable[Policy]) -> None:
        """Index the policies."""
        by_id: dict[str, Policy] = {}
        for policy in sorted(policies, key=lambda one: (one.answering, one.version)):
            by_id[policy.agreement_id] = policy
        by_party: dict[str, list[Policy]] = {}
        for key in sorted(by_id):
            for ref in by_id[key].clients:
                by_party.setdefault(ref, []).append(by_id[key])
        self._by_id: Mapping[str, Policy] = dict(sorted(by_id.items()))
        self._by_party = {ref: tuple(found) for ref, found in by_party.items()}

    def get(self, agreement_id: str) -> Policy | None:
        """Return an agreement by its id."""
        return self._by_id.get(agreement_id)

    def of(self, organisation: str) -> tuple[Policy, ...]:
        """Return the agreements that name an organisation as a party, by id."""
        return self._by_party.get(organisation, ())

    def __iter__(self) -> Iterator[Policy]:
        """Yield every agreement, by id."""
        return iter(self._by_id.values())

    def __len__(self) -> int:
        """Return how many agreements there are."""
        return len(self._by_id)

    def __reduce__(self) -> tuple[type[AgreementIndex], tuple[tuple[Policy, ...]]]:
        """Pickle the policies alone; the index is built again."""
        return AgreementIndex, (tuple(self._by_id.values()),)


def select(
    index: AgreementIndex,
    *,
    caller: Caller,
    agreement: str | None,
    service: str | None,
    method: str,
    path: tuple[str, ...],
    purpose: str | None,
) -> Policy | ReasonCode:
    """Return the policy to judge a call by, or the reason why there is none.

    An agreement that the token names is taken as it is: the decision says whether the caller is a
    party. Otherwise the candidates are those of the caller's organisation, client and service:
    one stands; of several, the one whose rule for this operation has the purpose (design.md
    section 4). Where the caller has none, an agreement with the public may cover the operation.
    """
    if agreement is not None:
        return named(index, agreement)
    if caller.organisation == PUBLIC:
        return _public(index, service, method, path) or ReasonCode.TOKEN_MISSING
    if caller.organisation not in caller.issuer_speaks_for:
        # Nothing may be learnt of agreements by speaking for somebody else.
        return ReasonCode.ORG_MISMATCH
    candidates = [one for one in index.of(caller.organisation) if _covers(one, caller, service)]
    candidates = [one for one in candidates if one.answering] or candidates
    if not candidates:
        return _public(index, service, method, path) or ReasonCode.AGREEMENT_NOT_FOUND
    if len(candidates) > 1:
        candidates = [
            one
            for one in candidates
            if any(
                rule.party in (caller.organisation, PUBLIC) and purpose in rule.purposes
                for rule, _ in one.matching(method, path)
            )
        ]
    return candidates[0] if len(candidates) == 1 else ReasonCode.AGREEMENT_AMBIGUOUS


def named(index: AgreementIndex, agreement: str) -> Policy | ReasonCode:
    """Return the agreement that a token names, taken as it is, or the reason that there is none."""
    return index.get(agreement) or ReasonCode.AGREEMENT_NOT_FOUND


def refuse(reason: ReasonCode, *, detail: str = "") -> Decision:
    """Return the denial of a call for which no agreement was found; it reveals none."""
    check = Check(name="agreement", outcome=Outcome.FAILED, reason=reason, clause="", detail=detail)
    return Decision(
        verdict=Verdict.DENY,
        reason=reason,
        checks=(check,),
        alert=reason in ALERTING_REASONS,
    )


def _covers(policy: Policy, caller: Caller, service: str | None) -> bool:
    """Whether client and service are covered; a path that no service serves tells no service."""
    clients = policy.clients.get(caller.organisation)
    if clients is not None and caller.client not in clients:
        return False
    return service is None or any(
        rule.connector == service and rule.party in (caller.organisation, PUBLIC)
        for rule in policy.rules
    )


def _public(
    index: AgreementIndex, service: str | None, method: str, path: tuple[str, ...]
) -> Policy | None:
    """Return the agreement whose public rule covers the operation; one that answers, if any does.

    The public cannot name an agreement, so that of several the first by id stands.
    """
    found = [
        policy
        for policy in index.of(PUBLIC)
        if any(
            rule.party == PUBLIC and rule.mode == PUBLIC and rule.connector == service
            for rule, _ in policy.matching(method, path)
        )
    ]
    return next((one for one in found if one.answering), found[0] if found else None)
