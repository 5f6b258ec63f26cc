"""A body is taken up to a bound, whoever sends it, and however it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from gateway.control.bodies import BODY_BYTES_MAX
from tests.control_listener import Control, UnavailableLog

PIECE = b"x" * 1_000


async def statuses(control: Control, secret: str, more: int) -> list[int]:
    """Send a body that is as long as it may be, and `more`, at once and in pieces."""
    body = b'{"agreement":"' + b"x" * (BODY_BYTES_MAX + more - 16) + b'"}'

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), len(PIECE)):
            yield body[at : at + len(PIECE)]

    transport = httpx2.ASGITransport(app=control.app(UnavailableLog()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://control") as client:
        headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
        answers = [
            await client.post("/api/v1/exchanges/search", content=content, headers=headers)
            for content in (body, pieces())
        ]
        types = {answer.headers["content-type"] for answer in answers}
        assert types == {"application/problem+json"}
        return [answer.status_code for answer in answers]


@pytest.mark.parametrize(("known", "otherwise"), [(True, 400), (False, 401)])
def test_a_body_is_bounded_whoever_sends_it(control: Control, known: bool, otherwise: int) -> None:
    """It is read before anybody asks whose it is: a stranger cannot have the gateway keep it."""
    secret = control.secret if known else "nobody"

    assert asyncio.run(statuses(control, secret, 0)) == [otherwise] * 2
    assert asyncio.run(statuses(control, secret, 1)) == [413] * 2
