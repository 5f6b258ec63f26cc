"""`concordat audit shard`: lists the shards of the log, ends one and begins the next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, Stop, amount, line, show_json

if TYPE_CHECKING:
    from gateway.audit.lifecycle.shards import Retired, Shard

shard = typer.Typer(no_args_is_help=True, help="List the log's shards, or begin a new one.")


@shard.command("list")
def list_shards(home: Home = None, as_json: Json = False) -> None:
    """List the shards of the log, the oldest first; records are added to the last one.

    Exit 1 where a shard is frozen.
    """
    from gateway.audit.freeze import frozen_reason
    from gateway.audit.lifecycle import shards
    from gateway.audit.store import LogUnavailable
    from gateway.data_plane import log_home

    settings = settings_of(home)
    try:
        found = shards.list_shards(log_home(settings))
    except LogUnavailable as failure:
        raise Stop(str(failure), mend=f"concordat doctor --home {settings.home}") from None
    frozen = frozen_reason(settings.audit_directory)
    if as_json:
        show_json({"shards": [_as_data(one) for one in found], "frozen": frozen})
    else:
        for one in found:
            began = datetime.fromtimestamp(one.began_us / 1_000_000, UTC)
            still_open = amount(one.open_exchanges, "exchange")
            line(
                f"{one.path.name:20}{one.state:8}{amount(one.records, 'record')}, "
                f"{one.signed} signed, {still_open} open, begun {began:%Y-%m-%d}"
            )
        if frozen is not None:
            line(f"frozen: {frozen}")
    if frozen is not None or any(one.state == "frozen" for one in found):
        raise typer.Exit(Exit.FAILED)


@shard.command("retire")
def retire(
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept in the log for ever.")],
    without_holds: Annotated[
        bool,
        typer.Option(
            "--without-holds",
            help="Go on even where a frozen shard's legal holds cannot be read.",
        ),
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """End the present shard of the log and begin the next, with the gateway stopped.

    The shard gets a last record and a last checkpoint, which the next one's first record carries.
    A frozen log, whose contradiction cannot be mended, is left as it is, and what was wrong with
    it is on record in the next shard. Exchanges that dead processes left open are closed first.
    In PostgreSQL the gateways of all hosts must be stopped, and the URL's role makes the schema.
    """
    import asyncio

    from gateway.audit.keys.log_keys import LogKeys
    from gateway.audit.lifecycle import shards
    from gateway.audit.store import LogUnavailable
    from gateway.cli.audit_log import console_reader
    from gateway.data_plane import log_home, log_host

    settings, reader = settings_of(home), console_reader()
    if not reason.strip():
        raise Stop("a reason is needed", mend="--reason TEXT")
    try:
        retired = asyncio.run(
            shards.retire(
                log_home(settings),
                host=log_host(settings),
                keys=LogKeys(settings.keys_directory),
                reason=reason.strip(),
                actor={"principal": reader.principal, "via": reader.via.value},
                without_holds=without_holds,
            )
        )
    except shards.ShardBusy as busy:
        mend = "stop the gateway, and try again"
        raise Stop(str(busy), mend=mend, code=Exit.FAILED) from None
    except shards.HoldsLost as lost:
        mend = "restore them, or --without-holds and add each anew: concordat audit hold add"
        raise Stop(str(lost), mend=mend, code=Exit.FAILED) from None
    except LogUnavailable as failure:
        raise Stop(str(failure), mend=f"concordat doctor --home {settings.home}") from None
    except OSError as refused:
        mend = "mend the disk, and give the command again: it goes on where it ended"
        raise Stop(f"the disk of the log refuses: {refused.strerror}", mend=mend) from None
    if as_json:
        show_json(_as_told(retired))
    else:
        _tell(retired)


def _as_told(retired: Retired) -> dict[str, object]:
    return {
        "ended": retired.origin,
        "size": retired.head.size if retired.head else None,
        "root": retired.head.root.hex() if retired.head else None,
        "contradiction": retired.contradiction,
        "lost": list(retired.lost),
        "begun": retired.next_origin,
    }


def _tell(retired: Retired) -> None:
    signed = f"signed at size {retired.head.size}" if retired.head else "no head of it is known"
    line(f"ended {retired.origin}: {signed}")
    if retired.contradiction is not None:
        line(f"it could not be sealed: {retired.contradiction}")
    if retired.lost:
        line(f"of its state this is lost: {', '.join(retired.lost)}")
    line(f"begun {retired.next_origin}")


def _as_data(one: Shard) -> dict[str, object]:
    return {
        "origin": one.origin,
        "file": one.path.name,
        "state": one.state,
        "records": one.records,
        "signed": one.signed,
        "open_exchanges": one.open_exchanges,
        "began_us": one.began_us,
        "newest_us": one.newest_us,
    }
