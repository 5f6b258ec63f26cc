"""Where time and identifiers come from."""

from __future__ import annotations

from datetime import UTC
from uuid import UUID

from gateway.clock import (
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
    """And no two alike."""
    assert len(random_bytes(16)) == 16
    assert random_bytes(16) != random_bytes(16)
