"""F15: what is delivered twice is two exchanges or one refused, and never one record used twice.

A message between gateways that comes twice, and a peer's receipt that is replayed, come with
federation.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from connectors.fetch import Answer, open_client
from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import find_log, verify_log
from gateway.audit.store import Answer as Told
from gateway.audit.store import Append, Position, RecordRepeated
from gateway.clock import new_uuid7
from tests.faults.journals import Journal, kinds_of, open_stage
from tests.faults.worlds import World
from tests.gateway.audit.records import intent, outcome, selected
from tests.running import ITEM, Running, free_port, kill_all, running_gateway
from tests.tokens import SigningKey, make_key, make_proof

WORKERS: Final = 2
CALLS_AT_ONCE: Final = 12
ORDER: Final = "/plain/v1/order"
ONCE: Final = {"idempotency-key": '"SYNTHETIC-order-7"'}


def configure(directory: Path) -> None:
    """Let the agreement allow an order, which is no safe method."""
    path = next(directory.glob("agreements/*.yaml"))
    agreement = json.loads(path.read_text())
    rule = agreement["access"]["rules"][0]
    order = rule | {"id": "ORDER", "methods": ["POST"], "path": ORDER}
    agreement["access"]["rules"] = [rule, order]
    path.write_text(json.dumps(agreement))


async def call(running: Running, method: str, path: str, headers: Mapping[str, str]) -> Answer:
    """Make one call on a connection of its own, which any worker may take."""
    async with open_client(timeout_s=30.0) as client:
        return await client.request(method, running.base_url + path, headers)


async def at_once(
    running: Running, method: str, path: str, headers: Mapping[str, str]
) -> list[str]:
    """Deliver the same request many times at once; return the status and id of each exchange."""
    answers = await asyncio.gather(
        *[call(running, method, path, headers) for _ in range(CALLS_AT_ONCE)]
    )
    return [
        f"{answer.status} {dict(answer.headers)[b'exchange-id'].decode()}" for answer in answers
    ]


def statuses(told: list[str]) -> Counter[str]:
    """Count how calls were answered."""
    return Counter(one.split()[0] for one in told)


def bearer(running: Running, key: SigningKey) -> dict[str, str]:
    """Return the fields of a call with a token that is bound to no key."""
    return {"authorization": f"Bearer {running.token(key)}"}


def proved(running: Running, key: SigningKey) -> dict[str, str]:
    """Return the fields of a call with a token that is bound to a key, and one proof of it."""
    own = make_key(key_id="caller")
    token = running.token(key, cnf={"jkt": own.thumbprint})
    url, at = running.base_url + ITEM, datetime.now(UTC)
    proof = make_proof(own, "GET", url, token.encode(), at=at)
    return {"authorization": f"DPoP {token}", "dpop": proof.decode()}


def test_a_delivery_that_is_repeated_is_one_exchange_or_another(tmp_path: Path) -> None:
    """F15: on two workers at once, and after a power cut, one of all passes (I3, I4).

    The same call without a key of its own is another exchange each time, with its own records.
    """

    async def play() -> None:
        journal = Journal()
        async with open_stage(tmp_path, journal) as key:
            configuration, home, port = tmp_path / "configuration", tmp_path / "home", free_port()
            configure(configuration)
            with running_gateway(home, configuration, port=port, workers=WORKERS) as running:
                order, look = {**bearer(running, key), **ONCE}, proved(running, key)
                ordered = await at_once(running, "POST", ORDER, order)
                looked = await at_once(running, "GET", ITEM, look)
                asked_for = len(journal.served)
                again = await at_once(running, "GET", ITEM, bearer(running, key))
                kill_all(running)
            assert statuses(ordered) == {"200": 1, "409": CALLS_AT_ONCE - 1}
            assert statuses(looked) == {"200": 1, "401": CALLS_AT_ONCE - 1}
            assert asked_for == 2
            assert statuses(again) == {"200": CALLS_AT_ONCE}
            assert len(set(journal.served)) == len(journal.served) == 2 + CALLS_AT_ONCE

            with running_gateway(home, configuration, port=port, workers=WORKERS) as running:
                assert (await call(running, "POST", ORDER, order)).status == 409
                assert (await call(running, "GET", ITEM, look)).status == 401
            judge(home, [*ordered, *looked, *again])

    asyncio.run(asyncio.wait_for(play(), 110))


def judge(home: Path, told: list[str]) -> None:
    """Hold the log to what every caller was told: each call has records of its own (I3, I4)."""
    path = find_log(home / "audit")
    report = verify_log(path, keys=LogKeys(home / "keys"))
    assert report.ok, report.faults
    assert len({one.split()[1] for one in told}) == len(told)
    for one in told:
        status, exchange = one.split()
        expected = (Kind.INTENT, Kind.OUTCOME) if status == "200" else (Kind.DENY,)
        assert kinds_of(path, exchange) == expected
    ((records, identifiers),) = selected(
        path, "SELECT count(*), count(DISTINCT record_id) FROM audit_record"
    )
    assert records == identifiers


class Redelivery:
    """A queue that hands the same sealed records to whichever process there is."""

    def __init__(self, world: World) -> None:
        """Deliver to the processes of `world`."""
        self.world = world
        self.exchange = new_uuid7()
        world.start("first")
        sealer = world.logs["first"]._sealer
        self.begun = sealer.seal(intent(self.exchange))
        self.ended = sealer.seal(outcome(self.exchange))

    def deliver(self, label: str, *, ended: bool = False) -> Told:
        """Deliver once."""
        item = Append(self.ended if ended else self.begun)
        (told,) = self.world.run(self.world.logs[label]._store.append([item]))
        return told

    def stored(self) -> list[tuple[int, bytes]]:
        """Return what the log holds of the exchange, and that it has no gap."""
        rows = selected(self.world.path, "SELECT leaf_index, leaf_hash, exchange FROM audit_record")
        assert [index for index, *_ in rows] == list(range(len(rows)))
        return [(index, leaf) for index, leaf, exchange in rows if exchange == self.exchange]


def test_a_record_that_a_queue_delivers_again_keeps_its_place() -> None:
    """F15: two processes get the same record, again and again; it is in the log once (I3, I4)."""
    world = World()
    queue = Redelivery(world)
    world.start("second")
    told = [queue.deliver(label) for label in ("first", "second", "second", "first")]
    assert told == [Position(1, queue.begun.leaf_hash)] * 4
    assert queue.deliver("second", ended=True) == Position(2, queue.ended.leaf_hash)
    for label in ("first", "second"):
        assert isinstance(queue.deliver(label, ended=True), RecordRepeated)
    assert queue.stored() == [(1, queue.begun.leaf_hash), (2, queue.ended.leaf_hash)]
    world.close()


def test_who_was_never_told_may_deliver_again() -> None:
    """F15: the process died after the commit, or in it; the retry finds the record, or stores it.

    Either way it is in the log once, and the indices have no gap (I3, I4).
    """
    for written, index in ((1.0, 1), (0.5, 2)):
        world = World()
        queue = Redelivery(world)
        world.crash(lambda: queue.deliver("first"), written=written, published=True)  # noqa: B023 - called at once
        world.start("first")
        assert len(queue.stored()) == (written == 1.0)
        world.run(world.logs["first"].append(intent()))
        assert queue.deliver("first") == Position(index, queue.begun.leaf_hash)
        assert queue.deliver("first") == Position(index, queue.begun.leaf_hash)
        assert queue.stored() == [(index, queue.begun.leaf_hash)]
        world.close()
