"""Scenario packs as the commands take them: which one, with which calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import Stop

if TYPE_CHECKING:
    from gateway.demo.packs import Pack

PackFolder = Annotated[
    Path | None,
    typer.Option(
        "--pack",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="Scenario pack. Default: the one that is built in.",
        show_default=False,
    ),
]
CallFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--calls",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Calls to use in place of the pack's own; may be repeated.",
        show_default=False,
    ),
]


def open_pack(pack: Path | None, calls: list[Path] | None) -> Pack:
    """Return the pack as read; raises Stop with everything that is wrong with it."""
    from gateway.demo.packs import BUILT_IN, read_pack
    from gateway.demo.scenario import PackInvalid
    from gateway.documents import DocumentUnreadable
    from gateway.registry.documents import ConfigurationInvalid

    try:
        return read_pack(pack or BUILT_IN, calls or ())
    except (PackInvalid, DocumentUnreadable, ConfigurationInvalid) as invalid:
        raise Stop(str(invalid)) from None
