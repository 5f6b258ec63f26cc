"""Scenario packs as the commands take them: which one, with which calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.output import Stop

if TYPE_CHECKING:
    from gateway.demo.packs import Pack
    from gateway.refresh import Rulebook

_MEND: Final = "correct what is named above; the built-in pack shows how it is written"

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
        raise Stop(str(invalid), mend=_MEND) from None


def rules_of_pack(opened: Pack) -> Rulebook:
    """Return what the pack's configuration compiles to; raises Stop with every fault."""
    from gateway.refresh import SnapshotRefused, compile_rules

    try:
        return compile_rules(opened.configuration)
    except SnapshotRefused as refused:
        raise Stop("\n".join(refused.faults), mend=_MEND) from None
