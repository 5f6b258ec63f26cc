"""The body of a process that applies duties to one answer and ends.

It decodes what a service sent, with a library in C++, so it is made to be lost: it has bounded
memory and processor time, writes no file and leaves no core dump, and has seen no other answer. It
gets a task from the gateway on its standard input and gives back one result on its standard output.
"""

from __future__ import annotations

import pickle
import resource
import signal
import sys
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from gateway.exchange.duties.applied import Applied, Shape, Withheld
from gateway.exchange.duties.named_people import name_people
from policies.decision import Duties

MEMORY_BYTES_MAX: Final = 2 * 1024 * 1024 * 1024
"""Address space of the process, its libraries and both files included."""
PROCESSOR_S_MAX: Final = 20
"""Processor time of the process, after which the system ends it, whoever still waits for it."""

_BOUNDS: Final = (
    (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
    (resource.RLIMIT_CPU, PROCESSOR_S_MAX),
    (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_CORE, 0),
)

APPLIED: Final = b"A"
WITHHELD: Final = b"W"
_LENGTH_BYTES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyTask:
    """One answer and what is to be done with it (`apply_duties`).

    No more than `identifiers_max` of its people's identifiers are to come back.
    """

    duties: Duties
    shape: Shape
    media_type: str
    body: bytes
    identifiers_max: int


class ResultBroken(Exception):
    """What a process gave back is no result: it was lost, or a file got the better of it."""


def encode_result(result: Applied | Withheld) -> bytes:
    """Write `result` for the gateway, which trusts none of its bytes to be code."""
    if isinstance(result, Withheld):
        return WITHHELD + msgspec.json.encode(result)
    facts = msgspec.json.encode(replace(result, body=b""))
    return APPLIED + len(facts).to_bytes(_LENGTH_BYTES, "big") + facts + result.body


def decode_result(content: bytes) -> Applied | Withheld:
    """Read what `encode_result` wrote.

    Raises:
        ResultBroken: it did not write this, or not all of it.
    """
    kind, rest = content[:1], content[1:]
    try:
        if kind == WITHHELD:
            return msgspec.json.decode(rest, type=Withheld)
        if kind == APPLIED:
            length = int.from_bytes(rest[:_LENGTH_BYTES], "big")
            facts, body = rest[_LENGTH_BYTES:][:length], rest[_LENGTH_BYTES + length :]
            return replace(msgspec.json.decode(facts, type=Applied), body=body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ResultBroken("not a result") from error
    raise ResultBroken("no result")


def carry_out(task: DutyTask) -> Applied | Withheld:
    """Apply a task's duties, and make of the people in the answer what its record will say.

    A million people take seconds to hash, which the gateway's loop has not.
    """
    # Imported here, so that the bounds are set before any library is loaded.
    from gateway.exchange.duties.apply import apply_duties

    result = apply_duties(task.duties, task.shape, media_type=task.media_type, body=task.body)
    if isinstance(result, Withheld) or not result.subjects:
        return result
    # The first in order, so that of the same answer the same people come back.
    some = frozenset(sorted(result.subjects)[: task.identifiers_max])
    return replace(result, subjects=some, named=name_people(result.subjects))


def main() -> None:
    """Apply one task's duties; how long and how much is the system's to bound."""
    # The gateway ends this process, or its own end does: nothing more comes from standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for limit, most in _BOUNDS:
        _, allowed = resource.getrlimit(limit)
        bound = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.setrlimit(limit, (bound, bound))
    task = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - the gateway's own words, by a pipe
    assert isinstance(task, DutyTask)  # noqa: S101 - tells the type checker what was written
    sys.stdout.buffer.write(encode_result(carry_out(task)))
    sys.stdout.buffer.flush()
