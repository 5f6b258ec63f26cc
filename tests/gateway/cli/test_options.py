"""Options that commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.home import NewHome
from gateway.cli.options import settings_of
from gateway.cli.output import Stop


def test_settings_come_from_the_home(new_home: NewHome) -> None:
    """The home's file is read, and an argument goes before it."""
    settings = settings_of(new_home.settings.home, workers=3)
    assert settings.workers == 3
    assert settings.organisation == "ods:X9Z"


def test_no_home_is_told_with_what_makes_one(tmp_path: Path) -> None:
    """Without settings nothing can be done but to make them."""
    with pytest.raises(Stop) as stopped:
        settings_of(tmp_path / "nowhere")
    assert "concordat init" in stopped.value.mend
