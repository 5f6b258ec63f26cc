"""The exchange from end to end, with a real issuer, a real service, and a real log."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.base import Call, Connector, Failure, Health, Reply
from connectors.scripted import Act
from gateway.audit.entry import Kind
from gateway.telemetry import slot
from tests.world import (
    BASE_URL,
    CSV_PATH,
    ELIGIBLE,
    MATCH_PATH,
    ROW,
    World,
    document_of,
    field_of,
    freeze,
    json_answer,
    make_request,
    open_world,
    text_answer,
)

ONE_MATCH = json_answer({"records": [ELIGIBLE]})
PUBLISHED = b"month,provider_ods,age_band,admissions\n2026-08,R9Z,65-74,145\n"


def test_a_permitted_call_releases_the_agreed_fields_and_leaves_two_records(tmp_path: Path) -> None:
    """Only allowed fields leave; intent and outcome say who, why, and how much (I1, I2)."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH]) as world:
            response = await world.send(world.match_request())

            assert response.status == 200
            assert document_of(response) == {
                "records": [{"fuel_poverty_eligible": "true", "uprn": "999000000301"}]
            }
            assert field_of(response, "onward-sharing") == "not-permitted"
            assert field_of(response, "cache-control") == "no-store"
            record = world.recorded(response)
            assert record["decision"] == "permit"
            assert record["rule"] == "R1"
            assert record["instrument"] == "DEA2017-s35-FUEL-POVERTY@1"
            assert (record["records"], record["subjects"]) == (1, 1)
            assert "benefit_code" in record["fields_withheld"]
            assert [entry["kind"] for entry in record["entries"]] == [Kind.INTENT, Kind.OUTCOME]

    asyncio.run(play())


def test_the_service_sees_no_token_and_exactly_the_canonical_target(tmp_path: Path) -> None:
    """What goes upstream names no caller, and `_fields` stays with the gateway."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH]) as world:
            response = await world.send(world.match_request(query="?_fields=uprn"))

            assert document_of(response) == {"records": [{"uprn": "999000000301"}]}
            (sent,) = world.service.requests
            assert sent.startswith(f"POST {MATCH_PATH} HTTP/1.1\r\n".encode())
            head = sent.lower().partition(b"\r\n\r\n")[0]
            assert b"authorization" not in head
            assert b"dpop" not in head
            assert b"traceparent: 00-" in head

    asyncio.run(play())


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"details": {"purpose": "COUNCIL_TAX_ENFORCEMENT"}}, 403, "PURPOSE_NOT_PERMITTED"),
        ({"details": {"purpose": None}}, 400, "PURPOSE_MISSING"),
        ({"details": {"agreement": "DSA-2026-9999"}}, 403, "AGREEMENT_NOT_FOUND"),
        ({"client_id": "another-app"}, 403, "PARTY_NOT_ON_AGREEMENT"),
        ({"org": "gss:E06999002"}, 403, "ORG_MISMATCH"),
        ({"query": "?_fields=award_pence_per_week"}, 403, "FIELD_NOT_PERMITTED"),
        ({"query": "?colour=red"}, 403, "FIELD_NOT_PERMITTED"),
        ({"rows": [{**ROW, "uprn": "not a number"}]}, 422, "IDENTIFIER_INVALID"),
        ({"rows": [ROW] * 1001}, 429, "VOLUME_EXCEEDED"),
    ],
)
def test_a_refusal_is_explained_and_on_record_and_calls_nobody(
    tmp_path: Path, change: dict[str, object], status: int, reason: str
) -> None:
    """A refused caller learns why; one durable record tells it; the service hears nothing."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            response = await world.send(world.match_request(**change))  # type: ignore[arg-type]  # each case names its own arguments

            problem = document_of(response)
            assert (response.status, problem["reason_code"]) == (status, reason)
            assert problem["type"] == "/problems/" + reason.lower().replace("_", "-")
            assert problem["instance"].endswith(field_of(response, "exchange-id"))
            record = world.recorded(response)
            assert (record["decision"], record["reason"]) == ("deny", reason)
            assert world.service.requests == []

    asyncio.run(play())


