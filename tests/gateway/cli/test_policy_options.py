"""Options of the policy commands."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.cli.output import Stop
from gateway.cli.policy_options import instant_of


def test_an_instant_states_its_offset() -> None:
    """With an offset it is taken, without one it could be any of several."""
    assert instant_of("2026-11-18T10:00:00Z") == datetime(2026, 11, 18, 10, tzinfo=UTC)
    for text in ("2026-11-18T10:00:00", "2026-11-18", "soon"):
        with pytest.raises(Stop):
            instant_of(text)
