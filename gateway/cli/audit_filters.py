"""Options that say which exchanges are meant: the same for every command that searches the log."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Final, NamedTuple, get_type_hints

import typer

from gateway.cli.audit_options import FROM, UNTIL, microseconds, person_typed

Filtered = dict[str, Any]
"""Filters by name, as `gateway.audit.search.query.Filters` has them; None where not given."""

_TIMES: Final = ("from_us", "until_us")


class _Option(NamedTuple):
    filter: str
    flag: str
    kind: type
    help: str


_OPTIONS: Final = (
    _Option("from_us", "--from", str, FROM),
    _Option("until_us", "--until", str, UNTIL),
    _Option("organisation", "--organisation", str, "Consumer or provider: gss:E06999001."),
    _Option("client", "--client", str, "OAuth client."),
    _Option("agreement", "--agreement", str, "Agreement id."),
    _Option("version", "--version", str, "Version of the agreement."),
    _Option("digest", "--digest", str, "Digest of the agreement's text."),
    _Option("rule", "--rule", str, "Rule of the agreement."),
    _Option("instrument", "--instrument", str, "Legal instrument, with or without @version."),
    _Option("purpose", "--purpose", str, "Purpose code."),
    _Option("decision", "--decision", str, "permit, permit_break_glass or deny."),
    _Option("reason", "--reason", str, "Reason code, such as PURPOSE_NOT_PERMITTED."),
    _Option("status", "--status", int, "HTTP status."),
    _Option("service", "--service", str, "Connector of the service."),
    _Option("operation", "--operation", str, "Method and route: 'GET /spl/v1/people/{id}'."),
    _Option(
        "person",
        "--person",
        str,
        "Somebody it was about, as type:value; - reads it from standard input, so that no shell "
        "keeps it. Only a tag of it is looked for and recorded.",
    ),
    _Option("case", "--case", str, "Case, decision or operation reference of the caller."),
    _Option("trace", "--trace", str, "Trace id."),
    _Option("break_glass", "--break-glass", bool, "Only urgent access."),
    _Option("alert", "--alert", bool, "Only what somebody must look at."),
    _Option("consumer", "--consumer", str, "Consuming organisation."),
    _Option("provider", "--provider", str, "Providing organisation."),
    _Option("actor", "--actor", str, "User: the token's subject, or who read the log."),
    _Option("source", "--source", str, "Source address."),
    _Option("token", "--token", str, "Token identifier (jti)."),
    _Option("dataset", "--dataset", str, "Dataset."),
    _Option("action", "--action", str, "What was done, such as disclosure."),
    _Option("exemption", "--exemption", str, "Exemption that the agreement relies on."),
    _Option("subject_view", "--subject-view", str, "visible or hidden to the person."),
    _Option("opt_out", "--opt-out", str, "Whether national data opt-outs apply: true or false."),
    _Option("instrument_ended", "--instrument-ended", bool, "Only on law that had ended."),
    _Option("leak", "--leak", bool, "Only where a source sent what no rule allows."),
    _Option("end_unproved", "--end-unproved", bool, "Only where the service's answer may be cut."),
    _Option("problem", "--problem", str, "Problem code of the answer."),
    _Option("ended", "--ended", str, "Kind of the last record, such as exchange.indeterminate."),
    _Option("document", "--document", str, "Changed document: 'agreement DSA-2026-0002'."),
    _Option("note", "--note", str, "Notes of one kind, such as review (with --kind)."),
    _Option("about", "--about", str, "Notes about an exchange (with --kind)."),
    _Option(
        "kind",
        "--kind",
        str,
        "Records of one kind, such as traffic.refused, admin.change or log.access. Default: "
        "exchanges and refusals.",
    ),
)


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for every filter; it takes them as its argument `filters`."""
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "filters"
    ]
    options = [_parameter(option) for option in _OPTIONS]

    @wraps(command)
    def called(**arguments: Any) -> None:
        filters = {option.filter: arguments.pop(option.filter) for option in _OPTIONS}
        command(**arguments, filters=_read(filters))

    shown = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *options)
    ]
    called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]  # functions may carry one
    called.__annotations__ = {one.name: one.annotation for one in shown}
    return called


def _parameter(option: _Option) -> inspect.Parameter:
    least, most = (100, 599) if option.filter == "status" else (None, None)
    metavar = "TIME" if option.filter in _TIMES else None
    shown = typer.Option(
        option.flag, metavar=metavar, help=option.help, show_default=False, min=least, max=most
    )
    return inspect.Parameter(
        option.filter,
        inspect.Parameter.KEYWORD_ONLY,
        default=False if option.kind is bool else None,
        annotation=Annotated[bool if option.kind is bool else option.kind | None, shown],
    )


def _read(filters: Filtered) -> Filtered:
    for name in _TIMES:
        if filters[name] is not None:
            filters[name] = microseconds(filters[name])
    if filters["person"] is not None:
        filters["person"] = person_typed(filters["person"])
    return {name: None if value is False else value for name, value in filters.items()}
