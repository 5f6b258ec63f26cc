"""Conditions on what a service has: they go where they can guess nothing (RFC 9110, 13.1)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.exchange.deliver import deliver, guesses_tag, upstream_call
from gateway.exchange.facts import Exchange
from gateway.exchange.handling import CONDITIONS
from gateway.exchange.messages import Headers
from tests.world import ask, json_answer, open_world, without_duties

DATE = b"Fri, 20 Nov 2026 20:00:00 GMT"
DATES = ((b"if-modified-since", DATE), (b"if-unmodified-since", DATE))


def asked_with(exchange: Exchange, method: str, *fields: tuple[bytes, bytes]) -> Exchange:
    """Return the exchange as if it had been asked for by `method` with `fields` besides."""
    headers: Headers = (*exchange.request.headers, *fields)
    request = replace(exchange.request, method=method, headers=headers)
    return replace(exchange, request=request)


def sent(exchange: Exchange) -> set[bytes]:
    """Return the names of the fields that go upstream."""
    return {name for name, _ in upstream_call(exchange).headers}


def test_a_condition_goes_where_it_can_guess_nothing(tmp_path: Path) -> None:
    """A reader gets the whole answer instead; a writer's condition is never lost on the way."""
    any_tag = ((b"if-match", b"*"), (b"if-none-match", b"*"))

    async def play() -> None:
        async with open_world(tmp_path) as world:
            exchange = (await ask(world)).exchange

            assert not sent(asked_with(exchange, "GET", *DATES, *any_tag)) & CONDITIONS
            assert sent(asked_with(exchange, "PUT", *DATES, *any_tag)) >= CONDITIONS
            tagged = asked_with(exchange, "GET", *DATES, (b"if-match", b'"1"'), any_tag[1])
            assert sent(without_duties(tagged)) >= CONDITIONS

    asyncio.run(play())


@pytest.mark.parametrize(
    ("method", "field", "guesses"),
    [
        ("PUT", (b"if-match", b'"1"'), True),
        ("DELETE", (b"if-none-match", b'*, W/"1"'), True),
        ("PATCH", (b"if-match", b"*"), False),
        ("POST", (b"if-unmodified-since", DATE), False),
        ("GET", (b"if-match", b'"1"'), False),
    ],
)
def test_a_change_that_turns_on_a_tag_is_not_sent(
    tmp_path: Path, method: str, field: tuple[bytes, bytes], guesses: bool
) -> None:
    """Without its condition it could overwrite what the caller has not seen; with it, it tells."""

    async def play() -> None:
        async with open_world(tmp_path, [json_answer({})]) as world:
            exchange = asked_with((await ask(world)).exchange, method, field)
            assert guesses_tag(exchange) is guesses
            assert not guesses_tag(without_duties(exchange))
            connector = world.ports.connectors["dwp-eligibility"]
            ending = await deliver(exchange, connector, world.ports.duty_processes)

            assert (ending.problem == "precondition-not-allowed") is guesses
            assert (ending.status == 412) is guesses
            assert ending.sent is not guesses
            assert len(world.service.requests) == (not guesses)

    asyncio.run(play())
