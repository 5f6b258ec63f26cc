"""The options that say which exchanges are meant."""

from __future__ import annotations

import io
import json
from dataclasses import fields

import pytest

from gateway.audit.search.query import Filters
from gateway.cli.audit_filters import _OPTIONS
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_log import deny_one


def test_every_filter_of_a_search_has_an_option() -> None:
    """But the route, which is the greater part of an operation, and the verb of a change."""
    assert {one.name for one in fields(Filters)} - {one.filter for one in _OPTIONS} == {
        "route",
        "verb",
    }


def test_filters_are_asked_as_typed(run: Run, new_home: NewHome) -> None:
    """Words, numbers, flags and times reach the search; the page says how far the index is."""
    home = new_home.settings.home
    exchange = deny_one(new_home.settings)
    search = ("audit", "search", "--json", "--home", home)
    for words, found in (
        (("--status", "429", "--decision", "deny", "--from", "2020-01-01"), [exchange]),
        (("--client", "council-app"), [exchange]),
        (("--until", "2020-01-01"), []),
        (("--alert",), []),
        (("--status", "429", "--break-glass"), []),
    ):
        page = json.loads(run(*search, *words).stdout)
        assert [one["exchange_id"] for one in page["exchanges"]] == found
        assert page["indexed"]["next_index"] >= 3


def test_a_person_is_read_from_standard_input_and_recorded_as_a_tag(
    run: Run, new_home: NewHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value stands neither on the command line, nor in the record, nor in what is said."""
    home = new_home.settings.home
    deny_one(new_home.settings)
    monkeypatch.setattr("sys.stdin", io.StringIO("nhs_number:999 000 0018\n"))
    from gateway.cli.audit_filters import _read

    assert _read({one.filter: None for one in _OPTIONS} | {"person": "-"})["person"] == (
        "nhs_number:999 000 0018"
    )
    run("audit", "search", "--person", "nhs_number:9990000018", "--home", home)
    (reading, *_) = json.loads(
        run("audit", "search", "--kind", "log.access", "--json", "--home", home).stdout
    )["exchanges"][1:]
    record_id = reading["entries"][0]["record_id"]
    shown = json.loads(run("audit", "show", record_id, "--json", "--home", home).stdout)
    assert "9990000018" not in json.dumps(shown)
    assert shown["filters"] == ["person"]
    assert shown["sections"]["payload"]["person"].startswith("nhs_number:")
    with pytest.raises(Stop, match="type:value") as stopped:
        run("audit", "search", "--person", "9990000018", "--home", home)
    assert "9990000018" not in str(stopped.value).replace("nhs_number:9990000018", "")
