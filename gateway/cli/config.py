"""`concordat config` and `diff`: what is configured, and what a directory would change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, amount, line, show_json

config = typer.Typer(no_args_is_help=True, help="Look at settings and configuration.")

_DIRECTORY_HELP = "Folder of YAML files: parties, services, legal/, agreements/."


@config.command("check")
def check(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            exists=True,
            file_okay=False,
            help=f"{_DIRECTORY_HELP} Without it, what the gateway has now is checked.",
            show_default=False,
        ),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Check the settings, and that the configuration can be enforced; change nothing.

    Every fault is told at once. Agreements are held against the law as of today: one that was in
    order when it was applied may not be any more.
    """
    from gateway.cli.configuration import check_directory, check_present

    settings = settings_of(home)
    if directory is None:
        revision, configuration = check_present(settings)
    else:
        revision, configuration = None, check_directory(directory, settings)
    total = sum(1 for _ in configuration.documents())
    if as_json:
        show_json({"ok": True, "documents": total, "revision": revision})
    else:
        where = f"in {directory}" if revision is None else f"of revision {revision}"
        line(f"The settings and {amount(total, 'document')} {where} are in order.")


@config.command("show")
def show(home: Home = None, as_json: Json = False) -> None:
    """Show every setting with where it is from, and what is configured, in numbers.

    Values are those in effect; a password in a URL is shown as asterisks.
    """
    from gateway.cli.configuration import summary_of

    settings = settings_of(home)
    facts = settings.facts()
    summary = summary_of(settings)
    if as_json:
        listed = {
            fact.name: {"value": fact.value, "default": fact.default, "origin": fact.origin}
            for fact in facts
        }
        show_json({"settings": listed, "configuration": summary})
        return
    for fact in facts:
        line(f"{fact.name:18}{fact.value:31} {fact.origin}")
    line()
    for name, value in summary.items():
        line(f"{name:18}{value}")


@config.command("export")
def export(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", file_okay=False, help="Folder to write; it must be new or empty."
        ),
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write the present configuration as a folder that `concordat apply` takes, here or elsewhere.

    The files are canonical: members in the order of their names, without the comments of the files
    that were applied. They hold no secret: keys and secrets are never in the registry. Decision
    forms name the people whom they are about.
    """
    from gateway.cli.configuration import export_to

    revision, files = export_to(directory, settings_of(home))
    if as_json:
        show_json({"revision": revision, "files": [str(path) for path in files]})
        return
    written = amount(len(files), "file")
    line(f"Revision {revision}: {written} in {directory}, without comments or secrets.")
    line(f"To apply them to another gateway: concordat apply {directory} --home HOME")


def diff(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", exists=True, file_okay=False, help=_DIRECTORY_HELP),
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Tell what `concordat apply DIR` would change, member by member; change nothing.

    Exit 0 where nothing would change, 1 where something would, 2 where DIR cannot be applied.
    What a change of an agreement means for its parties: `concordat policy diff`.
    """
    from gateway.cli.configuration import compare_directory

    found = compare_directory(directory, settings_of(home))
    if as_json:
        show_json(found.as_data())
    else:
        for sentence in found.sentences():
            line(sentence)
    raise typer.Exit(Exit.OK if found.changes.nothing else Exit.FAILED)
