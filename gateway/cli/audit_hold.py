"""`concordat audit hold`: legal holds, which no erasure and no retention touches."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.audit_erase import Authority, ExchangeId, Person, Reason
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import line, show_json

hold = typer.Typer(
    no_args_is_help=True, help="Legal holds: what must neither be erased nor expire."
)


@hold.command("add")
def add(
    *,
    exchange: ExchangeId = None,
    agreement: Annotated[
        str | None, typer.Option("--agreement", metavar="ID", help="All records under it.")
    ] = None,
    person: Person = None,
    reason: Reason,
    authority: Authority,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Put an exchange, an agreement or a person on legal hold. It is on record, and holds at once.

    An agreement whose own text has a `retention.legal_hold` is on hold without this.
    """
    from gateway.cli.erasing import add_hold, hold_data, read_reason, read_target

    target = read_target(person=person, exchange=exchange, agreement=agreement)
    added = add_hold(settings_of(home), target, reason=read_reason(reason), authority=authority)
    if as_json:
        show_json(hold_data(added))
        return
    line(f"On hold: {added.kind}. To end it: concordat audit hold release {hold_data(added)['id']}")


@hold.command("list")
def list_all(home: Home = None, as_json: Json = False) -> None:
    """List the legal holds. That you looked is recorded in the log before you see them."""
    from gateway.cli.audit_table import instant
    from gateway.cli.erasing import hold_data, list_holds

    held = [hold_data(one) for one in list_holds(settings_of(home))]
    if as_json:
        show_json({"holds": held})
        return
    for one in held:
        since = instant(one["since_us"])
        line(f"{one['id']}  {since}  {one['kind']:10}{one['target']}  {one['reason']}")
    if not held:
        line("Nothing is on legal hold.")


@hold.command("release")
def release(
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", help="As in the list.")],
    *,
    reason: Reason,
    authority: Authority,
    home: Home = None,
) -> None:
    """End a legal hold. Retention goes on where it was; what is long due may expire today."""
    from gateway.cli.erasing import read_reason, release_hold

    ended = release_hold(
        settings_of(home), hold_id, reason=read_reason(reason), authority=authority
    )
    line(f"No longer on hold: {ended.kind}. On record: concordat audit search --kind admin.change")
