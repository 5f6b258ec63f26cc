"""`concordat audit erase`: makes personal sections unreadable for ever; every proof stays valid."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, Stop, amount, line, show_json, tell

if TYPE_CHECKING:
    from gateway.audit.privacy.erasable import Tally

Person = Annotated[
    str | None,
    typer.Option(
        "--person",
        metavar="TYPE:VALUE",
        help="Such as nhs_number:9990000018; - reads it from standard input, so that no shell "
        "keeps it.",
    ),
]
ExchangeId = Annotated[
    str | None, typer.Option("--exchange", metavar="ID", help="As in the Exchange-Id of an answer.")
]
Reason = Annotated[
    str,
    typer.Option("--reason", metavar="CODE", help="A code such as RIGHT_TO_ERASURE; kept clear."),
]
Authority = Annotated[
    str,
    typer.Option("--authority", metavar="TEXT", help="Who decided it, and where; kept sealed."),
]


def erase(
    *,
    person: Person = None,
    exchange: ExchangeId = None,
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="DATE", help="All records older than midnight UTC."),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Sections to erase: actor, net, payload or subject. May be repeated. Default: "
            "payload and subject of a person, all of an exchange.",
        ),
    ] = None,
    reason: Reason,
    authority: Authority,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be erased, and erase nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Erase personal sections for ever, by overwriting their keys. Every proof stays valid.

    Records on legal hold are left, and counted. The log says what was erased, why, and no name.
    Exit 1 where something of it had to be left because it cannot be read.
    """
    from gateway.cli.erasing import erase_now, read_reason, read_selection, would_erase

    settings = settings_of(home)
    selection = read_selection(
        person=person, exchange=exchange, before=before, classes=classes or []
    )
    code = read_reason(reason)
    if dry_run or not yes:
        tally = would_erase(settings, selection)
        if dry_run:
            _tell(tally, done=False, as_json=as_json)
            return
        _ask(tally)
    tally, scrubbed = erase_now(settings, selection, reason=code, authority=authority)
    _tell(tally, done=True, as_json=as_json)
    if settings.audit_url is not None:
        tell("PostgreSQL keeps old rows for a while: docs/privacy-of-the-log.md says how long.")
    if not scrubbed:
        raise Stop(
            "the old keys still lie in the write-ahead log: somebody has been reading the log",
            mend="run the same command once the reader has ended; it finds nothing and cleans up",
            code=Exit.FAILED,
        )
    if tally.unreadable:
        raise Stop(
            f"not all of it could be erased: {amount(tally.unreadable, 'record')} cannot be read",
            mend="concordat audit fsck, and concordat doctor, tell why; then run the command again",
            code=Exit.FAILED,
        )


def _ask(tally: Tally) -> None:
    if not sys.stdin.isatty():
        raise Stop("nobody can be asked here", mend="look first with --dry-run, then add --yes")
    for sentence in _sentences(tally, done=False):
        tell(sentence)
    if not typer.confirm("Erase them for ever?", err=True):
        raise Stop("nothing was erased", code=Exit.FAILED)


def _tell(tally: Tally, *, done: bool, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "erased": done,
                "records": tally.records,
                "sections": dict(sorted(tally.sections.items())),
                "naming_others_too": tally.shared,
                "held": {by.value: count for by, count in tally.held.items()},
                "unreadable": tally.unreadable,
            }
        )
        return
    for sentence in _sentences(tally, done=done):
        line(sentence)


def _sentences(tally: Tally, *, done: bool) -> list[str]:
    told = [f"{'Erased' if done else 'Would erase'} sections of {amount(tally.records, 'record')}."]
    told += [f"  {name:8} {count}" for name, count in sorted(tally.sections.items())]
    if tally.shared:
        told.append(f"Naming other people too, who go with the section: {tally.shared}.")
    told += [f"Left: {amount(count, 'record')}, {by}." for by, count in tally.held.items()]
    if tally.unreadable:
        unreadable = amount(tally.unreadable, "record")
        told.append(f"Left: {unreadable} that cannot be read, and may be meant or not.")
    return told
