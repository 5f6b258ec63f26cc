"""The report, for people and for programs."""

from __future__ import annotations

import io
import json
from dataclasses import replace

from rich.console import Console

from gateway.demo.evaluate import evaluate
from gateway.demo.judge import AttemptResult, Standing
from gateway.demo.packs import Pack
from gateway.demo.report import REPORT_COLUMNS, as_json, counts_line, table_of


def test_the_table_fits_its_width(pack: Pack) -> None:
    """At 120 columns no line is longer, and no word of a reason is cut."""
    written = io.StringIO()
    console = Console(width=REPORT_COLUMNS, file=written)
    console.print(table_of(evaluate(pack), title="t"))
    text = written.getvalue()
    assert max(map(len, text.splitlines())) <= REPORT_COLUMNS
    assert "INSTRUMENT NOT" in text
    assert "…" not in text


def test_counts_name_what_is_missing(pack: Pack) -> None:
    """What cannot be tried is counted and named, and never counted as passed."""
    results = evaluate(pack)
    refusal = pack.sheet.authoring_refusals[0]
    missing = AttemptResult(refusal=refusal, standing=Standing.NOT_YET, missing="time travel")
    results = replace(results, authoring=(*results.authoring, missing))
    line = counts_line(results).plain
    assert f"{results.count(Standing.PASSED)} passed" in line
    assert "1 not yet" in line
    assert "time travel" in line


def test_json_holds_every_call(pack: Pack) -> None:
    """The JSON is plain, and has each call with what was expected and observed."""
    results = evaluate(pack)
    value = json.loads(json.dumps(as_json(results)))
    assert len(value["calls"]) == len(pack.sheet.calls)
    assert value["counts"]["failed"] == 0
    assert sum(value["counts"].values()) == len(pack.sheet.calls) + len(value["authoring"])
    assert value["calls"][0]["expected"]["reason"] == "OK"
