"""`concordat audit`: searches, shows, proves and verifies the audit log of a home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.audit_count import count, reach
from gateway.cli.audit_due import due
from gateway.cli.audit_erase import erase
from gateway.cli.audit_filters import Filtered, filtered
from gateway.cli.audit_hold import hold
from gateway.cli.audit_member import member
from gateway.cli.audit_note import note
from gateway.cli.audit_outages import outages
from gateway.cli.audit_postgres import fence, prepare
from gateway.cli.audit_prove import add_proving, add_verifying
from gateway.cli.audit_register import register
from gateway.cli.audit_reindex import reindex
from gateway.cli.audit_replay import replay
from gateway.cli.audit_shard import shard
from gateway.cli.audit_watch import watch
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, Stop, line, show, show_json, tell

if TYPE_CHECKING:
    from gateway.audit.verify import Progress, Report


audit = typer.Typer(no_args_is_help=True, help="Search, show, prove and verify the audit log.")
verification = typer.Typer(invoke_without_command=True)
audit.add_typer(verification, name="verify")
add_proving(audit)
add_verifying(verification)
audit.add_typer(shard, name="shard")

audit.command("count")(count)
audit.command("reach")(reach)
audit.command("member")(member)
audit.command("due")(due)
audit.command("register")(register)
audit.command("watch")(watch)
audit.command("outages")(outages)
audit.command("reindex")(reindex)
audit.command("erase")(erase)
audit.add_typer(hold, name="hold")
audit.command("replay")(replay)
audit.command("prepare")(prepare)
audit.command("fence")(fence)
audit.add_typer(note, name="note")

Use = Annotated[
    str,
    typer.Option(
        "--use",
        help="What you read the log for; kept in the log: verify_lawfulness, self_monitoring, "
        "integrity_and_security or criminal_proceedings (DPA 2018 s.62(4)).",
    ),
]


@audit.command("search")
@filtered
def search(
    *,
    filters: Filtered,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Exchanges at most.")] = 20,
    cursor: Annotated[
        int | None,
        typer.Option(min=0, max=1 << 62, help="Go on behind an earlier page.", show_default=False),
    ] = None,
    use: Use = "self_monitoring",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List exchanges, newest first. That you looked is recorded in the log before you see it.

    A list holds no personal data: `audit show` opens one exchange.
    """
    from gateway.cli.audit_log import find_exchanges

    page = find_exchanges(settings_of(home), filters, limit=limit, use=use, cursor=cursor)
    mark = {"next_index": page.watermark.next_index, "at": page.watermark.at_us}
    if as_json:
        show_json({"exchanges": list(page.items), "cursor": page.cursor, "indexed": mark})
        return
    from gateway.cli.audit_table import exchanges_table, instant

    show(exchanges_table(page.items))
    tell(f"Indexed: {page.watermark.next_index} records, to {instant(page.watermark.at_us)}.")
    if page.cursor is not None:
        tell(f"There may be more: --cursor {page.cursor}")


@audit.command("show")
def show_exchange(
    exchange_id: Annotated[
        str, typer.Argument(metavar="EXCHANGE_ID", help="As in the Exchange-Id of the answer.")
    ],
    use: Use = "self_monitoring",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show one exchange with all of its records. That you looked is recorded first.

    A record that belongs to no exchange is shown by its own id.
    """
    from gateway.cli.audit_log import show_one

    view = show_one(settings_of(home), exchange_id, use=use)
    if as_json:
        show_json(view)
        return
    from gateway.cli.audit_table import exchange_table

    show(exchange_table(view))


@verification.callback()
def verify(
    context: typer.Context,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log",
            metavar="FILE",
            help="Log file to verify. Default: the newest of the home; the others are told "
            "by `audit shard list`.",
            show_default=False,
        ),
    ] = None,
    vkey: Annotated[
        str | None,
        typer.Option(
            help="Public key that the checkpoints must be signed with, as the publisher gave it "
            "to you. Default: the home's own key.",
            show_default=False,
        ),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Recompute the whole log and compare it with every signed checkpoint, or check one thing.

    Exit 0 where everything holds, 1 where something differs (with the index of the record), 2
    where it cannot be told. Works while the gateway runs, and changes nothing.
    """
    from gateway.audit.store import LogUnavailable
    from gateway.cli.audit_log import verify_file

    if context.invoked_subcommand is not None:
        return
    if log is not None and not log.is_file():
        raise Stop(f"there is no audit log at {log}", mend="give the log's file: --log FILE")
    settings = None if log is not None and vkey is not None else settings_of(home)
    try:
        with _progress(enabled=not as_json) as progress:
            report = verify_file(settings, log, vkey, progress)
    except (LogUnavailable, ValueError) as failure:
        raise Stop(str(failure), mend="give the log with --log FILE, or its --home") from None
    _report(report, as_json=as_json)
    raise typer.Exit(Exit.OK if report.ok else Exit.FAILED)


def _report(report: Report, *, as_json: bool) -> None:
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
                "faults": [{"index": fault.at, "what": fault.what} for fault in report.faults],
                "faults_in_all": report.faults_in_all,
            }
        )
        return
    for fault in report.faults:
        line(f"index {fault.at}: {fault.what}")
    line(f"{report.size} records, root {report.root.hex()}")
    line(f"signed up to {report.signed_size} by {report.checkpoints} checkpoints")
    line("verified" if report.ok else f"NOT VERIFIED: {report.faults_in_all} faults")


class _progress:  # noqa: N801 - it reads as a statement: with _progress()
    """A progress bar on standard error, on a terminal only."""

    def __init__(self, *, enabled: bool) -> None:
        from gateway.cli.output import console

        self._console = console(errors=True)
        self._enabled = enabled and self._console.is_terminal

    def __enter__(self) -> Progress | None:
        if not self._enabled:
            return None
        from rich.progress import Progress as Bar

        self._bar = Bar(console=self._console, transient=True)
        task = self._bar.add_task("Verifying", total=None)
        self._bar.start()
        return lambda done, total: self._bar.update(task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        if self._enabled:
            self._bar.stop()
