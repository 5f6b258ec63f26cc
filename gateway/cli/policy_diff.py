"""`concordat policy diff`: what a new version of an agreement changes, and for whom."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.options import Json
from gateway.cli.output import Exit, line, show_json
from gateway.cli.policy_options import RegistryHome

_VERSION_HELP = "A file, or an agreement of the registry as ID@VERSION."


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help=_VERSION_HELP)],
    new: Annotated[str, typer.Argument(metavar="NEW", help=_VERSION_HELP)],
    home: RegistryHome = None,
    refuse_wider: Annotated[
        bool, typer.Option("--refuse-wider", help="Exit 1 if a change may let more calls in.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tell what differs between two versions of an agreement, clause by clause.

    Each change says whether it widens or narrows access, may do either, or is neutral.
    """
    from gateway.cli.policy_sources import agreement_named
    from policies.diff import compare, effect_of
    from policies.effects import Effect

    changes = compare(agreement_named(old, home), agreement_named(new, home))
    effect = effect_of(changes)
    if as_json:
        listed = [change.as_data() for change in changes]
        show_json({"effect": effect.value, "changes": listed})
    elif not changes:
        line("Nothing differs.")
    else:
        for change in changes:
            line(f"{change.effect.value:8} {change.sentence} ({change.clause})")
        line(f"Taken together: {effect.value}.")
    if refuse_wider and effect in (Effect.WIDENS, Effect.EITHER):
        raise typer.Exit(Exit.FAILED)
