"""`concordat audit retention` and `audit keys`: what is kept until when, and what opens it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.audit_erase import Authority, Reason
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Stop, amount, line, show_json

retention = typer.Typer(no_args_is_help=True, help="How long the log keeps what names people.")
keys = typer.Typer(no_args_is_help=True, help="The keys of what names people; none is shown.")


@retention.command("show")
def show_retention(home: Home = None, as_json: Json = False) -> None:
    """Tell how long each class of section is kept. The gateway erases what is due once a day."""
    from gateway.cli.keeping import retention_of

    kept = retention_of(settings_of(home))
    if as_json:
        show_json(kept)
        return
    line("class     kept for, where no agreement says it")
    for name, period in kept["classes"].items():
        line(f"{name:10}{period or 'as long as the log: it names no person'}")
    line()
    line("agreement            personal sections   addresses at most")
    for one in kept["agreements"]:
        held = "  ON LEGAL HOLD" if one["on_hold"] else ""
        line(f"{one['agreement']:21}{one['kept_for']:20}{one['net']}{held}")
    line()
    oldest = f", the oldest {kept['oldest_day']}" if kept["oldest_day"] else ""
    line(f"days that can be opened: {kept['days_with_keys']}{oldest}")


@keys.command("list")
def list_keys(home: Home = None, as_json: Json = False) -> None:
    """List the days whose sections can be opened, and the years whose people can be found."""
    from gateway.cli.keeping import keys_of

    found = keys_of(settings_of(home))
    if as_json:
        show_json(found)
        return
    days = found["days"]
    line(f"days that can be opened: {len(days)}{f', from {days[0]} to {days[-1]}' if days else ''}")
    line(f"years in which people can be found: {', '.join(map(str, found['years'])) or 'none'}")


@keys.command("wrap")
def wrap(
    program: Annotated[
        Path,
        typer.Argument(
            metavar="PROGRAM",
            exists=True,
            dir_okay=False,
            help="Called as PROGRAM wrap|unwrap NAME; docs/privacy-of-the-log.md has an example.",
        ),
    ],
    home: Home = None,
) -> None:
    """Have a program wrap the day keys from now on, by a KMS, an HSM or a vault.

    It is tried with a key of no worth first. End the gateway before, and start it afterwards.
    """
    from gateway.cli.keeping import wrap_keys

    count = wrap_keys(settings_of(home), program)
    line(f"{amount(count, 'day key')} wrapped by {program.name}, as every one to come will be.")


@keys.command("destroy-year")
def destroy(
    year: Annotated[int, typer.Argument(metavar="YEAR", help="A past year, such as 2024.")],
    *,
    reason: Reason,
    authority: Authority,
    yes: Annotated[bool, typer.Option("--yes", help="I mean it: nothing brings it back.")] = False,
    home: Home = None,
) -> None:
    """Destroy the key by which people of a past year are found: the year is unlinked for ever.

    The gateway does it by itself once nothing of the year can be opened any more.
    """
    from gateway.cli.erasing import read_reason
    from gateway.cli.keeping import destroy_year

    settings, code = settings_of(home), read_reason(reason)
    if not yes:
        raise Stop("a key that is destroyed cannot be made again", mend="add --yes")
    destroy_year(settings, year, reason=code, authority=authority)
    line(f"Nobody of {year} can be found by a search any more. It is on record.")
