"""Where time and identifiers come from."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from functools import partial
from typing import Final
from uuid import UUID

import pytest

from gateway.clock import (
    RANDOM_PIECE_BYTES_MAX,
    RANDOM_SIZES_MAX,
    SystemClock,
    monotonic_s,
    monotonic_us,
    new_uuid7,
    random_bytes,
    system_time_us,
    uuid_text,
)


def test_identifiers_are_uuids_of_version_7_in_the_order_of_time() -> None:
    """The first 48 bits are system milliseconds; version and variant are RFC 9562's."""
    before_ms = system_time_us() // 1000
    identifier = UUID(bytes=new_uuid7())

    assert (identifier.version, identifier.variant) == (7, "specified in RFC 4122")
    assert before_ms <= identifier.int >> 80 <= system_time_us() // 1000
    assert len({new_uuid7() for _ in range(1_000)}) == 1_000


def test_the_text_of_an_identifier_is_the_standard_one() -> None:
    """Hyphens stand where every reader expects them (RFC 9562, section 4)."""
    identifier = new_uuid7()

    assert uuid_text(identifier) == str(UUID(bytes=identifier))


def test_decision_time_is_the_machine_s_by_default() -> None:
    """It is aware and in UTC, and agrees with system time."""
    now = SystemClock().now()

    assert now.tzinfo is UTC
    assert abs(now.timestamp() * 1_000_000 - system_time_us()) < 1_000_000


def test_monotonic_times_agree() -> None:
    """Both units tell one clock."""
    assert abs(monotonic_s() * 1_000_000 - monotonic_us()) < 1_000_000


def test_random_bytes_are_as_many_as_asked() -> None:
    """And no two alike, whatever the size and however many were fetched."""
    sizes = [0, 1, 16, RANDOM_PIECE_BYTES_MAX, RANDOM_PIECE_BYTES_MAX + 1]
    sizes += range(100, 102 + RANDOM_SIZES_MAX)
    for size in sizes:
        assert len(random_bytes(size)) == len(random_bytes(size)) == size
    assert len({random_bytes(16) for _ in range(1_000)}) == 1_000


TAKERS: Final = (partial(random_bytes, 16), new_uuid7)
"""What hands out pieces of what was fetched at once."""


@pytest.mark.parametrize("take", TAKERS)
def test_no_two_threads_get_the_same_random_bytes(take: Callable[[], bytes]) -> None:
    """They share what was fetched."""

    def take_many(_: int) -> list[bytes]:
        return [take() for _ in range(5_000)]

    with ThreadPoolExecutor(8) as threads:
        taken = [piece for several in threads.map(take_many, range(8)) for piece in several]
    assert len({piece[-10:] for piece in taken}) == len(taken)  # of an identifier, less its time


@pytest.mark.parametrize("take", TAKERS)
def test_a_forked_child_gets_other_random_bytes_than_its_parent(take: Callable[[], bytes]) -> None:
    """What was ready is not handed out twice."""
    take()  # so that more are ready
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writable, b"".join([take() for _ in range(200)]))
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        childs = pipe.read()
    os.waitpid(child, 0)
    pieces = {childs[at + 6 : at + 16] for at in range(0, len(childs), 16)}
    assert len(pieces) == 200
    assert pieces.isdisjoint(take()[-10:] for _ in range(200))
