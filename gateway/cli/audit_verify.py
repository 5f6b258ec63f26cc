"""`concordat audit verify|fsck`: the log checked against its tree and its signed heads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, Stop, amount, line, show_json
from gateway.cli.progress import progress

if TYPE_CHECKING:
    from gateway.audit.place import Place
    from gateway.audit.verify import Report

verification = typer.Typer(invoke_without_command=True)

LogFile = Annotated[
    Path | None,
    typer.Option(
        "--log",
        metavar="FILE",
        help="Log file to verify, or a shard of the home by the name that `audit shard list` "
        "tells. Default: the newest of the home.",
        show_default=False,
    ),
]
Vkey = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="Public key that the checkpoints must be signed with, as the publisher gave it "
        "to you. Default: the home's own key.",
        show_default=False,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1, max=256, help="Processes to use. Default: one per core.", show_default=False
    ),
]


@verification.callback()
def verify(
    context: typer.Context,
    *,
    log: LogFile = None,
    vkey: Vkey = None,
    open_sections: Annotated[
        bool,
        typer.Option(
            "--open",
            help="Also open every sealed section with the home's keys, and check it. Takes about "
            "eight times as long; without it sealed sections are counted, not looked into.",
        ),
    ] = False,
    jobs: Jobs = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Recompute the whole log and compare it with every signed checkpoint, or check one thing.

    Exit 0 where everything holds, 1 where something differs (with the index of the record), 2
    where it cannot be told. Works while the gateway runs, and changes nothing.
    """
    if context.invoked_subcommand is None:
        _verify(log, vkey, home, open_sections=open_sections, jobs=jobs, as_json=as_json)


def fsck(
    *,
    log: LogFile = None,
    vkey: Vkey = None,
    jobs: Jobs = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Check everything that the log's database holds: `audit verify --open`, and the file itself.

    Every record, every sealed section that has its key, tiles, checkpoints, the sealed head, and
    the structure of the file. Exit codes are those of `audit verify`.
    """
    _verify(log, vkey, home, open_sections=True, jobs=jobs, as_json=as_json, structure=True)


def _verify(
    log: Path | None,
    vkey: str | None,
    home: Path | None,
    *,
    open_sections: bool,
    jobs: int | None,
    as_json: bool,
    structure: bool = False,
) -> None:
    from gateway.audit.reading.reader import CannotTell
    from gateway.audit.store import LogUnavailable
    from gateway.cli.audit_log import verify_file

    chosen = _shard_named(log, home) if log is not None and not log.is_file() else log
    needs_home = not isinstance(chosen, Path) or vkey is None or open_sections
    settings = settings_of(home) if needs_home else None
    try:
        with progress("Verifying", enabled=not as_json) as told:
            report = verify_file(
                settings,
                chosen,
                vkey,
                told,
                open_sections=open_sections,
                jobs=jobs or len(os.sched_getaffinity(0)),
                structure=structure,
            )
    except CannotTell as failure:
        raise Stop(str(failure), mend="concordat doctor, then try again") from None
    except (LogUnavailable, ValueError) as failure:
        raise Stop(str(failure), mend="give the log with --log FILE, or its --home") from None
    _show(report, as_json=as_json)
    raise typer.Exit(Exit.OK if report.ok else Exit.FAILED)


def _shard_named(log: Path, home: Path | None) -> Place:
    """Return the home's shard of a name; raises Stop where it has none, or it is a whole path."""
    from gateway.audit.reading.reader import find_shards
    from gateway.audit.store import LogUnavailable
    from gateway.data_plane import log_home

    try:
        shards = find_shards(log_home(settings_of(home))) if log.name == str(log) else []
    except LogUnavailable as failure:
        raise Stop(str(failure), mend="give the log's file: --log FILE") from None
    for shard in shards:
        if shard.name == log.name:
            return shard
    raise Stop(f"there is no audit log at {log}", mend="give the log's file: --log FILE")


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "ok": report.ok,
                "size": report.size,
                "root": report.root.hex(),
                "signed_size": report.signed_size,
                "checkpoints": report.checkpoints,
                "sections": {
                    "opened": report.opened,
                    "erased": report.erased,
                    "unopened": report.unopened,
                },
                "erased_from": [
                    {"index": index, "section": name} for index, name in report.erased_from
                ],
                "faults": [{"index": fault.at, "what": fault.what} for fault in report.faults],
                "faults_in_all": report.faults_in_all,
            }
        )
        return
    for fault in report.faults:
        line(f"index {fault.at}: {fault.what}")
    for index, name in report.erased_from:
        line(f"{name} erased at index {index}")
    if report.erased > len(report.erased_from):
        line(f"and {amount(report.erased - len(report.erased_from), 'section')} more")
    line(f"{amount(report.size, 'record')}, root {report.root.hex()}")
    line(f"signed up to {report.signed_size} by {amount(report.checkpoints, 'checkpoint')}")
    line(
        f"sealed sections: {report.opened} opened, {report.erased} erased,"
        f" {report.unopened} not opened" + (" (--open opens them)" if report.unopened else "")
    )
    line("verified" if report.ok else f"NOT VERIFIED: {amount(report.faults_in_all, 'fault')}")
