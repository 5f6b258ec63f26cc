"""Urgent grants as the gateway itself holds them, in whole exchanges."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.scripted import Script
from gateway.audit.reading.reader import find_log
from gateway.exchange.duties.duty_processes import IN_THREAD_BYTES_MAX
from gateway.exchange.facts import HeldGrant
from gateway.exchange.held import microseconds
from gateway.exchange.inquiry import stopped
from gateway.exchange.messages import Response
from gateway.exchange.snapshot import StopList
from gateway.registry.store import StopKind
from policies.decision import ReasonCode
from tests.gateway.audit.records import selected
from tests.world import (
    EXAMPLESHIRE,
    World,
    ask,
    document_of,
    freeze,
    json_answer,
    open_world,
    other_worker,
    reasons,
)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
AT_NIGHT: Final = datetime(2026, 11, 19, 2, 40, tzinfo=UTC)
WORDS: Final = "Police at address, infant injured, need ED history before removal decision"
OTHER_WORDS: Final = "A second infant at the same address, need ED history before the decision"
CHILDREN: Final = (
    "9992000066", "9992000015", "9992000023", "9992000031", "9992000074", "9992000082",
    "9992000090",
)  # fmt: skip
COVERED_MAX: Final = 6


def contact(child: str = CHILDREN[0]) -> Script:
    """Script the answer with one contact of a child."""
    row = {"contact_id": "HC-1", "nhs_number": child, "clinical_note": "SYN"}
    return json_answer({"records": [row]})


@given(at_us=st.integers(-(10**15), 10**17))
def test_decision_time_is_kept_to_the_microsecond(at_us: int) -> None:
    """Before 1970, too."""
    assert microseconds(EPOCH + timedelta(microseconds=at_us)) == at_us


async def break_glass(
    world: World, child: str = CHILDREN[0], *, words: str = WORDS, **said: Any
) -> Response:
    """Ask for a child's contacts in an emergency; the token's other claims are `said`'s."""
    urgent = {
        "reason": "IMMEDIATE_RISK_OF_SIGNIFICANT_HARM",
        "justification": words,
        **said.pop("urgent", {}),
    }
    details = {
        "agreement": "DSA-2026-0002",
        "purpose": "CHILD_SAFEGUARDING_S47",
        "context": {
            "no_consent_reason": "CANNOT_REASONABLY_BE_OBTAINED",
            "subject_group": "UNDER_18",
        },
        "break_glass": urgent,
    }
    claims = {
        "iss": EXAMPLESHIRE,
        "org": "gss:E10999001",
        "client_id": "exampleshire-edt",
        "sub": "u:91bc",
        "roles": ["edt-social-worker"],
        "acr": "AAL2",
        **said,
    }
    path = f"/safeguarding/v1/children/{child}/contacts"
    return await world.send(
        world.get(path, connector="r9z-safeguarding", details=details, **claims)
    )


def test_a_grant_lasts_as_long_as_agreed_and_new_words_begin_another(tmp_path: Path) -> None:
    """Nothing that is said makes it longer; when it has run out, the same words open nothing."""

    async def play() -> None:
        async with open_world(tmp_path, [contact()] * 4) as world:
            world.clock.at = AT_NIGHT
            answers = [await break_glass(world)]
            world.clock.at += timedelta(minutes=59)
            answers.append(await break_glass(world, words=OTHER_WORDS))
            world.clock.at += timedelta(minutes=1)
            answers.append(await break_glass(world))
            answers.append(await break_glass(world, words=f"  {OTHER_WORDS.upper()} "))
            answers.append(await break_glass(world, words=WORDS + " again"))

            assert reasons(answers) == [
                "OK", "OK", "BREAK_GLASS_EXPIRED", "BREAK_GLASS_EXPIRED", "OK"
            ]  # fmt: skip
            assert len(world.service.requests) == 3

    asyncio.run(play())


