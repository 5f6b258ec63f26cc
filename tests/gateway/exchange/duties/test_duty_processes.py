"""Duties in processes of their own: whatever a file does to its process, the gateway goes on."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import threading
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway.exchange.duties import duty_processes
from gateway.exchange.duties.applied import Applied, Shape, Withheld
from gateway.exchange.duties.apply import apply_duties
from gateway.exchange.duties.duty_processes import (
    CROWDED,
    IN_THREAD_BYTES_MAX,
    ON_LOOP_BYTES_MAX,
    PROCESSES_MAX,
    THREAD_WAITING_EACH_MAX,
    WAITING_MAX,
    DutyProcesses,
    is_off_loop,
)
from gateway.exchange.duties.duty_turns import Claim
from gateway.exchange.duties.named_people import name_people
from policies.decision import Duties, ReasonCode

PARQUET = "application/vnd.apache.parquet"
DUTIES = Duties(allowed=frozenset({"kept"}), subject_field="id")
BOMB_ROWS = 200_000
STUCK = "import sys, time; sys.stdin.buffer.read(); time.sleep(600)"
"""A program that never ends by itself."""


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    """Write columns as a service would."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()


GOOD = parquet({"kept": ["open"], "id": [9991000011]})


def bomb() -> bytes:
    """Write a small file whose one value of a megabyte is repeated until no memory holds it."""
    indices = pa.array([0] * BOMB_ROWS, pa.int32())
    repeated = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 1_000_000]))
    return parquet({"kept": repeated, "id": range(BOMB_ROWS)}, compression="zstd")


def abort() -> bytes:
    """Write a file with a compression codec that nobody knows; the library aborts over it."""
    snappy, unknown = b"\x02", b"\x36"
    column = b"\x19\x18\x04kept\x15"
    assert column + snappy in GOOD
    return GOOD.replace(column + snappy, column + unknown)


async def apply(
    processes: DutyProcesses, body: bytes, media_type: str = PARQUET, *, caller: str = "one"
) -> Any:
    """Apply the duties in a process."""
    return await processes.apply(
        DUTIES, Shape(), media_type=media_type, body=body, claim=Claim(caller), identifiers_max=1
    )


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        (PARQUET, GOOD),
        ("text/csv", b"kept,id\nopen,1\n"),
        ("application/json", b'{"records":[{"kept":1,"id":"1","more":2}]}'),
        ("text/html", b"<p>"),
        # As long as only a process reads.
        ("application/json", b'{"records":[{"kept":1,"id":"1"}]}'.ljust(IN_THREAD_BYTES_MAX + 1)),
    ],
)
def test_a_process_gives_what_the_duties_give(media_type: str, body: bytes) -> None:
    """Where they are applied makes no difference."""
    result = asyncio.run(apply(DutyProcesses(), body, media_type))
    expected = apply_duties(DUTIES, Shape(), media_type=media_type, body=body)
    if isinstance(expected, Applied):
        expected = replace(expected, named=name_people(expected.subjects))

    assert result == expected


def bundle(people: int) -> bytes:
    """Build a FHIR search for so many people."""
    entries = [
        {"resource": {"resourceType": "Patient", "active": True, "id": f"{number}"}}
        for number in range(people)
    ]
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": entries}).encode()


def test_an_answer_of_some_length_does_not_hold_the_loop() -> None:
    """What would keep every other exchange waiting is read beside them, without a process."""
    body = bundle(10_000)
    assert ON_LOOP_BYTES_MAX < len(body) <= IN_THREAD_BYTES_MAX
    duties = Duties(allowed=frozenset({"Patient.active"}))

    async def play() -> int:
        processes = DutyProcesses()
        judging = asyncio.ensure_future(
            processes.apply(
                duties, Shape(), media_type="application/fhir+json", body=body, claim=Claim("one")
            )
        )
        turns = 0
        while not judging.done():
            await asyncio.sleep(0.001)
            turns += 1
        applied = judging.result()
        assert isinstance(applied, Applied)
        assert applied.records == 10_000
        assert len(processes._thread._threads) == 1
        return turns

    # On the loop it would be two: one to begin, and one when all is over.
    assert asyncio.run(play()) > 3


def test_one_callers_answers_go_in_turns_with_the_others() -> None:
    """However many one has waiting, another caller's is the next but one."""
    ended: list[str] = []

    async def play() -> None:
        processes = DutyProcesses()

        async def one(caller: str) -> None:
            body = bundle(2_000)
            assert isinstance(
                await apply(processes, body, "application/json", caller=caller), Applied
            )
            ended.append(caller)

        await asyncio.gather(*[one(caller) for caller in (*["busy"] * 6, "other")])

    asyncio.run(play())

    assert sorted(ended) == ["busy"] * 6 + ["other"]
    assert ended.index("other") <= 2


