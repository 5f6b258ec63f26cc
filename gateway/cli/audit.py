"""`concordat audit`: searches, shows, proves and verifies the audit log of a home."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.audit_count import count, reach
from gateway.cli.audit_due import due
from gateway.cli.audit_erase import erase
from gateway.cli.audit_evidence import evidence
from gateway.cli.audit_export import export, verify_export
from gateway.cli.audit_filters import Filtered, filtered
from gateway.cli.audit_hold import hold
from gateway.cli.audit_keys import keys, retention
from gateway.cli.audit_member import member
from gateway.cli.audit_note import note
from gateway.cli.audit_options import Use
from gateway.cli.audit_outages import outages
from gateway.cli.audit_postgres import fence, prepare
from gateway.cli.audit_prove import add_proving, add_verifying
from gateway.cli.audit_register import register
from gateway.cli.audit_reindex import reindex
from gateway.cli.audit_replay import replay
from gateway.cli.audit_shard import shard
from gateway.cli.audit_verify import fsck, verification
from gateway.cli.audit_watch import watch
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import amount, show, show_json, tell

audit = typer.Typer(no_args_is_help=True, help="Search, show, prove and verify the audit log.")


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
    """List exchanges, newest first, of all shards. That you looked is recorded before you see it.

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
    indexed = amount(page.watermark.next_index, "record")
    tell(f"Indexed: {indexed}, to {instant(page.watermark.at_us)}.")
    if page.cursor is not None:
        tell(f"There may be more: --cursor {page.cursor}")


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


audit.command("search")(search)
audit.command("show")(show_exchange)
audit.command("count")(count)
audit.command("reach")(reach)
audit.command("member")(member)
audit.command("due")(due)
audit.command("register")(register)
audit.command("watch")(watch)
audit.command("outages")(outages)
audit.command("replay")(replay)
audit.command("export")(export)
audit.command("evidence")(evidence)
add_proving(audit)
audit.command("fsck")(fsck)
audit.command("reindex")(reindex)
audit.command("erase")(erase)
audit.command("prepare")(prepare)
audit.command("fence")(fence)

audit.add_typer(verification, name="verify")
verification.command("export")(verify_export)
add_verifying(verification)
audit.add_typer(note, name="note")
audit.add_typer(hold, name="hold")
audit.add_typer(retention, name="retention")
audit.add_typer(keys, name="keys")
audit.add_typer(shard, name="shard")
