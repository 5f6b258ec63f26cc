"""What is known of a caller: worked out once per token, and never for another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from gateway.exchange.callers import TOKENS_REMEMBERED_MAX, KnownCallers
from gateway.exchange.snapshot import Snapshot
from gateway.identity.caller import Authenticated
from policies.compile import Policy
from policies.decide import decide
from policies.decision import Query, ReasonCode
from policies.select import AgreementIndex
from tests.world import ask, open_world

Play = Callable[[Authenticated, Snapshot, Query, Policy], None]


def play(tmp_path: Path, scene: Play) -> None:
    """Play a scene with a permitted call: who made it, what was in force, what it asked of what."""

    async def run() -> None:
        async with open_world(tmp_path) as world:
            asked = (await ask(world)).exchange
            assert asked.authenticated is not None
            assert asked.policy is not None
            assert asked.decision.permitted
            scene(asked.authenticated, asked.snapshot, asked.query, asked.policy)

    asyncio.run(run())


def test_a_token_is_known_by_its_claims_whatever_its_proof(tmp_path: Path) -> None:
    """Each request brings a proof of its own; issuer and binding belong to the token."""

    def scene(who: Authenticated, now: Snapshot, query: Query, policy: Policy) -> None:
        callers = KnownCallers()
        known = callers.of(who, now)
        assert callers.of(replace(who, proof=None), now) is known
        assert known.caller == query.caller
        assert known.agreement is policy

        unbound = callers.of(replace(who, bound=False), now)
        assert not unbound.caller.sender_constrained
        silent = replace(who.profile, organisations=frozenset())
        muted = callers.of(replace(who, profile=silent), now)
        assert muted.caller.issuer_speaks_for == frozenset()
        equal = replace(who, claims=replace(who.claims, roles=frozenset({"porter"})))
        assert callers.of(equal, now).caller.roles == frozenset({"porter"})

    play(tmp_path, scene)


def test_another_snapshot_starts_afresh(tmp_path: Path) -> None:
    """What was agreed and what the law said are those of the Snapshot that is asked about."""

    def scene(who: Authenticated, now: Snapshot, query: Query, policy: Policy) -> None:
        callers = KnownCallers()
        known = callers.of(who, now)
        assert known.decide(policy, query).permitted
        without = replace(now, agreements=AgreementIndex([]))
        assert callers.of(who, without).agreement is ReasonCode.AGREEMENT_NOT_FOUND
        lawless = replace(now, law=replace(now.law, instruments={}))
        refused = callers.of(who, lawless).decide(policy, query)
        assert refused.reason is ReasonCode.LEGAL_INSTRUMENT_NOT_IN_FORCE
        assert callers.of(who, now).decide(policy, query).permitted

    play(tmp_path, scene)


def test_decisions_are_those_of_agreement_query_and_time(tmp_path: Path) -> None:
    """In any order, and under another agreement too."""

    def scene(who: Authenticated, now: Snapshot, query: Query, policy: Policy) -> None:
        known = KnownCallers().of(who, now)
        others = [one for one in now.agreements if one is not policy]
        queries = [
            query,
            replace(query, at=query.at + timedelta(hours=12)),
            replace(query, at=query.at + timedelta(days=5_000)),
            replace(query, rows=({"shoe_size": "9"},)),
            replace(query, method="GET"),
        ]
        for agreement in (policy, *others, policy):
            for one in (*queries, *queries):
                assert known.decide(agreement, one) == decide(agreement, one, now.law)

    play(tmp_path, scene)


def test_tokens_that_have_gone_never_lend_their_place(tmp_path: Path) -> None:
    """However many come and go, each is known by its own claims; the memory stays bounded."""

    def scene(who: Authenticated, now: Snapshot, _query: Query, _policy: Policy) -> None:
        callers = KnownCallers()
        for number in range(TOKENS_REMEMBERED_MAX + 100):
            subject = f"user-{number}"
            claims = replace(who.claims, subject=subject)
            assert callers.of(replace(who, claims=claims), now).caller.subject == subject
            assert len(callers._known) <= TOKENS_REMEMBERED_MAX

    play(tmp_path, scene)
