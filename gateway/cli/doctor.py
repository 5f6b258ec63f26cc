"""`concordat doctor`: checks a home and says how to mend what is wrong."""

from __future__ import annotations

import typer

from gateway.cli.options import Home, Json
from gateway.cli.output import Exit, line, show_json


def doctor(home: Home = None, as_json: Json = False) -> None:
    """Check everything that a gateway needs, and say what mends what is wrong.

    Settings, file modes, keys, database and its schema, stops, audit log, clock, disk, stop-list,
    configuration, SIEM, issuers and services. Every line says ok, failed or unknown, and those that
    failed are followed by the command that mends them. Changes nothing. Exit 1 if a check failed,
    2 if one could not be made.
    """
    from gateway.cli.checks import State, examine

    findings = examine(home)
    if as_json:
        show_json(
            [
                {
                    "check": finding.check,
                    "state": finding.state,
                    "detail": finding.detail,
                    "mend": finding.mend,
                }
                for finding in findings
            ]
        )
    else:
        for finding in findings:
            line(f"{finding.state:8}{finding.check:14}{finding.detail}")
            if finding.mend:
                line(f"{'':8}To mend it: {finding.mend}")
    states = {finding.state for finding in findings}
    if State.FAILED in states:
        raise typer.Exit(Exit.FAILED)
    raise typer.Exit(Exit.UNUSABLE if State.UNKNOWN in states else Exit.OK)
