"""The command line, `concordat`: one file per noun, and heavy imports inside the commands."""

from __future__ import annotations

import typer

from gateway import __version__
from gateway.audit.keys.files import KeysUnavailable
from gateway.cli.agreement import agreement
from gateway.cli.audit import audit
from gateway.cli.client import call, token
from gateway.cli.config import config, diff
from gateway.cli.db import database
from gateway.cli.demo import demo
from gateway.cli.doctor import doctor
from gateway.cli.options import Json
from gateway.cli.output import Stop, complain, line, show_json
from gateway.cli.policy import policy
from gateway.cli.serve import serve
from gateway.cli.service import service
from gateway.cli.setup import apply, init
from gateway.cli.stop import client, stop
from gateway.files import keep_private

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""A federated data-exchange API gateway for public bodies.

    New here? `concordat demo` starts everything on this machine and shows it at work.

    Exit codes: 0 done and well, 1 a check failed, 2 wrong usage or it cannot be told.""",
)
app.command()(demo)
app.command()(serve)
app.command()(init)
app.command()(apply)
app.command()(diff)
app.add_typer(config, name="config")
app.add_typer(agreement, name="agreement")
app.add_typer(service, name="service")
app.add_typer(client, name="client")
app.add_typer(stop, name="stop")
app.add_typer(policy, name="policy")
app.add_typer(audit, name="audit")
app.add_typer(token, name="token")
app.command()(call)
app.command()(doctor)
app.add_typer(database, name="db")


@app.command()
def version(as_json: Json = False) -> None:
    """Show the version."""
    if as_json:
        show_json({"version": __version__})
    else:
        line(f"concordat {__version__}")


def main() -> None:
    """Run the command line; the program's entry point."""
    keep_private()
    try:
        app(prog_name="concordat")
    except Stop as stop:
        complain(stop)
    except KeysUnavailable as unusable:
        complain(Stop(str(unusable), mend="concordat doctor"))
