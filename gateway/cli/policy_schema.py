"""`concordat policy schema` and `policy fields`: the format of agreements, from the model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import Json
from gateway.cli.output import Stop, line, show_json


def schema() -> None:
    """Write the JSON Schema of an agreement, for editors and other programs."""
    from policies.schema import agreement_schema

    show_json(agreement_schema())


def fields(
    into: Annotated[
        Path | None,
        typer.Option(
            "--into",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Make the tables between this file's markers anew.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what each field of an agreement means in law, and how it is enforced."""
    from policies.glossary import MEANINGS
    from policies.reference import UnknownTable, with_tables

    if into is not None:
        try:
            into.write_text(with_tables(into.read_text("utf-8")), "utf-8")
        except UnknownTable as unknown:
            raise Stop(f"{into} asks for a table that is not made here: {unknown}") from None
        except UnicodeDecodeError:
            raise Stop(f"{into} is not UTF-8 text", mend="save it as UTF-8") from None
        except OSError as error:
            mend = "name a file that you may read and write"
            raise Stop(f"{into} cannot be made anew: {error.strerror}", mend=mend) from None
    elif as_json:
        show_json(
            {
                path: {"label": one.label, "meaning": one.meaning, "when": one.when, "how": one.how}
                for path, one in MEANINGS.items()
            }
        )
    else:
        for path, one in MEANINGS.items():
            line(f"{path}: {one.meaning} [{', '.join(one.when)}] {one.how}")
