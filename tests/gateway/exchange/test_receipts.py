"""Receipts in answers: for who asks, of what is on record, and for nobody else."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.scripted import Act
from gateway.audit.entry import Kind
from gateway.audit.merkle import Receipt, open_receipt, read_receipt_key
from gateway.exchange.conclude import conclude
from gateway.exchange.facts import Ending
from gateway.exchange.messages import Request, Response
from gateway.exchange.receipts import wants_receipt, with_receipt
from gateway.exchange.records import intent
from tests.world import (
    CSV_PATH,
    ELIGIBLE,
    ORIGIN,
    World,
    ask,
    field_of,
    freeze,
    json_answer,
    make_request,
    open_world,
    text_answer,
)

ONE_MATCH = json_answer({"records": [ELIGIBLE]})
PUBLISHED = b"month,provider_ods,age_band,admissions\n2026-08,R9Z,65-74,145\n"


def preferring(request: Request, *preferences: str) -> Request:
    """Return the request with Prefer fields."""
    fields = tuple((b"prefer", one.encode()) for one in preferences)
    return replace(request, headers=request.headers + fields)


def receipt_in(world: World, response: Response) -> Receipt:
    """Return the receipt of a response, its signature checked."""
    key = read_receipt_key(world.log.receipts.public_text)
    return open_receipt(field_of(response, "exchange-receipt"), [key])


def digest(content: bytes) -> str:
    """Return a body's digest as RFC 9530 writes it."""
    return f"sha-256=:{b64encode(hashlib.sha256(content).digest()).decode()}:"


def test_a_buffered_answer_carries_the_outcome_s_receipt(tmp_path: Path) -> None:
    """It promises the outcome its place, and names what was released and asked (I6)."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH]) as world:
            request = world.match_request()
            response = await world.send(preferring(request, "exchange-receipt"))

            assert response.status == 200
            assert field_of(response, "preference-applied") == "exchange-receipt"
            receipt = receipt_in(world, response)
            entry = world.recorded(response)["entries"][-1]
            assert receipt.origin == ORIGIN
            assert receipt.exchange.hex() == field_of(response, "exchange-id").replace("-", "")
            assert (receipt.kind, entry["kind"]) == (Kind.OUTCOME, Kind.OUTCOME)
            assert (receipt.place, receipt.leaf_hash.hex()) == (entry["index"], entry["leaf_hash"])
            assert isinstance(response.body, bytes)
            assert receipt.response_digest == digest(response.body)
            assert receipt.request_digest == digest(await request.body.read(1 << 20))

    asyncio.run(play())


def test_a_refusal_carries_the_receipt_of_its_record(tmp_path: Path) -> None:
    """A refused caller can prove later that it was refused."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            request = world.match_request(details={"purpose": "COUNCIL_TAX_ENFORCEMENT"})
            response = await world.send(preferring(request, "exchange-receipt"))

            assert response.status == 403
            receipt = receipt_in(world, response)
            (entry,) = world.recorded(response)["entries"]
            assert receipt.kind is Kind.DENY
            assert (receipt.place, receipt.leaf_hash.hex()) == (entry["index"], entry["leaf_hash"])
            assert receipt.response_digest is None

    asyncio.run(play())


def test_a_failed_call_has_an_outcome_and_so_a_receipt(tmp_path: Path) -> None:
    """What the gateway answers instead of the service is no data, and has no digest."""

    async def play() -> None:
        async with open_world(tmp_path, [(Act.CLOSE,)]) as world:
            request = preferring(world.match_request(), "exchange-receipt")
            response = await world.send(request)

            assert response.status >= 500
            receipt = receipt_in(world, response)
            assert (receipt.kind, receipt.response_digest) == (Kind.OUTCOME, None)

    asyncio.run(play())


@pytest.mark.parametrize(
    ("preferences", "asked"),
    [
        ((), False),
        (("respond-async",), False),
        (("exchange-receipts",), False),
        (('note="x, exchange-receipt, y"',), False),
        (('note="\\", exchange-receipt"',), False),
        (("respond-async, Exchange-Receipt ;q=1",), True),
        (("respond-async", "exchange-receipt"), True),
    ],
)
def test_only_the_preference_asks(
    tmp_path: Path, preferences: tuple[str, ...], asked: bool
) -> None:
    """A list of preferences is read as RFC 7240 has it; who does not ask gets no receipt."""

    async def play() -> None:
        script = text_answer(PUBLISHED, "text/csv")
        async with open_world(tmp_path, [script]) as world:
            response = await world.send(preferring(make_request("GET", CSV_PATH), *preferences))

            assert response.status == 200
            names = {name for name, _ in response.headers}
            assert (b"exchange-receipt" in names) == asked
            assert (b"preference-applied" in names) == asked

    asyncio.run(play())


def test_an_agreement_asks_for_those_who_do_not(tmp_path: Path) -> None:
    """Where the rule obliges to it, the outcome's place is kept and the answer has its receipt."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            subject = (await ask(world)).exchange
            assert not wants_receipt(subject)
            duties = replace(subject.decision.duties, receipt=True)
            subject = replace(subject, decision=replace(subject.decision, duties=duties))
            position = await world.log.append(intent(subject, instance="test"))
            ending = Ending(status=200, body=b"{}")
            ended = await conclude(subject, ending, position, world.log, instance="test")

            assert ended.recorded is not None
            signer = world.log.receipts
            bare = Response(status=200, headers=(), body=b"{}")
            response = with_receipt(
                bare, subject, Kind.OUTCOME, ended.recorded, released=b"{}", signer=signer
            )
            assert receipt_in(world, response).place == position.index + 1
            assert [name for name, _ in response.headers] == [b"exchange-receipt"]

    asyncio.run(play())


def test_what_is_not_on_record_has_no_receipt(tmp_path: Path) -> None:
    """Nothing is promised for what the log could not take (I10)."""

    async def play() -> None:
        async with open_world(tmp_path, [ONE_MATCH]) as world:
            freeze(world)
            response = await world.send(preferring(world.match_request(), "exchange-receipt"))
            stranger = preferring(make_request("GET", "/eligibility/v1/x"), "exchange-receipt")

            for answer in (response, await world.send(stranger)):
                assert answer.status in (404, 503)
                assert b"exchange-receipt" not in {name for name, _ in answer.headers}

    asyncio.run(play())