def test_outside_hours_the_answer_says_so_and_names_the_clause(tmp_path: Path) -> None:
    """A party is told the clause, a hint and whom to ask."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            world.clock.at -= timedelta(hours=10)
            problem = document_of(await world.send(world.match_request()))

            assert problem["reason_code"] == "TIME_WINDOW_CLOSED"
            assert "R1" in problem["clause"]
            assert problem["contact"]

    asyncio.run(play())


def test_a_replayed_proof_is_refused(tmp_path: Path) -> None:
    """A DPoP proof is good for one request, also when the first one was refused (D-12)."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH]) as world:
            request = world.match_request()
            first = await world.send(request)
            second = await world.send(request)

            assert first.status == 200
            assert second.status == 401
            assert document_of(second)["reason_code"] == "PROOF_INVALID"
            assert len(world.service.requests) == 1

            denied = world.match_request(details={"purpose": "MARKETING"})
            assert (await world.send(denied)).status == 403
            assert (await world.send(denied)).status == 401

    asyncio.run(play())


def test_a_public_call_needs_no_token_and_is_an_exchange_like_any_other(tmp_path: Path) -> None:
    """An open file is served to anybody, with both records and no person in them."""

    async def play() -> None:
        async with open_world(tmp_path, [text_answer(PUBLISHED, "text/csv")]) as world:
            response = await world.send(make_request("GET", CSV_PATH))

            assert response.status == 200
            assert response.body == PUBLISHED
            record = world.recorded(response)
            assert (record["decision"], record["records"], record["subjects"]) == ("permit", 1, 0)

    asyncio.run(play())


def test_small_numbers_are_withheld_and_the_owner_alerted(tmp_path: Path) -> None:
    """An unsuppressed count never leaves; the record says that it would have."""
    leaky = PUBLISHED.replace(b"145", b"3")

    async def play() -> None:
        async with open_world(tmp_path, [text_answer(leaky, "text/csv")]) as world:
            response = await world.send(make_request("GET", CSV_PATH))

            assert response.status == 502
            assert document_of(response)["reason_code"] == "SMALL_NUMBERS_WITHHELD"
            record = world.recorded(response)
            assert (record["decision"], record["alert"]) == ("permit", True)

    asyncio.run(play())


def test_strangers_are_told_to_authenticate_and_cannot_grow_the_log(tmp_path: Path) -> None:
    """Without a token the answer is 401 or 404; the trace is capped per source."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            missing = await world.send(make_request("POST", MATCH_PATH, body=b"{}"))
            nowhere = await world.send(make_request("GET", "/nowhere"))
            assert missing.status == 401
            assert field_of(missing, "www-authenticate").startswith("DPoP")
            assert nowhere.status == 404
            for _ in range(100):
                await world.send(make_request("GET", "/nowhere"))
            await world.ports.refused.close()

            # The log's opening, thirty records, and one that counts the rest.
            assert world.log.figures.records <= 32

    asyncio.run(play())


def test_a_token_on_an_unknown_path_is_a_decision(tmp_path: Path) -> None:
    """A party that asks for what no rule permits is refused, not told that nothing is there."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            token = world.token()
            headers = {"authorization": f"DPoP {token.decode()}"}
            request = replace(
                make_request("GET", "/eligibility/v1/everything", headers=headers),
            )
            unproved = await world.send(request)
            assert document_of(unproved)["reason_code"] == "PROOF_REQUIRED"

            signed = world.match_request()
            moved = make_request("POST", "/eligibility/v1/everything")
            answered = await world.send(replace(signed, target=moved.target))
            assert answered.status == 401  # the proof was made for another path

    asyncio.run(play())


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        (("agreement", "DSA-2026-0003"), 403),
        (("client", "northvale-warm-homes"), 401),
        (("issuer", "https://idp.northvale.example"), 401),
        (("service", "dwp-eligibility"), 502),
        (("key", "key-1"), 401),
    ],
)
def test_what_is_stopped_stops_at_the_next_call(
    tmp_path: Path, entry: tuple[str, str], status: int
) -> None:
    """The stop-list is read at every decision."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH]) as world:
            assert (await world.send(world.match_request())).status == 200
            world.stops.add(entry)
            assert (await world.send(world.match_request())).status == status
            assert len(world.service.requests) == 1

    asyncio.run(play())


def test_one_token_can_be_stopped(tmp_path: Path) -> None:
    """Its holder's next token is as good as ever."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH]) as world:
            world.stops.add(("token", "lost"))
            assert (await world.send(world.match_request(jti="lost"))).status == 401
            assert (await world.send(world.match_request(jti="new"))).status == 200

    asyncio.run(play())