@pytest.mark.parametrize("given_up", [False, True])
def test_an_urgent_answer_waits_for_no_more_than_the_one_that_is_read(given_up: bool) -> None:
    """The thread gets one at a time, also where nobody waits any more for the one that it has."""
    ended: list[str] = []
    free = threading.Event()

    async def play() -> None:
        processes = DutyProcesses()

        async def one(claim: Claim) -> None:
            body = bundle(1_000)
            await processes.apply(
                DUTIES, Shape(), media_type="application/json", body=body, claim=claim
            )
            ended.append(claim.caller)

        processes._thread.submit(free.wait)
        asked = [Claim("first"), Claim("second"), Claim("third"), Claim("night", urgent=True)]
        tasks = []
        for claim in asked:
            tasks.append(asyncio.ensure_future(one(claim)))
            await asyncio.sleep(0)
            if given_up and len(tasks) == 1:
                tasks[0].cancel()
                await asyncio.wait(tasks)
        free.set()
        await asyncio.wait(tasks)
        for task in tasks[given_up:]:
            task.result()

    asyncio.run(play())

    assert ended == ["first", "night", "second", "third"][given_up:]


def test_an_answer_whose_turn_does_not_come_was_crowded_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No fault of its service's: it may be asked again. What is read for too long is withheld."""
    monkeypatch.setattr(duty_processes, "APPLY_S_MAX", 0.1)
    free = threading.Event()

    async def play() -> list[Any]:
        processes = DutyProcesses()
        processes._thread.submit(free.wait)
        try:
            return await asyncio.gather(
                *[apply(processes, b"{}", "application/json", caller=one) for one in "ab"]
            )
        finally:
            free.set()

    begun, waited = asyncio.run(play())

    assert begun.reason is ReasonCode.DUTY_NOT_APPLICABLE
    assert waited is CROWDED


def test_what_one_client_has_waiting_is_bounded() -> None:
    """A caller with hundreds of answers has the longest told to come again, nobody else's."""
    free = threading.Event()

    async def play() -> tuple[list[Any], Any]:
        processes = DutyProcesses()
        processes._thread.submit(free.wait)
        many = [
            asyncio.ensure_future(
                apply(processes, b"[]".ljust(length), "application/json", caller="bulk")
            )
            for length in range(2, 3 * THREAD_WAITING_EACH_MAX)
        ]
        await asyncio.sleep(0)
        other = asyncio.ensure_future(apply(processes, b"[]", "application/json", caller="other"))
        await asyncio.sleep(0)
        free.set()
        return await asyncio.gather(*many), await other

    many, other = asyncio.run(play())

    read = 1 + THREAD_WAITING_EACH_MAX
    assert [type(one) for one in many[:read]] == [Applied] * read
    assert all(one is CROWDED for one in many[read:])
    assert isinstance(other, Applied)


def test_of_many_people_only_what_is_asked_for_comes_back() -> None:
    """The record has them all; a million identifiers would hold up the loop that reads them."""
    people = frozenset(f"99920{n:05}" for n in range(20_000))
    rows = b",".join(b'{"id":"%b","kept":1}' % person.encode() for person in people)
    body = b'{"records":[%b]}' % rows

    async def play() -> list[Any]:
        processes = DutyProcesses()
        return [
            await processes.apply(
                DUTIES,
                Shape(),
                media_type="application/json",
                body=body,
                claim=Claim("one"),
                identifiers_max=most,
            )
            for most in (0, 11, 30_000)
        ]

    none, some, every = asyncio.run(play())

    assert (none.subjects, len(some.subjects), every.subjects) == (frozenset(), 11, people)
    assert some.subjects < people
    assert none.named == some.named == every.named == name_people(people)
    assert [found.subjects_counted for found in (none, some, every)] == [len(people)] * 3


@pytest.mark.parametrize("hostile", [bomb, abort], ids=["bomb", "abort"])
def test_a_file_that_fells_its_process_is_withheld(hostile: Any) -> None:
    """Memory is bounded, an abort is not ours, and the next answer is read as ever."""

    async def play() -> None:
        processes = DutyProcesses()
        body = hostile()
        assert len(body) < 2_000_000
        withheld = await apply(processes, body)

        assert isinstance(withheld, Withheld)
        assert withheld.reason is ReasonCode.DUTY_NOT_APPLICABLE
        assert isinstance(await apply(processes, GOOD), Applied)

    asyncio.run(play())


