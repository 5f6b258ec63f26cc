"""What a verified token comes to under the configuration in force, worked out once per token."""

from __future__ import annotations

from typing import Final

from gateway.exchange.held import relies_on_state
from gateway.exchange.snapshot import Snapshot
from gateway.identity.cache import ENTRIES_MAX
from gateway.identity.caller import Authenticated
from policies.compile import Policy
from policies.decision import Caller, Decision, Query, ReasonCode
from policies.select import named
from policies.settled import Settled

TOKENS_REMEMBERED_MAX: Final = ENTRIES_MAX
"""Tokens of which it is remembered at once what they come to: all that are known as verified."""


class KnownCaller:
    """Who calls with one verified token, and what is settled of it under one Snapshot.

    `agreement` is the one that the token names, or the reason why there is none of that name; None
    where it names none. `relies_on_state` tells whether its decisions turn on more than requests.
    """

    __slots__ = ("_law", "_settled", "agreement", "authenticated", "caller", "relies_on_state")

    def __init__(self, authenticated: Authenticated, now: Snapshot) -> None:
        """Work out what the token says; nothing is decided yet."""
        claims = authenticated.claims
        self.authenticated = authenticated
        self.caller = Caller(
            organisation=claims.organisation,
            client=claims.client_id,
            subject=claims.subject,
            roles=claims.roles,
            acr=claims.acr,
            issuer_speaks_for=authenticated.profile.organisations,
            sender_constrained=authenticated.bound,
        )
        self.agreement: Policy | ReasonCode | None = (
            named(now.agreements, claims.agreement) if claims.agreement is not None else None
        )
        self.relies_on_state = relies_on_state(claims)
        self._law = now.law
        self._settled: dict[str, Settled] = {}

    def decide(self, policy: Policy, query: Query) -> Decision:
        """Decide a query of this caller under an agreement of the Snapshot."""
        settled = self._settled.get(policy.agreement_id)
        if settled is None:  # one for each agreement that the token's calls may be judged by
            settled = self._settled[policy.agreement_id] = Settled(policy, self._law, query)
        return settled.decide(query)


class KnownCallers:
    """The callers of late, by their tokens, under the Snapshot in force; bounded.

    Tokens are told apart by the identity of their claims, which an entry keeps alive, and an entry
    counts only for the issuer and the kind of proof that it was made for: one Authenticated is
    made per token, and with a proof one per request. With another Snapshot all is forgotten, and
    where there are too many the oldest.
    """

    __slots__ = ("_known", "_snapshot")

    def __init__(self) -> None:
        """Know nobody."""
        self._snapshot: Snapshot | None = None
        self._known: dict[int, KnownCaller] = {}

    def of(self, authenticated: Authenticated, now: Snapshot) -> KnownCaller:
        """Return what is known of a caller."""
        if now is not self._snapshot:
            self._known.clear()
            self._snapshot = now
        token = id(authenticated.claims)
        known = self._known.get(token)
        if (
            known is None
            or known.authenticated.profile is not authenticated.profile
            or known.authenticated.bound is not authenticated.bound
        ):
            if len(self._known) >= TOKENS_REMEMBERED_MAX:
                del self._known[next(iter(self._known))]
            known = self._known[token] = KnownCaller(authenticated, now)
        return known
