"""Logs with people in them for the tests of erasure, holds and retention."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.audit.entry import Kind
from gateway.audit.log import AuditLog
from gateway.audit.people import Person
from gateway.audit.privacy.erasable import Selection, Tally
from gateway.audit.privacy.erase import Order, empty_wal_in_time, erase
from gateway.clock import new_uuid7
from tests.gateway.audit.records import integrated, keys_in, opened, record, using

ANN: Final = Person("nhs_number", "9990000018")
BOB: Final = Person("nhs_number", "9990000026")
AGREEMENT: Final = "DSA-2026-0003"
ORDER: Final = Order(reason="RIGHT_TO_ERASURE", authority="SYNTHETIC decision 7 of the DPO")


async def exchange_about(
    log: AuditLog, *people: Person, kept_for: str = "P8Y", agreement: str = AGREEMENT
) -> bytes:
    """Record a whole exchange about people, and return its identifier."""
    exchange = new_uuid7()
    named: dict[str, object] = {
        "type": "nhs_number",
        "ids": [f"{one.normalised_id[:3]} {one.normalised_id[3:]}" for one in people],
    }
    actor: dict[str, object] = {"client": "council-app"}
    net: dict[str, object] = {"source": "192.0.2.7"}
    core: dict[str, object] = {"decision": "permit", "agreement": agreement, "kept_for": kept_for}
    payload: dict[str, object] = {"context": {"case_reference": "SYNTHETIC-1"}}
    begun = record(
        Kind.INTENT, exchange, core=core, actor=actor, net=net, payload=payload, subject=named
    )
    place = await log.append(begun)
    await log.append(
        record(Kind.OUTCOME, exchange, core={"status": 200, "intent": place.index}, subject=named)
    )
    return exchange


def with_exchanges(directory: Path, *about: Sequence[Person]) -> tuple[Path, list[bytes]]:
    """Make an integrated log with an exchange about each group of people; return file and ids."""
    made: list[bytes] = []

    async def use(log: AuditLog) -> None:
        made.extend([await exchange_about(log, *people) for people in about])

    using(directory, use)
    return integrated(directory), made


def erased(directory: Path, selection: Selection, agreements: Sequence[str] = ()) -> Tally:
    """Erase a selection from the log of a test's directory."""

    async def run() -> Tally:
        log = opened(directory, instance="eraser")
        await log.start()
        try:
            return await erase(log, keys_in(directory), selection, ORDER, agreements=agreements)
        finally:
            await log.stop()

    tally = asyncio.run(run())
    path = integrated(directory)
    assert empty_wal_in_time(path)
    return tally
