"""Who asks, for what, and what the agreement says; before anything is called."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.exchange.inquiry import Inquiry, inquire, open_exchange
from gateway.exchange.messages import BodyTooLarge, Request
from gateway.exchange.request_body import REQUEST_BODY_BYTES_MAX
from gateway.exchange.snapshot import StopList
from gateway.identity.caller import Unauthenticated
from policies.decision import ReasonCode
from tests.tokens import make_proof
from tests.world import (
    BASE_URL,
    CSV_PATH,
    MATCH_PATH,
    NIGHT,
    WholeBody,
    World,
    ask,
    document_of,
    make_request,
    open_world,
)


async def inquire_about(world: World, request: Request) -> Inquiry | Unauthenticated:
    """Inquire about any request."""
    stops = StopList(entries=frozenset(world.stops), read_at_s=0.0)
    opened = open_exchange(request, world.clock)
    return await inquire(
        opened, request, world.snapshot, stops, world.ports.authenticator, log=world.log
    )


class EndlessBody(WholeBody):
    """A body that is larger than any limit."""

    async def read(self, bytes_max: int) -> bytes:
        """Refuse, as the front does beyond the limit."""
        raise BodyTooLarge


def test_a_permitted_call_comes_with_all_that_is_known(tmp_path: Path) -> None:
    """Agreement, service, caller and rows are there, and no error."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            asked = await ask(world)

            assert asked.error is None
            assert asked.exchange.policy is not None
            assert asked.exchange.policy.agreement_id == "DSA-2026-0003"
            assert asked.exchange.service is not None
            assert asked.exchange.service.facts.connector == "dwp-eligibility"
            assert asked.exchange.query.caller.sender_constrained
            assert len(asked.exchange.query.rows or ()) == 1

    asyncio.run(play())


@pytest.mark.parametrize(
    ("body", "media_type", "code"),
    [
        (b"{", "application/json", "malformed-body"),
        (b'{"batch": [], "batch": [{}]}', "application/json", "malformed-body"),
        (b"[]", "application/json", "malformed-body"),
        (b"<rows/>", "application/xml", "unsupported-media-type"),
    ],
)
def test_a_body_that_cannot_be_checked_is_refused(
    tmp_path: Path, body: bytes, media_type: str, code: str
) -> None:
    """What the gateway cannot read it does not pass on (B-04, B-07, B-09)."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            good = world.match_request()
            headers = tuple(
                (name, media_type.encode() if name == b"content-type" else value)
                for name, value in good.headers
            )
            asked = await inquire_about(world, replace(good, body=WholeBody(body), headers=headers))

            assert isinstance(asked, Inquiry)
            assert asked.error is not None
            assert asked.error.code == code

    asyncio.run(play())


@pytest.mark.parametrize(
    ("path", "claims", "reason"),
    [
        ("/nowhere", {}, ReasonCode.ENDPOINT_NOT_PERMITTED),
        ("/nowhere", {"details": {"agreement": None}}, ReasonCode.AGREEMENT_AMBIGUOUS),
        (MATCH_PATH, {"details": {"agreement": "DSA-0"}}, ReasonCode.AGREEMENT_NOT_FOUND),
        (MATCH_PATH, {"client_id": "another"}, ReasonCode.PARTY_NOT_ON_AGREEMENT),
    ],
)
def test_a_call_that_no_body_can_mend_is_refused_without_reading_it(
    tmp_path: Path, path: str, claims: dict[str, Any], reason: ReasonCode
) -> None:
    """No rule is open to the caller, so that nothing looks at the rows: they are not made."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            read = await ask(world)
            got = world.post(path, b'{"batch": [{"uprn": "1"}]}', **claims)
            asked = await inquire_about(world, got)

            assert isinstance(asked, Inquiry)
            assert asked.exchange.decision.reason is reason
            assert asked.exchange.query.rows is None
            assert asked.exchange.body  # its digest is on record
            assert read.exchange.query.rows is not None

    asyncio.run(play())


def test_a_body_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    """The limit has a name, and the caller is told it (B-01)."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            request = replace(world.match_request(), body=EndlessBody(b""))
            asked = await inquire_about(world, request)

            assert isinstance(asked, Inquiry)
            assert asked.error is not None
            assert asked.error.code == "body-too-large"
            assert str(REQUEST_BODY_BYTES_MAX) in asked.error.detail

    asyncio.run(play())


def test_a_second_fields_parameter_is_no_way_around_the_first(tmp_path: Path) -> None:
    """`_fields` counts once; another is a parameter that no rule permits."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            asked = await ask(world, query="?_fields=uprn&_fields=uprn")

            assert asked.exchange.decision.reason is ReasonCode.FIELD_NOT_PERMITTED

    asyncio.run(play())


def test_a_bad_token_on_a_public_path_is_still_refused(tmp_path: Path) -> None:
    """Public means that no token is needed, not that any token will do."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            request = make_request("GET", CSV_PATH, headers={"authorization": "Bearer a.b.c"})
            refused = await inquire_about(world, request)

            assert isinstance(refused, Unauthenticated)
            assert refused.reason is ReasonCode.TOKEN_INVALID

    asyncio.run(play())


def test_withdrawn_credentials_do_not_reach_the_decision(tmp_path: Path) -> None:
    """A token id on the stop-list is refused like a bad token."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            world.stops.add(("token", "token-7"))
            refused = await inquire_about(world, world.match_request(jti="token-7"))
            fine = await inquire_about(world, world.match_request(jti="token-8"))

            assert isinstance(refused, Unauthenticated)
            assert isinstance(fine, Inquiry)

    asyncio.run(play())


def test_an_agreement_that_is_not_named_is_found_by_party_client_and_service(
    tmp_path: Path,
) -> None:
    """One candidate is enough to decide by."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            asked = await ask(world, details={"agreement": None})

            assert asked.exchange.decision.permitted
            agreement = asked.exchange.decision.agreement
            assert agreement is not None
            assert agreement.id == "DSA-2026-0003"

    asyncio.run(play())


def test_a_proof_is_for_the_path_as_it_is_written(tmp_path: Path) -> None:
    """`htu` is compared with the target's own octets: an escape is not its character."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            token = world.token("r9z-safeguarding")
            proved = "/safeguarding/v1/children/9992000015"
            for path, reason in ((f"{proved}%3Fa/known", "PROOF_INVALID"), (proved, None)):
                proof = make_proof(world.caller_key, "GET", BASE_URL + proved, token, at=NIGHT)
                headers = {"authorization": f"DPoP {token.decode()}", "dpop": proof.decode()}
                response = await world.send(make_request("GET", path, headers=headers))
                said = document_of(response)["reason_code"]
                assert (said == reason) if reason else (said != "PROOF_INVALID")

    asyncio.run(play())


def test_an_urgent_grant_opens_nothing_where_the_agreement_has_none(tmp_path: Path) -> None:
    """It is refused, and nothing is looked up for it."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            urgent = {"reason": "CHILD_MISSING", "justification": "Looking for the child right now"}
            asked = await ask(world, details={"break_glass": urgent})
            grant = asked.exchange.query.break_glass

            assert grant is not None
            assert grant.suspended
            assert not asked.exchange.decision.permitted

    asyncio.run(play())