def test_the_record_says_whose_grant_it_is_whom_to_tell_and_when_it_ends(tmp_path: Path) -> None:
    """An auditor sees every use, why, when its review is due, and what it was part of."""

    async def play() -> None:
        async with open_world(tmp_path, [contact()] * 2) as world:
            world.clock.at = AT_NIGHT
            first = world.recorded(await break_glass(world))
            world.clock.at += timedelta(minutes=5)
            second = world.recorded(await break_glass(world))
            refused = world.recorded(await break_glass(world, words="urgent"))

            assert first["decision"] == "permit_break_glass"
            assert first["alert"]
            assert first["notify"] == ["dpo", "caldicott_guardian", "information_asset_owner"]
            assert first["review_due"] < second["review_due"]
            assert first["grant_ends"] == second["grant_ends"]
            assert first["grant"] == second["grant"] == refused["grant"]
            assert first["sections"]["payload"]["break_glass"]["justification"] == WORDS
            assert (refused["decision"], refused["reason"]) == ("deny", "JUSTIFICATION_REQUIRED")

    asyncio.run(play())


def test_a_grant_covers_so_many_people_and_no_more(tmp_path: Path) -> None:
    """Each is counted once; the refusal is on record, and the service never hears of it."""

    async def play() -> None:
        scripts = [contact(child) for child in (*CHILDREN[:COVERED_MAX], CHILDREN[0])]
        async with open_world(tmp_path, scripts) as world:
            world.clock.at = AT_NIGHT
            answers = [await break_glass(world, child) for child in CHILDREN[:COVERED_MAX]]
            beyond = await break_glass(world, CHILDREN[COVERED_MAX])
            again = await break_glass(world, CHILDREN[0])

            assert reasons(answers) == ["OK"] * COVERED_MAX
            assert (beyond.status, again.status) == (429, 200)
            record = world.recorded(beyond)
            assert (record["decision"], record["reason"]) == ("deny", "VOLUME_EXCEEDED")
            assert len(world.service.requests) == COVERED_MAX + 1

    asyncio.run(play())


def test_people_in_a_long_answer_are_known_one_by_one(tmp_path: Path) -> None:
    """Where an answer is read in another process, the grant still knows whom it covers."""
    note = "SYN" * 100_000

    def long(children: tuple[str, ...]) -> Script:
        rows = [{"contact_id": note, "nhs_number": child} for child in children]
        return json_answer({"records": rows})

    async def play() -> None:
        scripts = [long(CHILDREN[:COVERED_MAX]), contact(CHILDREN[1]), long(CHILDREN)]
        async with open_world(tmp_path, scripts) as world:
            world.clock.at = AT_NIGHT
            covered = await break_glass(world)
            again = await break_glass(world, CHILDREN[1])
            beyond = await break_glass(world)

            assert [one.status for one in (covered, again, beyond)] == [200, 200, 429]
            assert isinstance(covered.body, bytes)
            assert len(covered.body) > IN_THREAD_BYTES_MAX

    asyncio.run(play())


def test_people_in_an_answer_count_whoever_was_asked_about(tmp_path: Path) -> None:
    """An answer with more people than the grant may cover is withheld whole."""
    rows = [{"contact_id": "HC-1", "nhs_number": child} for child in CHILDREN]

    async def play() -> None:
        async with open_world(tmp_path, [json_answer({"records": rows})]) as world:
            world.clock.at = AT_NIGHT
            response = await break_glass(world)

            assert response.status == 429
            assert document_of(response)["type"] == "/problems/volume-exceeded"
            assert world.recorded(response)["status"] == 429

    asyncio.run(play())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"started_at": "2026-11-19T01:39:00Z"}, "BREAK_GLASS_EXPIRED"),
        ({"started_at": "2026-11-19T09:00:00Z"}, "OK"),
        ({"subjects_so_far": 6}, "VOLUME_EXCEEDED"),
        ({"subjects_so_far": 5}, "OK"),
    ],
)
def test_what_a_token_says_of_its_grant_only_narrows_it(
    tmp_path: Path, said: dict[str, object], reason: str
) -> None:
    """An issuer may know of an earlier start or of more people, never of fewer."""

    async def play() -> None:
        async with open_world(tmp_path, [contact()]) as world:
            world.clock.at = AT_NIGHT
            assert reasons([await break_glass(world, urgent=said)]) == [reason]

    asyncio.run(play())


def test_an_earlier_start_in_a_token_stands_from_then_on(tmp_path: Path) -> None:
    """A later token that says nothing does not win the time back."""

    async def play() -> None:
        async with open_world(tmp_path, [contact()] * 2) as world:
            world.clock.at = AT_NIGHT
            early = {"started_at": (AT_NIGHT - timedelta(minutes=30)).isoformat()}
            answers = [await break_glass(world), await break_glass(world, urgent=early)]
            world.clock.at += timedelta(minutes=31)
            answers.append(await break_glass(world))

            assert reasons(answers) == ["OK", "OK", "BREAK_GLASS_EXPIRED"]

    asyncio.run(play())


