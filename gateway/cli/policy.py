"""`concordat policy test`: judges the calls of a pack offline, each at its own instant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import Json
from gateway.cli.output import Exit, Stop, show, show_json

if TYPE_CHECKING:
    from gateway.demo.packs import Pack

policy = typer.Typer(no_args_is_help=True, help="Check what agreements decide.")

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


@policy.command("test")
def judge_pack(pack: PackFolder = None, calls: CallFiles = None, as_json: Json = False) -> None:
    """Decide every call of a pack offline and compare decision, status, reason and rule.

    Exit 1 on any difference. What only the running gateway can tell (401s, records, withheld
    answers) is marked "live only"; what this version cannot do yet is listed as "not yet". Neither
    counts as passed.
    """
    from gateway.demo.evaluate import evaluate
    from gateway.demo.report import as_json as results_json
    from gateway.demo.report import counts_line, difference_lines, table_of
    from gateway.refresh import SnapshotRefused

    try:
        results = evaluate(open_pack(pack, calls))
    except SnapshotRefused as refused:
        raise Stop("\n".join(refused.faults)) from None
    if as_json:
        show_json(results_json(results))
    else:
        table = table_of(results, title="Policy test, offline")
        show(table, *difference_lines(results), counts_line(results))
    raise typer.Exit(Exit.OK if results.passed else Exit.FAILED)


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
