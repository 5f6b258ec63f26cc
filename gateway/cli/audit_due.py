"""`concordat audit due`: what somebody still has to do, and what was done too late."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.audit_options import Use
from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Exit, Stop, line, show_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.audit.search.access import LogReader
    from gateway.audit.search.due import FeedbackRule
    from gateway.settings import Settings

_WHATS: Final = ("reviews", "feedback", "incidents", "disposals")
_ENDED: Final = frozenset({"expired", "terminated", "superseded", "archived"})


def due(
    *,
    what: Annotated[
        list[str] | None, typer.Option("--what", help=f"{', '.join(_WHATS)}; repeat. Default: all.")
    ] = None,
    use: Use = "self_monitoring",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List reviews of urgent access, feedback, breaches on the 72-hour clock, and disposals.

    Exit 1 where something is overdue. `audit note` writes down what was done.
    """
    from gateway.cli.audit_log import reading, recorded_search

    chosen = tuple(what or _WHATS)
    if set(chosen) - set(_WHATS):
        raise Stop(f"{' '.join(chosen)} is not what is due", mend=f"--what {' | '.join(_WHATS)}")
    settings = settings_of(home)
    reader, _ = recorded_search(settings, {}, use=use, verb="due")
    with reading():
        found = {name: list(_found(name, settings, reader)) for name in chosen}
    if as_json:
        show_json({**found})
    else:
        for name, items in found.items():
            for item in items:
                line(f"{item['state']:10}{name}: {_sentence(item)}")
        if not any(found.values()):
            line("Nothing is due.")
    if any(item["state"] == "overdue" for items in found.values() for item in items):
        raise typer.Exit(Exit.FAILED)


def _found(name: str, settings: Settings, reader: LogReader) -> Iterator[dict[str, Any]]:
    from gateway.audit.search.due import breaches, feedback, reviews
    from gateway.cli.audit_log import tell_shortened
    from gateway.clock import system_time_us

    log, now_us = reader.directory, system_time_us()
    keys, told = reader.keys, tell_shortened
    if name == "disposals":
        yield from _disposals(settings, reader)
    elif name == "incidents":
        yield from map(asdict, breaches(log, keys=keys, now_us=now_us, shortened=told))
    elif name == "feedback":
        rules = _feedback_rules(settings)
        yield from map(asdict, feedback(log, rules, keys=keys, now_us=now_us, shortened=told))
    else:
        yield from map(asdict, reviews(log, keys=keys, now_us=now_us, shortened=told))


def _agreements(settings: Settings) -> Mapping[str, Any]:
    from gateway.cli.configuration import open_registry
    from gateway.registry.documents import Kind
    from policies.document import read_agreement

    with open_registry(settings) as registry:
        newest = registry.newest(Kind.AGREEMENT)
    return {key: read_agreement(dict(state.document)) for key, state in newest.items()}


def _feedback_rules(settings: Settings) -> dict[str, FeedbackRule]:
    from gateway.audit.search.due import FeedbackRule

    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    found = {}
    for key, agreement in _agreements(settings).items():
        said = agreement.feedback
        if said and said.rule and said.owner_must_acknowledge_within:
            length = said.owner_must_acknowledge_within.after(epoch) - epoch
            within_us = int(length.total_seconds() * 1_000_000)
            found[key] = FeedbackRule(rule=said.rule, within_us=within_us)
    return found


def _disposals(settings: Settings, reader: LogReader) -> Iterator[dict[str, Any]]:
    """Yield what each consumer promised to do with the data, and its certificate if there is one.

    When a certificate is due is said in words in the agreement: people judge it once that ended.
    """
    from gateway.audit.search.due import State, disposals
    from gateway.cli.audit_log import tell_shortened
    from gateway.clock import SystemClock

    notes, now = (
        disposals(reader.directory, keys=reader.keys, shortened=tell_shortened),
        SystemClock().now(),
    )
    for key, agreement in _agreements(settings).items():
        promised, note = agreement.retention, notes.get(key)
        ended = agreement.status in _ENDED or (agreement.term.end or now) < now
        asked = promised.disposal_certificate_due is not None
        yield {
            "agreement": key,
            "keeps_for": promised.consumer_keeps_for,
            "disposal": promised.disposal,
            "certificate_due": promised.disposal_certificate_due,
            "ended": ended,
            "certificate": note.get("certificate") if note else None,
            "done_us": note.get("at") if note else None,
            "state": (State.DONE if note else State.OVERDUE if asked and ended else State.OPEN),
        }


def _sentence(item: Mapping[str, Any]) -> str:
    from gateway.cli.audit_table import fact, instant

    told = {name: fact(name, value) for name, value in item.items() if name != "state"}
    if "steps" in item:
        told["steps"] = ", ".join(f"{step} {instant(at_us)}" for step, at_us in item["steps"])
    return ", ".join(
        f"{name.removesuffix('_us').removesuffix('_id').replace('_', ' ')} {said}"
        for name, said in told.items()
        if said
    )
