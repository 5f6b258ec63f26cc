"""Reading a home's log, and recording that it was read."""

from __future__ import annotations

import asyncio
import os
import pwd

import pytest

from gateway.audit.entry import Kind, Record
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import find_log
from gateway.audit.search.query import Filters, find
from gateway.cli.audit_log import find_exchanges, show_one, verify_file
from gateway.cli.home import NewHome
from gateway.cli.output import Exit, Stop
from gateway.clock import new_uuid7, system_time_us, uuid_text
from gateway.data_plane import open_audit_log
from gateway.settings import Settings


def deny_one(settings: Settings, **core: object) -> str:
    """Record one refusal in the log of a home, and return its exchange."""
    exchange = new_uuid7()
    record = Record(
        record_id=new_uuid7(),
        kind=Kind.DENY,
        exchange=exchange,
        at_us=system_time_us(),
        sections={
            "core": {"decision": "deny", "reason": "RATE_LIMITED", "status": 429, **core},
            "actor": {"client": "council-app"},
        },
    )

    async def append() -> None:
        log = open_audit_log(settings, instance="test")
        await log.start()
        await log.append(record)
        await log.stop()

    asyncio.run(append())
    return uuid_text(exchange)


def test_finds_and_shows_what_was_recorded(new_home: NewHome) -> None:
    """An exchange is found by its facts and shown by its id."""
    settings = new_home.settings
    exchange = deny_one(settings)
    found = find_exchanges(
        settings, {"reason": "RATE_LIMITED"}, limit=5, use="self_monitoring"
    ).items
    shown = show_one(settings, exchange, use="self_monitoring")
    assert [one["exchange_id"] for one in found] == [exchange]
    assert shown["status"] == 429
    nothing = find_exchanges(settings, {"reason": "OK"}, limit=5, use="self_monitoring")
    assert nothing.items == ()


def test_a_list_holds_no_personal_section(new_home: NewHome) -> None:
    """The command line shows in a list what the API shows, and opens no section for it."""
    deny_one(new_home.settings)
    (found,) = find_exchanges(new_home.settings, {}, limit=5, use="self_monitoring").items
    assert "sections" not in found
    (found,) = find_exchanges(
        new_home.settings, {"client": "council-app"}, limit=5, use="self_monitoring"
    ).items
    assert "sections" not in found


def test_the_reader_is_the_user_of_the_operating_system(
    new_home: NewHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment cannot give another name."""
    monkeypatch.setenv("LOGNAME", "somebody-else")
    exchange = deny_one(new_home.settings)
    show_one(new_home.settings, exchange, use="self_monitoring")
    (reading,) = find_exchanges(
        new_home.settings, {"kind": "log.access"}, limit=1, use="self_monitoring"
    ).items
    # The newest reading is the search itself, which is recorded before it is answered.
    entries = reading["entries"]
    assert isinstance(entries, list)
    shown = show_one(new_home.settings, entries[0]["record_id"], use="self_monitoring")
    assert shown["sections"] == {
        "actor": {"principal": pwd.getpwuid(os.getuid()).pw_name, "via": "console"},
        "payload": {"kind": "log.access"},
    }


def test_an_unknown_kind_is_told_with_the_kinds_there_are(new_home: NewHome) -> None:
    """The kinds are a closed list."""
    deny_one(new_home.settings)
    with pytest.raises(Stop, match="no kind of record") as stopped:
        find_exchanges(new_home.settings, {"kind": "gossip"}, limit=1, use="self_monitoring")
    assert "traffic.refused" in stopped.value.mend


def test_every_reading_is_recorded(new_home: NewHome) -> None:
    """What was looked for, and for which use, is in the log afterwards."""
    settings = new_home.settings
    exchange = deny_one(settings)
    show_one(settings, exchange, use="verify_lawfulness")
    path = find_log(settings.audit_directory)
    readings = find(path, Filters(kind=Kind.ACCESS), keys=LogKeys(settings.keys_directory)).items
    assert [(one["use"], one["exchange"]) for one in readings] == [("verify_lawfulness", exchange)]


def test_a_use_that_is_not_permitted_reads_nothing(new_home: NewHome) -> None:
    """The uses are a closed list."""
    deny_one(new_home.settings)
    with pytest.raises(Stop, match="no permitted use"):
        find_exchanges(new_home.settings, {}, limit=5, use="curiosity")


def test_what_is_not_there_is_told(new_home: NewHome) -> None:
    """No log, no such exchange, and no exchange id at all are three different answers."""
    settings = new_home.settings
    with pytest.raises(Stop, match="no audit log"):
        find_exchanges(settings, {}, limit=5, use="self_monitoring")
    deny_one(settings)
    with pytest.raises(Stop, match="is not an id"):
        show_one(settings, "seven", use="self_monitoring")
    with pytest.raises(Stop, match="may have been counted, not recorded one by one") as stopped:
        show_one(settings, uuid_text(new_uuid7()), use="self_monitoring")
    assert stopped.value.code is Exit.FAILED


def test_verifies_the_log_of_a_home(new_home: NewHome) -> None:
    """The home's own log and key are used where nothing else is given."""
    deny_one(new_home.settings)
    assert verify_file(new_home.settings, None, None, None).faults == ()
