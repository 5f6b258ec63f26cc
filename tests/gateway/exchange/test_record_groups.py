"""The record of an exchange, group by group of section 5b (minimum audit record)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.entry import Kind
from gateway.exchange.records import intent
from tests.world import (
    CSV_PATH,
    ELIGIBLE,
    ask,
    field_of,
    json_answer,
    make_request,
    open_world,
    text_answer,
)

AS_OF = "2026-11-20T06:00:00Z"
NAMES = {"x-request-id": "call-7", "x-correlation-id": "case-9"}


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the log says of one permitted match, sealed sections opened."""

    async def play() -> dict[str, Any]:
        script = json_answer({"records": [ELIGIBLE]}, more=f"data-as-of: {AS_OF}\r\n")
        async with open_world(tmp_path_factory.mktemp("world"), [script]) as world:
            request = world.match_request()
            named = tuple((name.encode(), value.encode()) for name, value in NAMES.items())
            response = await world.send(replace(request, headers=request.headers + named))
            found = world.recorded(response)
            assert found["exchange_id"] == field_of(response, "exchange-id")
            return found

    return asyncio.run(play())


def test_chain_and_event(record: dict[str, Any]) -> None:
    """Each record has its place in the tree; the exchange has its ids, the caller's included."""
    assert [entry["kind"] for entry in record["entries"]] == [Kind.INTENT, Kind.OUTCOME]
    assert all(entry["leaf_hash"] and entry["index"] for entry in record["entries"])
    assert record["started"] <= record["finished"]
    assert len(record["trace_id"]) == 32
    net = record["sections"]["net"]
    assert (net["request_id"], net["correlation_id"]) == ("call-7", "case-9")


def test_decision(record: dict[str, Any]) -> None:
    """What was decided, by which text, under which configuration, and from which inputs."""
    assert (record["decision"], record["reason"], record["rule"]) == ("permit", "OK", "R1")
    assert record["agreement"] == "DSA-2026-0003"
    assert record["agreement_version"] == 1
    assert record["agreement_digest"].startswith("sha256:")
    assert (record["revision"], record["vocabulary"]) == (1, "2026-11-draft1")
    assert record["inputs_digest"].startswith("sha256:")
    assert record["software"]
    assert record["decided_at"]


def test_law(record: dict[str, Any]) -> None:
    """The instrument with its version, the bases, the power, the duty of confidence."""
    assert record["instrument"] == "DEA2017-s35-FUEL-POVERTY@1"
    assert record["legal_gateway"]
    assert record["article6"]
    assert record["confidentiality"]
    assert record["register"]


def test_who(record: dict[str, Any]) -> None:
    """Organisation in the clear; client, user, token and key in a section that can be erased."""
    actor = record["sections"]["actor"]
    assert record["consumer"] == "gss:E06999001"
    assert actor["client"] == actor["subject"] == "northvale-warm-homes"
    assert actor["issuer"] == "https://idp.northvale.example"
    assert actor["token_id_digest"].startswith("sha-256=:")
    assert actor["bound"]
    assert len(actor["key_thumbprint"]) == 43
    assert record["sections"]["net"]["source"] == "192.0.2.1"


def test_what(record: dict[str, Any]) -> None:
    """Whose data, by which operation, which fields went and which did not, under which duties."""
    assert record["provider"] == "govuk:synthetic-department-for-work-and-pensions"
    assert record["service"] == "dwp-eligibility"
    assert record["dataset"] == "benefit-eligibility"
    assert (record["method"], record["route"]) == ("POST", "/eligibility/v1/fuel-poverty/match")
    assert set(record["fields_sent"]) == {"fuel_poverty_eligible", "uprn"}
    assert "nino" in record["fields_withheld"]
    assert "obligations" not in record  # this rule has none; see the next test


def test_how_much(record: dict[str, Any]) -> None:
    """Records, people, bytes, time; digest and root prove what and whom."""
    assert (record["records"], record["subjects"], record["status"]) == (1, 1, 200)
    assert record["bytes"] > 0
    assert record["duration_us"] > 0
    payload, subject = record["sections"]["payload"], record["sections"]["subject"]
    assert payload["request_digest"].startswith("sha-256=:")
    assert payload["response_digest"].startswith("sha-256=:")
    assert payload["data_as_of"] == AS_OF
    assert len(subject["root"]) == 43
    assert subject["ids"]


def test_handling(record: dict[str, Any]) -> None:
    """What was done, with which classes of data, who may see it, and how long it is kept."""
    assert record["action"] == "disclosure"
    assert record["data_classes"]
    assert record["subject_view"] == "visible"
    assert record["kept_for"] == "P7Y"
    # The tests' service returned a field that may never leave: somebody must look at it.
    assert record["fields_never"]
    assert record["alert"]


def test_a_public_call_s_inputs_cannot_be_guessed_from_its_record(tmp_path: Path) -> None:
    """Without a token's digest among them they are sealed; duties are on record all the same."""
    table = b"month,provider_ods,age_band,admissions\n2026-08,R9Z,65-74,145\n"

    async def play() -> None:
        async with open_world(tmp_path, [text_answer(table, "text/csv")]) as world:
            found = world.recorded(await world.send(make_request("GET", CSV_PATH)))

            assert "inputs_digest" not in found
            assert found["sections"]["net"]["inputs_digest"].startswith("sha256:")
            assert found["obligations"] == ["small_number_guard"]

    asyncio.run(play())


def test_inputs_that_differ_have_another_digest(tmp_path: Path) -> None:
    """Replaying a decision from other inputs than those recorded shows."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange

            def digest_of(**change: Any) -> object:
                changed = replace(exchange, **change)
                return intent(changed, instance="test").sections["core"]["inputs_digest"]

            snapshot = replace(world.snapshot, revision=2)
            digests = [
                digest_of(),
                digest_of(body=b"{}"),
                digest_of(snapshot=snapshot),
                digest_of(query=replace(exchange.query, method="PATCH")),
                digest_of(at=exchange.at + timedelta(microseconds=1)),
            ]
            assert digest_of() == digests[0]
            assert len(set(digests)) == len(digests)

    asyncio.run(play())