def test_a_process_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a file without end, and nothing of its process is left."""
    monkeypatch.setattr(duty_processes, "APPLY_S_MAX", 0.01)
    withheld = asyncio.run(apply(DutyProcesses(), GOOD))

    assert isinstance(withheld, Withheld)


def test_a_result_that_is_too_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process cannot fill the gateway's memory either."""
    monkeypatch.setattr(duty_processes, "RESULT_BYTES_MAX", 10)
    withheld = asyncio.run(apply(DutyProcesses(), GOOD))

    assert isinstance(withheld, Withheld)


def test_an_exchange_that_is_given_up_ends_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops waiting leaves no process behind, and its turn goes to the next."""

    async def play() -> None:
        processes = DutyProcesses()
        with monkeypatch.context() as patched:
            patched.setattr(duty_processes, "_PROGRAM", STUCK)
            for _ in range(duty_processes.PROCESSES_MAX):
                given_up = asyncio.get_running_loop().create_task(apply(processes, GOOD))
                await asyncio.sleep(0.01)
                given_up.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await given_up
        assert isinstance(await apply(processes, GOOD), Applied)

    asyncio.run(play())


def test_answers_take_turns_and_too_many_are_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of files costs so many processes at once and no more."""
    monkeypatch.setattr(duty_processes, "WAITING_MAX", 2)

    async def play() -> list[Any]:
        processes = DutyProcesses()
        return await asyncio.gather(*[apply(processes, GOOD, caller=one) for one in "abcdef"])

    results = asyncio.run(play())

    assert [type(result) for result in results].count(Applied) == duty_processes.PROCESSES_MAX + 2
    assert [type(result) for result in results].count(Withheld) == 2


def test_one_callers_answers_leave_a_turn_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow they are, and however many: another caller's answer is read meanwhile."""
    program = duty_processes._PROGRAM
    monkeypatch.setattr(duty_processes, "APPLY_S_MAX", 300.0)

    async def play() -> None:
        processes = DutyProcesses()
        monkeypatch.setattr(duty_processes, "_PROGRAM", STUCK)
        slow = [
            asyncio.ensure_future(apply(processes, GOOD, caller="slow"))
            for _ in range(WAITING_MAX + PROCESSES_MAX)
        ]
        refused, waiting = await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED)
        assert {type(task.result()) for task in refused} == {Withheld}

        monkeypatch.setattr(duty_processes, "_PROGRAM", program)
        assert isinstance(await apply(processes, GOOD, caller="other"), Applied)
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)

    asyncio.run(play())


def test_a_process_sees_nothing_of_the_gateways_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Secrets of the gateway are not where hostile files are read."""
    monkeypatch.setenv("CONCORDAT_SECRET", "MARKER")
    show = "import os, sys; sys.stdout.write('W' + repr(dict(os.environ)))"
    monkeypatch.setattr(duty_processes, "_PROGRAM", show)
    seen: list[bytes] = []
    monkeypatch.setattr(duty_processes, "decode_result", seen.append)
    asyncio.run(apply(DutyProcesses(), GOOD))

    assert b"ARROW_DEFAULT_MEMORY_POOL" in seen[0]
    assert b"MARKER" not in seen[0]


@pytest.mark.parametrize(
    ("media_type", "size", "expected"),
    [
        (PARQUET, 1, True),
        ("application/json", ON_LOOP_BYTES_MAX, False),
        ("application/json", ON_LOOP_BYTES_MAX + 1, True),
        ("application/fhir+json", ON_LOOP_BYTES_MAX, False),
        ("application/fhir+json", 96 * 1024, True),
        ("text/csv", ON_LOOP_BYTES_MAX, False),
        ("text/csv", ON_LOOP_BYTES_MAX + 1, True),
        ("image/png", 2**30, False),
    ],
)
def test_what_is_dangerous_or_slow_leaves_the_loop(
    media_type: str, size: int, expected: bool
) -> None:
    """Parquet always does; what is read record by record does when it is long."""
    assert is_off_loop(media_type, size) is expected


def test_the_library_is_not_loaded_into_the_gateway() -> None:
    """It costs 50 MB and is used by few: a worker starts without it."""
    loaded = "import gateway.worker, sys; sys.exit('pyarrow' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", loaded]).returncode == 0
