"""From header fields to a caller: both ways, with real tokens and issuers."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from gateway.identity.authenticate import CHALLENGE_MISSING
from gateway.identity.caller import Anonymous, Authenticated, Unauthenticated
from gateway.identity.issuers import STALE_S_MAX
from policies.decision import ReasonCode
from tests.authenticating import KEY, World, bearer, open_world, play, refused
from tests.issuing import KEYS_PATH, METADATA_PATH, IssuerServer
from tests.tokens import NOW, TOKEN_LIFETIME_S, make_key, make_token


def test_t_01_nobody_is_anonymous() -> None:
    """T-01: without an Authorization field the caller is anonymous, and the challenge bare."""

    async def scene(world: World) -> None:
        assert world.ask_cached() == Anonymous()
        assert await world.ask((b"dpop", b"proof without token")) == Anonymous()
        assert "error" not in CHALLENGE_MISSING

    play(scene)


def test_a_token_is_verified_once_and_judged_every_time() -> None:
    """A second request with the same token takes the cached way to the same caller (T-44)."""

    async def scene(world: World) -> None:
        field = bearer(world.token(jti="t1"))
        assert world.ask_cached(field) is None
        first = await world.ask(field)
        assert isinstance(first, Authenticated)
        assert (first.claims.token_id, first.bound, first.proof) == ("t1", False, None)
        assert all(world.ask_cached(field) == first for _ in range(1_000))
        assert world.server.requests == {METADATA_PATH: 1, KEYS_PATH: 1}

    play(scene)


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER", b"Bearer "])
def test_the_scheme_has_no_case(scheme: bytes) -> None:
    """RFC 9110, section 11.1: schemes are compared without regard to case."""

    async def scene(world: World) -> None:
        assert isinstance(await world.ask(bearer(world.token(), scheme)), Authenticated)

    play(scene)


MALFORMED = (400, "malformed-request", 'Bearer error="invalid_request"')
INVALID = (401, "token-invalid", 'Bearer error="invalid_token"')


@pytest.mark.parametrize(
    ("fields", "parameter_names", "expected"),
    [
        pytest.param([b"Bearer"], (), MALFORMED, id="T-02-scheme-alone"),
        pytest.param([b"Bearer  "], (), MALFORMED, id="T-02-spaces"),
        pytest.param([b"bearer a b"], (), MALFORMED, id="T-02-two-words"),
        pytest.param([b""], (), INVALID, id="T-02-empty"),
        pytest.param([b"Basic dTpw"], (), INVALID, id="another-scheme"),
        pytest.param([b"Bearer\ta.b.c"], (), INVALID, id="tab"),
        pytest.param([b"Bearer a.b.c"], (), INVALID, id="no-token"),
        pytest.param([b"Bearer a", b"Bearer a"], (), MALFORMED, id="T-38-two-lines"),
        pytest.param([b"Bearer a, Bearer b"], (), MALFORMED, id="T-38-comma"),
        pytest.param([b"Bearer a"], ("access_token",), MALFORMED, id="T-38-and-query"),
        pytest.param([], ("access_token",), MALFORMED, id="T-39-query-only"),
        pytest.param([], ("x", "access_token"), MALFORMED, id="T-39-query-among-others"),
    ],
)
def test_credentials_without_form_are_refused(
    fields: list[bytes], parameter_names: tuple[str, ...], expected: tuple[int, str, str]
) -> None:
    """One token, in one Authorization field: anything else is refused with the right challenge."""

    async def scene(world: World) -> None:
        headers = [(b"authorization", field) for field in fields]
        verdict = await world.ask(*headers, parameter_names=parameter_names)
        assert refused(verdict) == expected
        assert world.server.requests == {}

    play(scene)


def test_each_reason_has_its_problem_and_says_nothing_secret() -> None:
    """Refusals carry the reason, its problem page, and no part of the token but issuer and kid."""

    async def scene(world: World) -> None:
        foreign = world.token(iss="https://idp.unknown.example/" + "x" * 500)
        other = make_token(make_key(), iss=world.server.issuer)
        stale = world.token(at=NOW - timedelta(hours=1))
        wrong = world.token(aud="https://other.example")
        for token, reason in {
            foreign: ReasonCode.ISSUER_UNTRUSTED,
            other: ReasonCode.TOKEN_INVALID,
            stale: ReasonCode.TOKEN_EXPIRED,
            wrong: ReasonCode.AUDIENCE_WRONG,
        }.items():
            verdict = await world.ask(bearer(token))
            assert isinstance(verdict, Unauthenticated)
            assert (verdict.reason, verdict.status) == (reason, 401)
            assert verdict.problem == reason.value.lower().replace("_", "-")
            assert verdict.challenge == 'Bearer error="invalid_token"'
            assert verdict.unverified_key_id == KEY.key_id
            assert len(verdict.unverified_issuer or "") <= 100
            assert token.decode() not in repr(verdict)

    play(scene)


def test_t_39_a_token_in_the_query_is_not_echoed() -> None:
    """T-39: the refusal knows the parameter's name only."""

    async def scene(world: World) -> None:
        assert "token" in repr(world.ask_cached(parameter_names=["access_token"]))
        assert world.ask_cached(parameter_names=["Access_Token"]) == Anonymous()

    play(scene)


