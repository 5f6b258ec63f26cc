"""What the demo and the policy test show: a table for people, the same facts as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from gateway.demo.judge import AttemptResult, Observed, Result, Results, Standing
from gateway.demo.scenario import ScenarioCall

REPORT_COLUMNS: Final = 120
"""Width for which the table is laid out."""

_MARKS: Final[Mapping[Standing, tuple[str, str]]] = {
    Standing.PASSED: ("✓", "green"),
    Standing.FAILED: ("✗", "bold red"),
    Standing.LIVE_ONLY: ("·", "cyan"),
    Standing.NOT_YET: ("–", "yellow"),
}


def table_of(results: Results, *, title: str) -> Table:
    """Return the table: who and why, what was asked, expected and actual, what was withheld."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", width=1)
    table.add_column("Who, and for what purpose", max_width=26, overflow="fold")
    table.add_column("Request, fields withheld, exchange id", max_width=46, overflow="fold")
    table.add_column("Expected", max_width=17)
    table.add_column("Actual", max_width=17)
    for result in results.results:
        _add_row(table, result)
    for attempt in results.authoring:
        _add_attempt(table, attempt)
    return table


def difference_lines(results: Results) -> list[Text]:
    """Return one line for everything that is not as expected, with its call or attempt.

    What an agreement of the pack itself breaks comes after, and is no difference.
    """
    lines = [
        Text(f"✗ {result.call.id}, {result.call.title}: {difference}", style="red")
        for result in results.results
        for difference in result.differences
    ]
    for attempt in results.authoring:
        refusal = attempt.refusal
        if attempt.standing is Standing.FAILED:
            expected, got = refusal.error or "a refusal", ", ".join(attempt.codes) or "nothing"
            told = f"✗ {refusal.id}, {refusal.title}: error: expected {expected}, got {got}"
            lines.append(Text(told, style="red"))
    return lines + [Text(f"! {breach}", style="yellow") for breach in results.breaches]


def counts_line(results: Results) -> Text:
    """Return one line: how many passed, failed and are not there yet, and what is missing."""
    text = Text()
    for standing in Standing:
        if standing is Standing.LIVE_ONLY and not results.count(standing):
            continue
        if text:
            text.append(" · ")
        text.append(f"{results.count(standing)} {standing.value}", style=_MARKS[standing][1])
    missing = dict.fromkeys(one.missing for one in results.authoring if one.missing)
    if missing:
        text.append(f" ({', '.join(str(feature) for feature in missing)})")
    return text


def as_json(results: Results) -> dict[str, object]:
    """Return the results as plain JSON values."""
    return {
        "counts": {standing.name.lower(): results.count(standing) for standing in Standing},
        "calls": [_result_json(result) for result in results.results],
        "authoring": [
            {
                "id": one.refusal.id,
                "title": one.refusal.title,
                "standing": one.standing,
                "expected": one.refusal.error,
                "observed": list(one.codes),
                "missing": one.missing,
            }
            for one in results.authoring
        ],
        "breaches": list(results.breaches),
    }


def _add_attempt(table: Table, attempt: AttemptResult) -> None:
    refusal, style = attempt.refusal, _MARKS[attempt.standing][1]
    got = f"not yet: {attempt.missing}" if attempt.missing else _words(", ".join(attempt.codes))
    table.add_row(
        _mark(attempt.standing),
        "an author",
        f"{refusal.id}: {refusal.title}",
        _words(refusal.error or "refused"),
        Text(got or "accepted", style=style),
    )


def _add_row(table: Table, result: Result) -> None:
    call, seen = result.call, result.observed
    asked = Text(f"{call.id}  {call.title}\n", style="bold")
    asked.append(f"{call.method} {_with_query(call)}", style="not bold")
    if seen.fields_withheld:
        asked.append(
            f"\nwithheld: {', '.join(sorted(seen.fields_withheld))}", style="not bold italic"
        )
    if result.exchange_id:
        asked.append(f"\n{result.exchange_id}", style="not bold dim")
    table.add_row(
        _mark(result.standing),
        _who(call),
        asked,
        _verdict(call.expect.status, call.expect.reason),
        _actual(result),
    )


def _actual(result: Result) -> Text:
    seen = result.observed
    if result.standing is Standing.LIVE_ONLY:
        return Text("live only", style="cyan")
    if result.standing is Standing.FAILED and seen.status is None:
        return Text("not played", style=_MARKS[result.standing][1])
    if "status" in result.live_only:
        return Text(f"{seen.decision}, the rest live only", style="cyan")
    return Text(_verdict(seen.status, seen.reason), style=_MARKS[result.standing][1])


def _mark(standing: Standing) -> Text:
    sign, style = _MARKS[standing]
    return Text(sign, style=style)


def _who(call: ScenarioCall) -> Text:
    text = Text(call.token.client or "anyone, no token")
    text.append(f"\n{call.token.purpose or 'no purpose'}", style="dim")
    return text


def _with_query(call: ScenarioCall) -> str:
    query = "&".join(f"{name}={value}" for name, value in call.query)
    return f"{call.path}?{query}" if query else call.path


def _verdict(status: int | None, reason: str | None) -> str:
    return f"{status if status is not None else '–'} {_words(reason or '')}"


def _words(code: str) -> str:
    """Return a code in words, so that a narrow column breaks between them."""
    return code.replace("_", " ")


def _result_json(result: Result) -> dict[str, object]:
    call = result.call
    return {
        "id": call.id,
        "title": call.title,
        "at": call.at.isoformat(),
        "organisation": call.token.organisation,
        "client": call.token.client,
        "purpose": call.token.purpose,
        "method": call.method,
        "path": _with_query(call),
        "standing": result.standing,
        "expected": _plain(asdict(call.expect)),
        "expected_record": _plain(asdict(call.audit)),
        "observed": _plain(_seen(result.observed)),
        "differences": list(result.differences),
        "live_only": list(result.live_only),
        "exchange_id": result.exchange_id,
    }


def _seen(observed: Observed) -> dict[str, object]:
    return {name: value for name, value in asdict(observed).items() if value is not None}


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    plain: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, frozenset):
            plain[name] = sorted(value)
        elif isinstance(value, datetime):
            plain[name] = value.isoformat()
        else:
            plain[name] = value
    return plain
