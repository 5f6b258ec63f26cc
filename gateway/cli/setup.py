"""`concordat init` and `apply`: makes a home, and brings configuration into it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import amount, line, show_json


def init(
    organisation: Annotated[
        str,
        typer.Option(
            "--organisation",
            metavar="REF",
            help="Who runs this gateway: ods:…, gss:…, govuk:… or urn:…",
        ),
    ],
    public_base_url: Annotated[
        str,
        typer.Option(
            "--public-base-url",
            metavar="URL",
            help="Where consumers reach the data listener, for example https://gw.example.nhs.uk",
        ),
    ],
    registry_url: Annotated[
        str | None,
        typer.Option(
            "--registry-url",
            metavar="URL",
            help="An empty PostgreSQL database for the registry: postgresql+psycopg://user@host/"
            "database. Default: CONCORDAT_REGISTRY_URL, else a SQLite file in the home.",
            show_default=False,
        ),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make the home of a new gateway.

    Writes concordat.yaml, makes the keys and the registry, and shows the first operator's secret
    once: keep it, for nobody can read it again.
    """
    from gateway.cli.home import create_home
    from gateway.settings import home_of

    directory = home_of(home)
    values = {"organisation": organisation, "public_base_url": public_base_url}
    if registry_url is not None:
        values["registry_url"] = registry_url
    made = create_home(directory, **values)
    if as_json:
        show_json({"home": str(made.settings.home), "operator_secret": made.operator_secret})
        return
    line(f"Home: {made.settings.home}")
    line(f"Registry: {made.settings.database_name}")
    line(f"Operator's secret, shown once: {made.operator_secret}")
    line("Next:")
    line(f"  concordat apply DIR --home {directory}    bring in your parties, services, agreements")
    line(f"  concordat serve --home {directory}        run the gateway")


def apply(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Folder of YAML files: parties, services, legal/, agreements/.",
        ),
    ],
    home: Home = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and compile everything, change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the configuration in DIR the present one, whole or not at all.

    Every fault is told with its file, line and column. What DIR lacks is no longer present
    afterwards. The change is on record in the audit log before it is in force, and a running
    gateway takes it up within seconds. See what would change first: `concordat diff DIR`.
    """
    from gateway.cli.changes import applied_sentences
    from gateway.cli.configuration import apply_directory, check_directory

    settings = settings_of(home)
    configuration = check_directory(directory, settings)
    if dry_run:
        total = sum(1 for _ in configuration.documents())
        if as_json:
            show_json({"documents": total, "applied": False})
        else:
            line(f"{amount(total, 'document')} in order; nothing was changed.")
        return
    changes = apply_directory(configuration, settings)
    if as_json:
        show_json(changes)
        return
    for sentence in applied_sentences(changes):
        line(sentence)