def test_a_stale_stop_list_stops_everything(tmp_path: Path) -> None:
    """Not knowing what is suspended, the gateway lets nothing through: fail closed."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            world.stop_list_age_s = 6.0
            response = await world.send(world.match_request())

            assert response.status == 503
            assert document_of(response)["type"] == "/problems/stop-list-stale"
            assert world.service.requests == []

    asyncio.run(play())


def test_without_a_log_nothing_goes_upstream(tmp_path: Path) -> None:
    """No evidence, no exchange (I10)."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            freeze(world)
            for _ in range(2):
                response = await world.send(world.match_request())

                assert response.status == 503
                assert document_of(response)["reason_code"] == "AUDIT_UNAVAILABLE"
            refused = await world.send(world.match_request(details={"purpose": "MARKETING"}))
            assert refused.status == 503
            assert world.service.requests == []

    asyncio.run(play())


@dataclass
class FreezingConnector:
    """A real connector under which the log fails while the service is at work."""

    real: Connector
    world: World

    async def call(self, call: Call) -> Reply:
        """Freeze the log, then call the service."""
        freeze(self.world)
        return await self.real.call(call)

    async def probe(self) -> Health:
        """Ask the real one."""
        return await self.real.probe()


def test_an_answer_whose_outcome_cannot_be_recorded_is_not_released(tmp_path: Path) -> None:
    """F17: the consumer never has an answer that the log does not know of (I2)."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH]) as world:
            real = world.ports.connectors["dwp-eligibility"]
            freezing = {"dwp-eligibility": FreezingConnector(real, world)}
            world.ports = replace(world.ports, connectors=freezing)
            response = await world.send(world.match_request())

            assert len(world.service.requests) == 1
            assert response.status == 503
            assert field_of(response, "retry-after") == "1"
            assert b"fuel_poverty" not in json.dumps(document_of(response)).encode()

    asyncio.run(play())


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (json_answer({"error": "Agnes Dunmore"}, status="500 Oops"), 502, "service-error"),
        (json_answer({"error": "Agnes Dunmore"}, status="404 No"), 404, "service-error"),
        (text_answer(b"<p>Agnes</p>", "text/html"), 502, "duty-not-applicable"),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"], 502, "service-malformed"),
        (json_answer({}, more="content-encoding: gzip\r\n"), 502, "duty-not-applicable"),
    ],
)
def test_what_a_service_does_wrong_is_told_without_its_words(
    tmp_path: Path, script: list[bytes], status: int, code: str
) -> None:
    """A service's own error never reaches the caller; its outcome is on record (U-11)."""
    steps = [*script]

    async def play() -> None:
        async with open_world(tmp_path, [[*steps, Act.CLOSE]]) as world:
            response = await world.send(world.match_request())

            assert response.status == status
            problem = document_of(response)
            assert problem["type"] == f"/problems/{code}"
            assert problem["origin"] == "service"
            assert b"Agnes" not in (response.body if isinstance(response.body, bytes) else b"")
            record = world.recorded(response)
            assert [entry["kind"] for entry in record["entries"]] == [Kind.INTENT, Kind.OUTCOME]
            assert record["status"] == status

    asyncio.run(play())


def test_the_rate_of_a_rule_is_kept(tmp_path: Path) -> None:
    """The eleventh call in a minute has to wait, and is told how long."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH] * 11) as world:
            answered = [await world.send(world.match_request()) for _ in range(11)]

            assert [response.status for response in answered] == [200] * 10 + [429]
            assert int(field_of(answered[-1], "retry-after")) > 0
            assert document_of(answered[-1])["reason_code"] == "RATE_LIMITED"

    asyncio.run(play())


def test_the_proof_must_be_for_this_gateway(tmp_path: Path) -> None:
    """A token for another service of this gateway is refused by its audience."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            response = await world.send(world.match_request(aud=f"{BASE_URL}/nv-housing"))

            assert response.status == 401
            assert document_of(response)["reason_code"] == "AUDIENCE_WRONG"

    asyncio.run(play())


def test_failures_and_refusals_are_counted(tmp_path: Path) -> None:
    """An operator's alarm sees services that fail and credentials that do not hold."""

    async def play() -> None:
        async with open_world(tmp_path, [[Act.CLOSE], [Act.CLOSE]]) as world:
            counters = world.ports.telemetry.counters
            await world.send(world.match_request())
            await world.send(make_request("POST", MATCH_PATH, body=b"{}"))

            counted = counters.values()
            assert sum(counted[slot("service_failures", failure)] for failure in Failure) == 1
            assert counted[slot("refusals", "TOKEN_MISSING")] == 1

    asyncio.run(play())