def test_a_known_token_is_judged_anew() -> None:
    """Time, audience and issuer are those of this request, whatever held before."""

    async def scene(world: World) -> None:
        field = bearer(world.token())
        assert isinstance(await world.ask(field), Authenticated)

        late = NOW + timedelta(seconds=TOKEN_LIFETIME_S)
        assert world.ask_cached(field, at=late) is None
        assert refused(await world.ask(field, at=late))[1] == "token-expired"
        early = NOW - timedelta(hours=1)
        assert refused(await world.ask(field, at=early))[1] == "token-invalid"
        elsewhere = "https://gateway.example/other"
        assert refused(await world.ask(field, audience=elsewhere))[1] == "audience-wrong"

        world.issuers = {world.server.issuer: world.server.profile()}
        assert isinstance(world.ask_cached(field), Authenticated), "an equal profile is as good"
        world.issuers = {world.server.issuer: world.server.profile(lifetime_s_max=60)}
        assert refused(await world.ask(field))[1] == "token-invalid"
        world.issuers = {}
        assert refused(await world.ask(field))[1] == "issuer-untrusted"

    play(scene)


def test_t_42_a_withdrawn_key_ends_its_tokens() -> None:
    """T-42: when a refresh shows that a key is gone, tokens it signed are known no more."""

    async def scene(world: World) -> None:
        field = bearer(world.token())
        assert isinstance(await world.ask(field), Authenticated)
        moved = world.server.profile(metadata_url=world.server.issuer + "/moved")
        world.server.documents["/moved"] = world.server.documents[METADATA_PATH]
        world.server.publish(make_key(key_id="new"))
        world.issuers = {world.server.issuer: moved}

        assert refused(await world.ask(field)) == INVALID

    play(scene)


def test_t_43_keys_too_old_end_their_tokens_too() -> None:
    """T-43: a token that is known is refused once its issuer's keys are too old to be used."""

    async def scene(world: World) -> None:
        field = bearer(world.token())
        assert isinstance(await world.ask(field), Authenticated)
        world.server.documents.clear()
        world.watch.now_s = STALE_S_MAX - 1
        assert isinstance(world.ask_cached(field), Authenticated)
        world.watch.now_s = STALE_S_MAX
        assert world.ask_cached(field) is None
        assert refused(await world.ask(field)) == (503, "key-source-unavailable", "")

    play(scene)


def test_t_25_no_keys_is_not_the_caller_s_fault() -> None:
    """T-25: an issuer whose metadata cannot be used gives 503, without a challenge."""

    async def scene(world: World) -> None:
        world.server.documents[METADATA_PATH] = {"issuer": "https://x.example", "jwks_uri": ""}
        verdict = await world.ask(bearer(world.token()))
        assert refused(verdict) == (503, "key-source-unavailable", "")

    play(scene)


def test_t_08_a_token_cannot_send_us_anywhere() -> None:
    """T-08: URLs in a token's header are not opened."""

    async def scene(world: World) -> None:
        trap = world.server.issuer + "/trap"
        token = make_token(make_key(), iss=world.server.issuer, header={"jku": trap, "x5u": trap})
        assert refused(await world.ask(bearer(token))) == INVALID
        assert world.server.requests["/trap"] == 0

    play(scene)


def test_t_13_issuers_that_share_a_kid_stay_apart() -> None:
    """T-13: with two real issuers, a key of the one signs nothing for the other."""

    async def run() -> None:
        other_key = make_key(key_id=KEY.key_id)
        async with open_world() as world, IssuerServer(other_key) as other:
            world.issuers = {**world.issuers, other.issuer: other.profile()}
            assert isinstance(
                await world.ask(bearer(make_token(other_key, iss=other.issuer))), Authenticated
            )
            crossed = make_token(other_key, iss=world.server.issuer)
            assert refused(await world.ask(bearer(crossed))) == INVALID

    asyncio.run(run())


def test_a_long_token_is_verified_every_time() -> None:
    """A token too long for the memory is accepted all the same."""

    async def scene(world: World) -> None:
        details = {"type": "data_exchange", "context": {"note": "x" * 1_900, "more": "y" * 1_900}}
        token = world.token(authorization_details=[details])
        assert len(json.dumps(details)) < len(token)
        for _ in range(2):
            assert world.ask_cached(bearer(token)) is None
            assert isinstance(await world.ask(bearer(token)), Authenticated)

    play(scene)
