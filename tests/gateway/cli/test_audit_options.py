"""What the audit commands are given, read in the same way by all of them."""

from __future__ import annotations

import pytest

from gateway.audit.entry import INTEGER_MAX
from gateway.cli.audit_options import identifier, microseconds
from gateway.cli.output import Stop


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-02", 86_400_000_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("2026-11-01", 1_793_491_200_000_000),
        ("0001-01-01", 0),
        ("9999-01-01", INTEGER_MAX),
    ],
)
def test_times_are_days_or_instants(text: str, expected: int) -> None:
    """A day begins at midnight, UTC."""
    assert microseconds(text) == expected


def test_a_time_that_is_none_is_told() -> None:
    """The line that mends it shows both forms."""
    with pytest.raises(Stop, match="neither a day nor an instant"):
        microseconds("yesterday")


def test_an_instant_has_a_zone() -> None:
    """Which of two hours is meant is not guessed; the line that mends it is the one to type."""
    with pytest.raises(Stop, match="has no time zone") as stopped:
        microseconds("2026-11-01T09:30")
    assert stopped.value.mend == "write 2026-11-01T09:30Z for UTC"


def test_an_id_is_sixteen_bytes() -> None:
    """As it is copied; anything else is told, and what to copy."""
    assert identifier("019b76da-a800-7000-8000-000000000001")[:4] == bytes.fromhex("019b76da")
    with pytest.raises(Stop, match="seven is not an id"):
        identifier("seven")
