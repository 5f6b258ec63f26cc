"""Readings of the log leave one kind of record, and lists hold no personal section."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.entry import Kind, Record
from gateway.audit.log import AuditLog
from gateway.audit.search.access import (
    LogReader,
    Reader,
    Use,
    Via,
    find_record,
    show_record,
)
from gateway.audit.search.query import Filters
from gateway.clock import new_uuid7, uuid_text
from tests.gateway.audit.records import each_store, home_of, intent, keys_in, provisioned, using

ANALYST = Reader(principal="an.analyst", via=Via.CONSOLE)


def kept(directory: Path, *records: Record) -> LogReader:
    """Return the read side of a log that holds these records."""
    provisioned(directory)

    async def use(log: AuditLog) -> None:
        for record in records:
            await log.append(record)

    using(directory, use)
    return LogReader(directory=home_of(directory), keys=keys_in(directory))


def test_the_uses_are_those_of_the_law() -> None:
    """DPA 2018 s.62(4) knows four uses."""
    assert [str(use) for use in Use] == [
        "verify_lawfulness", "self_monitoring", "integrity_and_security", "criminal_proceedings",
    ]  # fmt: skip


@each_store
def test_a_search_seals_who_asked_and_for_whom(tmp_path: Path) -> None:
    """In clear stand the use and the filters' names; reader and values are sealed and readable."""
    filters = Filters(client="council-app", kind=Kind.INTENT, from_us=7)
    record = find_record(ANALYST, Use.CRIMINAL_PROCEEDINGS, filters)
    reader = kept(tmp_path, record)

    assert record.sections["core"] == {
        "verb": "find",
        "filters": ["client", "from_us", "kind"],
        "use": "criminal_proceedings",
    }
    shown = reader.show(record.record_id)
    assert shown is not None
    assert shown["sections"] == {
        "actor": {"principal": "an.analyst", "via": "console"},
        "payload": {"client": "council-app", "from_us": 7, "kind": "exchange.intent"},
    }


@each_store
def test_an_opened_exchange_is_named(tmp_path: Path) -> None:
    """Who opened which exchange can be told from the log."""
    exchange = new_uuid7()
    reader = kept(tmp_path, show_record(ANALYST, Use.SELF_MONITORING, exchange))
    (reading,) = reader.find(Filters(kind=Kind.ACCESS), cursor=None, limit=5).items

    assert (reading["verb"], reading["exchange"]) == ("show", uuid_text(exchange))


@each_store
@pytest.mark.parametrize("filters", [Filters(), Filters(client="council-app")])
def test_a_list_holds_no_personal_section(tmp_path: Path, filters: Filters) -> None:
    """Even the search that opens actors to find a client shows none."""
    reader = kept(tmp_path, intent())
    (found,) = reader.find(filters, cursor=None, limit=5).items

    assert "sections" not in found
