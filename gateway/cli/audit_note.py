"""`concordat audit note`: writes down what people did about exchanges and agreements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from gateway.cli.audit_options import identifier, microseconds
from gateway.cli.options import Home, settings_of
from gateway.cli.output import Exit, Stop, line

if TYPE_CHECKING:
    from enum import StrEnum

    from gateway.audit.search.notes import Note
    from gateway.settings import Settings

note = typer.Typer(
    no_args_is_help=True,
    help="Write down a review, an acknowledgement, a breach or a disposal, on record for ever.",
)

Text = Annotated[str, typer.Option("--text", help="Words for the record; kept sealed.")]
Exchange = Annotated[
    str, typer.Argument(metavar="EXCHANGE_ID", help="As in the Exchange-Id of an answer.")
]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="Day or instant at which it happened. Default: now.",
        show_default=False,
    ),
]
E = TypeVar("E", bound="StrEnum")


@note.command("review")
def review(
    exchange_id: Exchange,
    outcome: Annotated[
        str, typer.Option("--outcome", help="justified, not_justified or follow_up.")
    ],
    text: Text = "",
    home: Home = None,
) -> None:
    """Write down that a use of urgent access was reviewed."""
    from gateway.audit.search.notes import Review, ReviewOutcome

    settings = settings_of(home)
    exchange = _exchange(settings, exchange_id, urgent=True)
    found = _one_of(ReviewOutcome, outcome)
    _write(settings, Review(exchange=exchange, outcome=found, text=text))


@note.command("acknowledge")
def acknowledge(
    exchange_id: Exchange,
    outcome: Annotated[str, typer.Option("--outcome", help="accepted or rejected.")],
    text: Text = "",
    home: Home = None,
) -> None:
    """Write down that the data owner acknowledged the feedback of an exchange."""
    from gateway.audit.search.notes import Acknowledgement, AcknowledgementOutcome

    settings = settings_of(home)
    exchange = _exchange(settings, exchange_id, urgent=False)
    found = _one_of(AcknowledgementOutcome, outcome)
    _write(settings, Acknowledgement(exchange=exchange, outcome=found, text=text))


@note.command("incident")
def incident(
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="Yours: INC-2026-001.")],
    step: Annotated[
        str,
        typer.Option(
            help="aware, contained, reported, not_reportable, people_told or closed. The 72 hours "
            "of Art 33 run from aware."
        ),
    ],
    *,
    exchange: Annotated[
        list[str] | None, typer.Option("--exchange", help="An exchange it is about; repeat.")
    ] = None,
    at: At = None,
    text: Text = "",
    home: Home = None,
) -> None:
    """Write down a step in the handling of a breach."""
    from gateway.audit.search.notes import Incident, IncidentStep
    from gateway.clock import system_time_us

    settings = settings_of(home)
    exchanges = tuple(_exchange(settings, one, urgent=False) for one in exchange or ())
    _write(
        settings,
        Incident(
            reference=reference,
            step=_one_of(IncidentStep, step),
            at_us=system_time_us() if at is None else microseconds(at),
            exchanges=exchanges,
            text=text,
        ),
    )


@note.command("disposal")
def disposal(
    agreement: Annotated[str, typer.Argument(metavar="AGREEMENT")],
    certificate: Annotated[str, typer.Option(help="Reference of the consumer's certificate.")],
    at: At = None,
    text: Text = "",
    home: Home = None,
) -> None:
    """Write down that the consumer certified the disposal of what it had under an agreement."""
    from gateway.audit.search.notes import Disposal
    from gateway.cli.agreements import shown
    from gateway.clock import system_time_us

    settings = settings_of(home)
    shown(settings, agreement)
    at_us = system_time_us() if at is None else microseconds(at)
    _write(
        settings,
        Disposal(agreement=agreement, certificate=certificate, at_us=at_us, text=text),
    )


def _exchange(settings: Settings, exchange_id: str, *, urgent: bool) -> bytes:
    """Return the exchange of an id that is in the log; raises Stop for any other."""
    from gateway.audit.search.query import show
    from gateway.cli.audit_log import log_of

    exchange = identifier(exchange_id)
    view = show(log_of(settings), exchange)
    if view is None or view.get("exchange_id") is None:
        raise Stop(f"{exchange_id} is not in the log", mend="concordat audit due", code=Exit.FAILED)
    if urgent and view.get("break_glass") is not True:
        mend = "concordat audit due --what reviews"
        raise Stop(f"{exchange_id} is no use of urgent access", mend=mend, code=Exit.FAILED)
    return exchange


def _one_of(kind: type[E], text: str) -> E:
    try:
        return kind(text)
    except ValueError:
        raise Stop(f"{text} is none of them", mend=" | ".join(kind)) from None


def _write(settings: Settings, made: Note) -> None:
    from gateway.audit.search.notes import NoteInvalid, note_record
    from gateway.audit.store import LogUnavailable
    from gateway.cli.audit_log import console_reader, record_now
    from gateway.clock import uuid_text

    try:
        record = note_record(console_reader(), made)
    except NoteInvalid as invalid:
        raise Stop(str(invalid), mend="concordat audit note --help") from None
    try:
        record_now(settings, record)
    except LogUnavailable as failure:
        raise Stop(f"the note is not recorded: {failure}", mend="concordat doctor") from None
    line(f"{made.kind.value} recorded as {uuid_text(record.record_id)}")
