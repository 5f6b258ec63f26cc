"""`concordat agreement`: lists, shows, validates, suspends and resumes agreements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, line, show_json
from gateway.cli.stop import Reason, show_effect

agreement = typer.Typer(no_args_is_help=True, help="Look after agreements.")

AgreementId = Annotated[str, typer.Argument(metavar="ID", help="Agreement, such as DSA-2026-0001.")]


@agreement.command("list")
def list_agreements(home: Home = None, as_json: Json = False) -> None:
    """List the agreements of the present configuration, and which of them are suspended here."""
    from gateway.cli.agreements import listed

    found = listed(settings_of(home))
    if as_json:
        show_json({"agreements": found})
        return
    for one in found:
        state = "suspended here" if one["stopped"] else one["status"]
        line(f"{one['agreement_id']}@{one['version']:<4}{state:16}{one['title']}")
    if not found:
        line("There are no agreements.")


@agreement.command("show")
def show(agreement_id: AgreementId, home: Home = None, as_json: Json = False) -> None:
    """Show an agreement as it was applied, with every version that ever was here."""
    from gateway.cli.agreements import shown, written

    found = shown(settings_of(home), agreement_id)
    if as_json:
        show_json(found)
        return
    for state in found["history"]:
        until = state["until_revision"] or "now"
        line(f"# version {state['version']}: revisions {state['since_revision']} to {until}")
    if found["stopped"]:
        line("# suspended here: every call under it is refused, whatever its status")
    line(written(found["document"]))


@agreement.command("validate")
def validate(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", exists=True, dir_okay=False, help="Agreements, as YAML."),
    ],
    pack: Annotated[
        Path | None,
        typer.Option(
            "--pack",
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Parties, services and law to hold them against, in place of a home's.",
            show_default=False,
        ),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Hold agreements against the schema, the services and the law, before anybody signs them.

    Each fault is told with its line and what mends it, drafts included. Exit 1 if there is one.
    """
    from gateway.cli.agreements import faults_of
    from gateway.cli.policy_sources import configuration_of

    configuration = configuration_of(pack, None if pack else settings_of(home).home)
    faults = [fault for path in files for fault in faults_of(path, configuration)]
    if as_json:
        listed = [
            {
                "file": str(fault.path),
                "line": fault.line,
                "column": fault.column,
                "code": fault.code,
                "message": fault.message,
            }
            for fault in faults
        ]
        show_json({"ok": not faults, "faults": listed})
    else:
        for fault in faults:
            line(str(fault))
        if not faults:
            line(f"{len(files)} in order.")
    raise typer.Exit(Exit.FAILED if faults else Exit.OK)


@agreement.command("suspend")
def suspend(
    agreement_id: AgreementId, reason: Reason, home: Home = None, as_json: Json = False
) -> None:
    """Refuse every call under an agreement within a second, on every worker.

    It stays suspended, whatever is applied, until `concordat agreement resume`. On record in the
    audit log before it is in force. Exit 1 if a worker does not take it up.
    """
    from gateway.cli.stopping import stop_now
    from gateway.registry.store import StopKind

    effect = stop_now(settings_of(home), StopKind.AGREEMENT, agreement_id, reason)
    show_effect(effect, as_json=as_json)


@agreement.command("resume")
def resume(
    agreement_id: AgreementId, reason: Reason, home: Home = None, as_json: Json = False
) -> None:
    """Let an agreement that was suspended here apply again, as its document says."""
    from gateway.cli.stopping import resume_now
    from gateway.registry.store import StopKind

    effect = resume_now(settings_of(home), StopKind.AGREEMENT, agreement_id, reason)
    show_effect(effect, as_json=as_json)
