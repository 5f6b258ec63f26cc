"""Duties that are applied off the event loop: in a thread, or each answer in its own process."""

from __future__ import annotations

import asyncio
import pickle
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from os import pathsep
from typing import Final, NamedTuple

from gateway.exchange.duties import duty_process
from gateway.exchange.duties.applied import Applied, Shape, Withheld, not_applicable
from gateway.exchange.duties.duty_process import (
    DutyTask,
    ResultBroken,
    carry_out,
    decode_result,
)
from gateway.exchange.duties.duty_turns import Claim, TurnLimits, Turns
from gateway.exchange.duties.media import MEDIA_TYPES_REMEMBERED_MAX, Format, read_media
from policies.decision import Duties, ReasonCode

PROCESSES_MAX: Final = 2
"""Processes of one worker at once; further answers wait, and of one caller all but one do."""
WAITING_MAX: Final = 16
"""Answers that wait for a process, each of up to 16 MiB; of one more, one gives way at once."""
WAITING_EACH_MAX: Final = WAITING_MAX // 4
"""Those among them that one caller, or all strangers, may have waiting."""
THREADS_MAX: Final = 1
"""With more threads than one the loop would get less than half of the processor's time."""
THREAD_WAITING_MAX: Final = 128
"""Answers that wait for the thread, each of up to 1 MiB: about what it reads in `APPLY_S_MAX`."""
THREAD_WAITING_PUBLIC_MAX: Final = THREAD_WAITING_MAX // 4
"""Those to strangers among them: together they keep a client waiting for a few seconds at most."""
THREAD_WAITING_EACH_MAX: Final = THREAD_WAITING_MAX // 8
"""Those to one client, or to strangers at one address."""
APPLY_S_MAX: Final = 30.0
"""Time for one answer, its wait for a turn included."""
ON_LOOP_BYTES_MAX: Final = 32 * 1024
"""Longer JSON and CSV answers would hold up every other exchange of the worker for too long.

An answer of this length takes 1 to 5 ms of the processor's time, and 20 to 40 where it is made of
the shortest values that FHIR or CSV can have. What is longer takes as much for every 32 KiB.
"""
IN_THREAD_BYTES_MAX: Final = 1024 * 1024
"""Longer JSON and CSV answers are worth a process, which takes 0.3 s to start.

A thread takes nothing, and is interrupted every 5 ms for the loop (`sys.getswitchinterval`).
"""
RESULT_BYTES_MAX: Final = 64 * 1024 * 1024
"""The longest result; a Parquet file that was packed more tightly may grow when written anew."""
PIPE_BYTES: Final = 1024 * 1024

_PROGRAM: Final = f"import {duty_process.__name__} as process; process.main()"

_LOST: Final = not_applicable("The gateway could not read the service's answer within its bounds.")
CROWDED: Final = Withheld(
    reason=ReasonCode.CONNECTOR_UNAVAILABLE,
    detail="The service has answered, but too many answers wait to be read by the gateway.",
)
"""The answer had to give way to others, or its turn did not come: no fault of its service."""


class _Bounds(NamedTuple):
    """Octets up to which answers of one media type are read on the loop, and in the thread."""

    on_loop: int
    in_thread: int


_NEITHER: Final = _Bounds(on_loop=0, in_thread=0)
_BY_LENGTH: Final = _Bounds(on_loop=ON_LOOP_BYTES_MAX, in_thread=IN_THREAD_BYTES_MAX)
_UNREAD: Final = _Bounds(on_loop=sys.maxsize, in_thread=sys.maxsize)


def is_off_loop(media_type: str, bytes_read: int) -> bool:
    """Whether duties on an answer of this type and length are applied by `DutyProcesses`."""
    return bytes_read > _bounds_of(media_type).on_loop


@lru_cache(maxsize=MEDIA_TYPES_REMEMBERED_MAX)
def _bounds_of(media_type: str) -> _Bounds:
    media = read_media(media_type)
    if media.format is Format.PARQUET:
        return _NEITHER
    # What nothing can be applied to is withheld unread.
    return _UNREAD if media.format is Format.OTHER else _BY_LENGTH


