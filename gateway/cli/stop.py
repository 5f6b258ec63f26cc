"""`concordat stop` and `concordat client`: what may not be used any more, from this second on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, Stop, line, show_json

if TYPE_CHECKING:
    from gateway.cli.stopping import Effect
    from gateway.registry.store import StopKind

stop = typer.Typer(
    no_args_is_help=True,
    help="Stop things at once: agreements, clients, issuers, services, peers, keys, tokens or "
    "grants.",
)
client = typer.Typer(no_args_is_help=True, help="Look after OAuth clients.")

Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept, sealed, in the audit log.")
]
KindName = Annotated[
    str,
    typer.Argument(
        metavar="KIND", help="agreement, client, issuer, service, peer, key (its kid), token "
        "(its jti) or grant (a user's urgent access; the grant of its records)."
    ),
]  # fmt: skip
Key = Annotated[str, typer.Argument(metavar="NAME", help="Which one: its id, as tokens name it.")]


@stop.command("list")
def list_stops(home: Home = None, as_json: Json = False) -> None:
    """List what is stopped, newest first, with the reason that was given."""
    from gateway.cli.audit_table import instant
    from gateway.cli.stopping import stops_of

    stops = stops_of(settings_of(home))
    if as_json:
        listed = [
            {
                "kind": one.kind.value,
                "key": one.key,
                "reason": one.reason,
                "by": one.by,
                "at_us": one.at_us,
            }
            for one in stops
        ]
        show_json({"stops": listed})
        return
    for one in stops:
        line(f"{instant(one.at_us)}  {one.kind:10}{one.key}  {one.reason}")
    if not stops:
        line("Nothing is stopped.")


@stop.command("add")
def add(
    kind: KindName, name: Key, reason: Reason, home: Home = None, as_json: Json = False
) -> None:
    """Stop something on every worker within a second, without touching the configuration.

    It stays stopped, whatever is applied, until `concordat stop remove`. On record in the audit
    log before it is in force. Clients, keys and tokens are stopped at every issuer that has one of
    that name. Exit 1 if a worker does not take it up.
    """
    from gateway.cli.stopping import stop_now

    show_effect(stop_now(settings_of(home), kind_named(kind), name, reason), as_json=as_json)


@stop.command("remove")
def remove(
    kind: KindName, name: Key, reason: Reason, home: Home = None, as_json: Json = False
) -> None:
    """End a stop; what was stopped can be used again within a second."""
    from gateway.cli.stopping import resume_now

    show_effect(resume_now(settings_of(home), kind_named(kind), name, reason), as_json=as_json)


@client.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(metavar="CLIENT", help="OAuth client id.")],
    reason: Reason,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Refuse every token of a client within a second: 401, as long as it is on the stop-list.

    Tell its issuer as well: the client goes on getting tokens there. To take it back:
    `concordat stop remove client CLIENT`.
    """
    from gateway.cli.stopping import stop_now
    from gateway.registry.store import StopKind

    show_effect(stop_now(settings_of(home), StopKind.CLIENT, name, reason), as_json=as_json)


def kind_named(name: str) -> StopKind:
    """Return the kind of thing that `name` names; raises Stop where there is none."""
    from gateway.registry.store import StopKind

    try:
        return StopKind(name)
    except ValueError:
        raise Stop(f"{name} is nothing to stop", mend=" | ".join(StopKind)) from None


def show_effect(effect: Effect, *, as_json: bool) -> None:
    """Show what was done and where it is in force; ends the command with 1 where it is not."""
    if as_json:
        show_json(effect.as_data())
    else:
        for sentence in effect.sentences():
            line(sentence)
    if effect.behind:
        pids = " ".join(map(str, effect.behind))
        mend = f"kill {pids}; the gateway starts new ones, which read the stop-list first"
        message = f"workers {pids} have not read the stop-list, and refuse everything until they do"
        raise Stop(message, mend=mend, code=Exit.FAILED)
