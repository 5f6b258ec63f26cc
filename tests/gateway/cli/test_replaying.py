"""Replaying a home's decisions: by time and agreement, on record, told in words and as data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import find_log
from gateway.audit.search.query import Filters, find
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.cli.replaying import difference_data, difference_sentences, replay_range
from gateway.replay import Replayed, Result
from tests.gateway.audit.records import tampered
from tests.played import played_home


def test_a_range_of_one_agreement_is_replayed_on_record(tmp_path: Path) -> None:
    """Only what was asked for is counted; that somebody replayed is a reading of the log."""
    settings, told = played_home(tmp_path), list[Replayed]()
    asked = {"from_": None, "until": None, "agreement": "DSA-2026-0003"}
    tally = replay_range(settings, **asked, tell=told.append)
    assert tally.holds
    assert 0 < tally.results[Result.SAME] < 40
    later = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    assert replay_range(settings, **{**asked, "until": "9999-12-31"}, tell=told.append) == tally
    none = replay_range(settings, **{**asked, "from_": later}, tell=told.append)
    assert none.results == {}
    assert told == []
    keys = LogKeys(settings.keys_directory)
    (look, *_) = find(
        find_log(settings.audit_directory), Filters(kind=Kind.ACCESS), keys=keys
    ).items
    assert look["verb"] == "replay"


def test_a_difference_is_told_in_words_and_as_data(tmp_path: Path) -> None:
    """Index and exchange lead to the record; why there is no second decision is said."""
    settings, told = played_home(tmp_path), list[Replayed]()
    tampered(
        find_log(settings.audit_directory),
        "UPDATE audit_record SET sections = CAST(replace(sections, 'DSA-2026-0003',"
        " 'DSA-2026-0004') AS BLOB)",
    )
    tally = replay_range(settings, from_=None, until=None, agreement=None, tell=told.append)
    assert not tally.holds
    index = told[0].decided.leaf_index
    assert difference_sentences(told[0])[0].startswith(f"index {index}, exchange ")
    data = difference_data(told[0])
    assert (data["index"], data["replayed"]) == (index, None)
    assert "not the one that was recorded" in data["why"]


def test_a_record_whose_exchange_was_changed_is_told(tmp_path: Path) -> None:
    """Its row no longer says whose it was: it is told by its index (F20)."""
    settings, told = played_home(tmp_path), list[Replayed]()
    log = find_log(settings.audit_directory)
    tampered(log, "UPDATE audit_record SET exchange = NULL WHERE kind = 1")
    replay_range(settings, from_=None, until=None, agreement=None, tell=told.append)
    index = told[0].decided.leaf_index
    assert difference_sentences(told[0])[0].startswith(f"index {index}, exchange unknown: the row")
    assert difference_data(told[0])["exchange_id"] is None
    tampered(log, "UPDATE audit_record SET exchange = zeroblob(3) WHERE kind = 1")
    tally = replay_range(settings, from_=None, until=None, agreement=None, tell=told.append)
    assert tally.results[Result.DIFFERENT] == len(told) // 2


def test_what_is_no_time_replays_nothing(new_home: NewHome) -> None:
    """A mistyped time is told with the form it has; so is a home without a log."""
    for given, why in (("soon", "neither a day nor an instant"), (None, "no audit log")):
        with pytest.raises(Stop, match=why):
            replay_range(
                new_home.settings, from_=given, until=None, agreement=None, tell=lambda _: None
            )
