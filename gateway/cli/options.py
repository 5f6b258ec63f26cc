"""Options that several commands share, so that they read and behave the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.output import Stop

if TYPE_CHECKING:
    from gateway.settings import Settings

Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="Home directory of the gateway: settings, registry, keys, audit log. "
        "Default: CONCORDAT_HOME, else ./concordat-home.",
        show_default=False,
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]

INIT: Final = "concordat init --organisation REF --public-base-url URL"
"""The line that makes a home."""


def settings_of(home: Path | None, **arguments: object) -> Settings:
    """Return the settings of the gateway in `home`; raises Stop with every fault."""
    from gateway.settings import SettingsInvalid, home_of, load_settings

    directory = home_of(home)
    if not directory.is_dir():
        raise Stop(f"{directory} is not there", mend=INIT)
    try:
        return load_settings(home, **arguments)
    except SettingsInvalid as invalid:
        mend = "edit the settings file, or make a home with: " + INIT
        raise Stop("\n".join(invalid.faults), mend=mend) from None
