"""`concordat service`: lists services, and tries whether they can be reached."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, line, show_json

service = typer.Typer(no_args_is_help=True, help="Look after services.")


@service.command("list")
def list_services(home: Home = None, as_json: Json = False) -> None:
    """List the services of the present configuration, with how many agreements use each.

    A place that workers spare is shown: it failed several times in a row, and each of them tries it
    again within seconds.
    """
    from gateway.cli.services import listed

    found = listed(settings_of(home))
    if as_json:
        show_json({"services": found})
        return
    for one in found:
        used = one["agreements"]
        state = "stopped" if one["stopped"] else f"{used} agreement{'s' * (used != 1)}"
        line(f"{one['connector']:24}{one['kind']:8}{state:16}{one['base_url']}")
        for place in one["targets"]:
            if place["spared_by"]:
                spared = f"spared by {place['spared_by']} of {place['workers']} workers"
                line(f"{'':32}{spared:16}{place['base_url']}")
    if not found:
        line("There are no services.")


@service.command("test")
def try_services(
    connectors: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CONNECTOR]…", help="Which. Default: all.", show_default=False),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Connect to services as a worker would, TLS included, without asking them for data.

    Exit 1 if one cannot be reached.
    """
    from gateway.cli.services import probed

    found = probed(settings_of(home), connectors or ())
    if as_json:
        show_json({"services": found})
    else:
        for one in found:
            line(f"{'ok' if one['healthy'] else 'failed':8}{one['connector']:24}{one['detail']}")
    healthy = all(one["healthy"] for one in found)
    raise typer.Exit(Exit.OK if healthy else Exit.FAILED)
