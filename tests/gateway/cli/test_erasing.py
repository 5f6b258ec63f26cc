"""Erasing and holding in a home: what is refused, and what is on record afterwards."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

from gateway.audit.entry import Kind
from gateway.audit.holds import HoldKind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.privacy.erasable import Selection
from gateway.audit.reading.reader import find_log
from gateway.audit.search.query import Filters, find, show
from gateway.cli.erasing import (
    add_hold,
    erase_now,
    hold_data,
    list_holds,
    read_reason,
    read_selection,
    read_target,
    release_hold,
    would_erase,
)
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.clock import new_uuid7, uuid_text
from gateway.data_plane import open_audit_log
from gateway.settings import Settings
from tests.gateway.audit.erasing import ANN, exchange_about

WHY: dict[str, Any] = {"reason": "RIGHT_TO_ERASURE", "authority": "SYNTHETIC decision 7"}


def about_ann(settings: Settings) -> bytes:
    """Record an exchange about Ann in the log of a home."""

    async def append() -> bytes:
        log = open_audit_log(settings, instance="test")
        await log.start()
        exchange = await exchange_about(log, ANN)
        await log.stop()
        return exchange

    return asyncio.run(append())


def records_of(settings: Settings, kind: Kind) -> list[dict[str, object]]:
    """Return the records of a kind with their opened sections, oldest first."""
    path, keys = find_log(settings.audit_directory), LogKeys(settings.keys_directory)
    found = reversed(find(path, Filters(kind=kind), keys=keys).items)
    return list(found)


def test_a_look_and_an_erasure_are_on_record_without_a_name(new_home: NewHome) -> None:
    """The clear section of either names nobody; the authority and who did it are sealed."""
    settings = new_home.settings
    about_ann(settings)
    assert would_erase(settings, Selection(person=ANN)).records == 2
    tally, scrubbed = erase_now(settings, Selection(person=ANN), **WHY)
    assert (tally.records, scrubbed) == (2, True)
    (look,) = records_of(settings, Kind.ACCESS)
    (done,) = records_of(settings, Kind.ERASURE)
    assert (look["verb"], done["reason"], done["by"]) == ("count", "RIGHT_TO_ERASURE", "person")
    sections = done["sections"]
    assert isinstance(sections, dict)
    assert sections["payload"] == {"authority": "SYNTHETIC decision 7"}
    clear = str({name: value for name, value in (look | done).items() if name != "sections"})
    assert ANN.normalised_id not in clear


def test_a_hold_is_added_listed_and_released_on_record(new_home: NewHome) -> None:
    """Each change is an `admin.change` record; what is held is not erased meanwhile."""
    settings = new_home.settings
    exchange = about_ann(settings)
    person = add_hold(settings, ANN, **WHY)
    whole = add_hold(settings, exchange, **WHY)
    assert [one.kind for one in list_holds(settings)] == [HoldKind.PERSON, HoldKind.EXCHANGE]
    assert erase_now(settings, Selection(exchange=exchange), **WHY)[0].records == 0
    for one in (person, whole):
        release_hold(settings, str(hold_data(one)["id"]), **WHY)
    with pytest.raises(Stop, match="no legal hold"):
        release_hold(settings, uuid_text(person.id), **WHY)
    assert erase_now(settings, Selection(exchange=exchange), **WHY)[0].records == 2
    changes = records_of(settings, Kind.CHANGE)
    assert [one["verb"] for one in changes] == ["hold", "hold", "release", "release"]
    path, keys = find_log(settings.audit_directory), LogKeys(settings.keys_directory)
    view = show(path, exchange, keys=keys)
    assert view is not None
    assert view["sections"] == dict.fromkeys(("actor", "net", "payload", "subject"))


def test_an_agreement_that_never_was_is_not_held(new_home: NewHome) -> None:
    """A slip would make somebody believe that something is held."""
    about_ann(new_home.settings)
    with pytest.raises(Stop, match="no agreement 'DSA-0000'"):
        add_hold(new_home.settings, "DSA-0000", **WHY)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "what to erase"),
        ({"person": "nhs_number:1", "exchange": "x"}, "what to erase"),
        ({"person": "Ann"}, "type:value"),
        ({"exchange": "seven"}, "not an id"),
        ({"before": "2026-01-01"}, "which sections"),
        ({"before": "soon", "classes": ["net"]}, "no date"),
        ({"before": "2026-01-01", "classes": ["core"]}, "names no person"),
        ({"before": "2026-01-01", "classes": ["nets"]}, "no class"),
    ],
)
def test_what_is_not_one_clear_thing_erases_nothing(given: dict[str, Any], why: str) -> None:
    """A selection that could be misunderstood is refused before anything is opened."""
    asked = {"person": None, "exchange": None, "before": None, "classes": [], **given}
    with pytest.raises(Stop, match=why) as stopped:
        read_selection(**asked)
    assert "Ann" not in str(stopped.value)


def test_targets_and_reasons_are_read(new_home: NewHome) -> None:
    """A hold is on one thing; a reason is a code, because it stays readable."""
    assert read_target(person="nhs_number:999 000 0018", exchange=None, agreement=None) == ANN
    assert read_target(person=None, exchange=None, agreement="DSA-1") == "DSA-1"
    with pytest.raises(Stop, match="what to hold"):
        read_target(person=None, exchange=None, agreement=None)
    assert read_reason("COURT_ORDER") == "COURT_ORDER"
    with pytest.raises(Stop, match="is a code"):
        read_reason("because Ann asked")


def test_a_person_is_read_from_standard_input_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """For an erasure and for a hold, so that no shell keeps the identifier."""
    monkeypatch.setattr("sys.stdin", io.StringIO("nhs_number:999 000 0018\n" * 2))
    assert read_target(person="-", exchange=None, agreement=None) == ANN
    assert read_selection(person="-", exchange=None, before=None, classes=[]).person == ANN


def test_what_no_record_can_hold_is_told_and_nothing_is_done(new_home: NewHome) -> None:
    """Words of a shell that are no text, or too many of them, end in a sentence."""
    settings = new_home.settings
    about_ann(settings)
    for authority in ("\udcff", "x" * 70_000):
        why = {**WHY, "authority": authority}
        with pytest.raises(Stop, match="cannot be recorded"):
            erase_now(settings, Selection(person=ANN), **why)
        with pytest.raises(Stop, match="cannot be recorded"):
            add_hold(settings, ANN, **why)
    assert would_erase(settings, Selection(person=ANN)).records == 2
    assert list_holds(settings) == ()


def test_a_day_outside_all_records_is_one(new_home: NewHome) -> None:
    """Before the year 1970 there is nothing, and before the last one everything."""
    about_ann(new_home.settings)
    for day, records in (("0001-01-01", 0), ("9999-12-31", 1)):
        net = read_selection(person=None, exchange=None, before=day, classes=["net"])
        assert would_erase(new_home.settings, net).records == records


def test_a_home_without_a_log_has_nothing_to_erase(new_home: NewHome) -> None:
    """It is told, and none is made."""
    with pytest.raises(Stop, match="no audit log"):
        would_erase(new_home.settings, Selection(exchange=new_uuid7()))
