"""What the consumer is told of a service's error: no word of its own, and all one can act on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final

import pytest

from gateway.exchange.service_errors import PASSED_ON, UNAVAILABLE, service_error
from tests.world import document_of, json_answer, open_world

DATE: Final = b"Fri, 20 Nov 2026 21:30:00 GMT"
SENT: Final = {
    "allow": "GET, HEAD",
    "content-range": "bytes */1480",
    "etag": '"agnes-dunmore"',
    "last-modified": DATE.decode(),
    "location": "http://169.254.169.254/",
    "retry-after": "120",
    "www-authenticate": "Basic",
}
"""What a service sends with every error, fit or not."""
NEVER: Final = (300, 301, 305, 308, 402, 403, 408, 417, 418, 421, 423, 425, 431, 451)
BROKEN: Final = (500, 501, 502, 504, 508, 599)


def told(status: int) -> dict[str, str]:
    """Return the field of the service that a consumer is told, where duties read answers."""
    name = (PASSED_ON.get(status) or b"").decode()
    return {name: SENT[name]} if name in ("allow", "retry-after") else {}


@pytest.mark.parametrize("status", [*PASSED_ON, *NEVER, *BROKEN])
def test_each_error_through_a_whole_exchange(tmp_path: Path, status: int) -> None:
    """Its status where one can act on it, the field that belongs to it, and nothing else (U-11)."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in SENT.items())
    script = json_answer({"error": "Agnes Dunmore"}, status=f"{status} Agnes", more=fields)
    expected = status if status in PASSED_ON else 502

    async def play() -> None:
        async with open_world(tmp_path, [script]) as world:
            response = await world.send(world.match_request())

            assert response.status == expected
            problem, headers = document_of(response), dict(response.headers)
            assert problem["type"] == "/problems/service-error"
            assert (problem["status"], problem["origin"]) == (expected, "service")
            assert f"status {status};" in problem["detail"]
            own = {b"content-type", b"cache-control", b"exchange-id"}
            passed = {n.decode(): v.decode() for n, v in headers.items() if n not in own}
            assert passed == told(status)
            assert b"agnes" not in (json.dumps(problem) + str(headers)).lower().encode()
            record = world.recorded(response)
            assert (record["status"], record["service_status"]) == (expected, status)
            fault = status == UNAVAILABLE or status not in PASSED_ON
            assert record["reason"] == ("CONNECTOR_UNAVAILABLE" if fault else "OK")

    asyncio.run(play())


@pytest.mark.parametrize(
    ("status", "sent", "passed"),
    [
        (503, [(b"retry-after", DATE)], (b"retry-after", DATE)),
        (503, [], None),
        (429, [(b"retry-after", b"soon, says Agnes")], None),
        (429, [(b"retry-after", b"-1")], None),
        (429, [(b"retry-after", b"9990000018")], None),
        (429, [(b"retry-after", b"1"), (b"retry-after", b"2")], None),
        (413, [(b"retry-after", b"9")], (b"retry-after", b"9")),
        (500, [(b"retry-after", b"9")], None),
        (405, [(b"allow", b"TRACE,PUT ,AGNES"), (b"allow", b"GET")], (b"allow", b"GET, PUT")),
        (405, [(b"allow", b"")], (b"allow", b"")),
        (405, [], None),
        (404, [(b"allow", b"GET")], None),
        (416, [(b"content-range", b"bytes */10")], (b"content-range", b"bytes */10")),
        (416, [(b"content-range", b"bytes 0-9/10")], None),
    ],
)
def test_a_field_is_passed_on_in_its_own_form_or_not_at_all(
    status: int, sent: list[tuple[bytes, bytes]], passed: tuple[bytes, bytes] | None
) -> None:
    """What is no wait, no list of methods and no length says nothing that a client could use."""
    ending = service_error(status, tuple(sent), reads=False)

    assert ending.headers == (() if passed is None else (passed,))


def test_how_long_an_answer_is_that_nobody_saw_is_not_told() -> None:
    """Where duties read answers, rows may be withheld that its length would count."""
    sent = ((b"content-range", b"bytes */10"),)

    assert service_error(416, sent, reads=True).headers == ()