class DutyProcesses:
    """Applies duties in a thread, or in a process for each answer, and outlives what becomes of it.

    A process that has seen one answer never sees another, so that a file that takes it over can
    reach nobody else's data. Nothing of it is left when `apply` returns. The thread, of which there
    is one, reads what only Python reads: JSON and CSV of up to `IN_THREAD_BYTES_MAX`.
    """

    __slots__ = ("_process_turns", "_thread", "_thread_turns")

    def __init__(self) -> None:
        """Start none yet; use it in one event loop."""
        self._process_turns: Final = Turns(
            TurnLimits(
                at_once=PROCESSES_MAX,
                waiting=WAITING_MAX,
                waiting_public=WAITING_EACH_MAX,
                waiting_each=WAITING_EACH_MAX,
            )
        )
        self._thread_turns: Final = Turns(
            TurnLimits(
                at_once=THREADS_MAX,
                waiting=THREAD_WAITING_MAX,
                waiting_public=THREAD_WAITING_PUBLIC_MAX,
                waiting_each=THREAD_WAITING_EACH_MAX,
            )
        )
        self._thread: Final = ThreadPoolExecutor(
            max_workers=THREADS_MAX, thread_name_prefix="duties"
        )

    async def apply(
        self,
        duties: Duties,
        shape: Shape,
        *,
        media_type: str,
        body: bytes,
        claim: Claim,
        identifiers_max: int = 0,
    ) -> Applied | Withheld:
        """Apply `duties` as `apply_duties` would; an answer that fells its process is withheld.

        The answers of the `claim`'s caller are read one after the other, whoever else's are read
        meanwhile (`Turns`); one whose turn does not come, or that has to give way, is `CROWDED`.
        Of its people no more than `identifiers_max` identifiers are given back, for the gateway
        would be long in reading a million; what the record says of them all is in `named`.

        Raises:
            OSError: the system starts no process.
        """
        task = DutyTask(
            duties=duties,
            shape=shape,
            media_type=media_type,
            body=body,
            identifiers_max=identifiers_max,
        )
        in_thread = len(body) <= _bounds_of(media_type).in_thread
        turns = self._thread_turns if in_thread else self._process_turns
        begun = False
        try:
            async with asyncio.timeout(APPLY_S_MAX):
                if not await turns.take(claim, len(body)):
                    return CROWDED
                begun = True
                if in_thread:
                    return await self._apply_in_thread(task, claim)
                try:
                    return await _apply_in_process(task)
                finally:
                    turns.give_back(claim)
        except TimeoutError:
            return _LOST if begun else CROWDED

    async def _apply_in_thread(self, task: DutyTask, claim: Claim) -> Applied | Withheld:
        loop = asyncio.get_running_loop()
        applying = loop.run_in_executor(self._thread, carry_out, task)
        # The thread goes on where nobody waits for it any more, and is free only after that.
        applying.add_done_callback(lambda _: self._thread_turns.give_back(claim))
        return await asyncio.shield(applying)


async def _apply_in_process(task: DutyTask) -> Applied | Withheld:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-c", _PROGRAM),
        stdin=PIPE,
        stdout=PIPE,
        # What a library says of a broken file may quote it.
        stderr=DEVNULL,
        limit=PIPE_BYTES,
        # Nothing of the gateway's own environment: it may hold secrets.
        env={
            "PYTHONPATH": pathsep.join(sys.path),
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "MALLOC_ARENA_MAX": "1",
        },
    )
    try:
        return decode_result(await _exchange(process, pickle.dumps(task)))
    except (ConnectionError, ResultBroken):
        return _LOST
    finally:
        await _end(process)


async def _exchange(process: Process, task: bytes) -> bytes:
    assert process.stdin is not None  # noqa: S101 - it was asked for
    assert process.stdout is not None  # noqa: S101 - it was asked for
    process.stdin.write(task)
    await process.stdin.drain()
    process.stdin.close()
    result = bytearray()
    while piece := await process.stdout.read(PIPE_BYTES):
        result += piece
        if len(result) > RESULT_BYTES_MAX:
            raise ResultBroken("too long")
    if await process.wait() != 0:
        raise ResultBroken("it failed")
    return bytes(result)


async def _end(process: Process) -> None:
    """End `process` if it has not ended, and take in what is left, so that its pipes close."""
    assert process.stdin is not None  # noqa: S101 - it was asked for
    assert process.stdout is not None  # noqa: S101 - it was asked for
    if process.returncode is None:
        process.kill()
    process.stdin.close()
    while await process.stdout.read(PIPE_BYTES):
        pass
    await process.wait()