def test_grants_are_of_one_user(tmp_path: Path) -> None:
    """A colleague has a grant of her own, and an issuer's other user of the same name too."""

    async def play() -> None:
        async with open_world(tmp_path, [contact()] * 2) as world:
            world.clock.at = AT_NIGHT
            one = world.recorded(await break_glass(world))
            other = world.recorded(await break_glass(world, sub="u:other"))

            assert one["grant"] != other["grant"]

    asyncio.run(play())


def test_a_suspended_grant_opens_nothing_for_its_user(tmp_path: Path) -> None:
    """Whoever sees a record can stop what it shows, by the name that it has there."""

    async def play() -> None:
        async with open_world(tmp_path, [contact()] * 2) as world:
            world.clock.at = AT_NIGHT
            first = await break_glass(world)
            world.stops.add((StopKind.GRANT, world.recorded(first)["grant"]))
            stopped, colleague = await break_glass(world), await break_glass(world, sub="u:other")

            assert reasons([stopped, colleague]) == ["BREAK_GLASS_NOT_AVAILABLE", "OK"]
            assert world.recorded(stopped)["alert"]

    asyncio.run(play())


def test_a_long_urgent_answer_ends_with_its_grant(tmp_path: Path) -> None:
    """What is suspended meanwhile is asked again while an answer streams."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange
            holder = b"\x01" * 16
            grant = HeldGrant(holder=holder, words=b"", seen_us=None, begins=True, started_us=0)
            urgent = replace(exchange, grant=grant)
            stops = StopList(entries=frozenset({("grant", holder.hex())}), read_at_s=0.0)

            assert stopped(urgent, stops) is ReasonCode.BREAK_GLASS_NOT_AVAILABLE
            assert stopped(exchange, stops) is None

    asyncio.run(play())


def test_a_refused_call_begins_no_grant(tmp_path: Path) -> None:
    """Somebody who was refused for want of words has lost no time."""

    async def play() -> None:
        async with open_world(tmp_path, [contact()]) as world:
            world.clock.at = AT_NIGHT
            refused = await break_glass(world, words="urgent")
            world.clock.at += timedelta(hours=2)
            permitted = world.recorded(await break_glass(world))

            assert refused.status == 403
            assert permitted["grant_ends"] == (AT_NIGHT.timestamp() + 3 * 3600) * 1_000_000
            path = find_log(world.home / "audit")
            assert selected(path, "SELECT count(*) FROM audit_grant") == [(1,)]

    asyncio.run(play())


def test_without_a_log_an_urgent_call_is_not_decided(tmp_path: Path) -> None:
    """What is held cannot be told, or the use of it not recorded: 503, and nobody is asked."""

    async def play() -> None:
        async with open_world(tmp_path) as world:
            world.clock.at = AT_NIGHT
            freeze(world)
            for _ in range(2):
                response = await break_glass(world)
                assert response.status == 503
                assert document_of(response)["reason_code"] == "AUDIT_UNAVAILABLE"

    asyncio.run(play())


def test_two_workers_and_a_restart_share_a_grant(tmp_path: Path) -> None:
    """Calls that come at once on two workers cover no more people than one worker's would."""

    async def at_once() -> None:
        async with open_world(tmp_path, [contact()] * len(CHILDREN)) as world:
            world.clock.at = AT_NIGHT
            first, other = world.ports, await other_worker(world)
            calls = []
            for number, child in enumerate(CHILDREN):
                world.ports = (first, other)[number % 2]
                calls.append(asyncio.ensure_future(break_glass(world, child)))
                await asyncio.sleep(0)  # the call takes the ports of its turn
            answers = await asyncio.gather(*calls)
            await other.log.stop()

            assert sorted(one.status for one in answers) == [200] * COVERED_MAX + [429]

    async def later() -> None:
        async with open_world(tmp_path, [contact()]) as world:
            world.clock.at = AT_NIGHT + timedelta(minutes=59)
            answers = [await break_glass(world, "9992000104")]
            world.clock.at = AT_NIGHT + timedelta(minutes=60)
            answers.append(await break_glass(world))

            assert reasons(answers) == ["VOLUME_EXCEEDED", "BREAK_GLASS_EXPIRED"]

    asyncio.run(at_once())
    asyncio.run(later())
