"""Finding and showing exchanges."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from uuid import UUID

import pytest

from gateway.audit.entry import Kind
from gateway.audit.log import AuditLog
from gateway.audit.place import Place, directory_of
from gateway.audit.search import query as search
from gateway.audit.search.follow import catch_up
from gateway.audit.search.index import open_index
from gateway.audit.search.query import Filters, View, find, show
from gateway.audit.store import LogUnavailable
from gateway.clock import new_uuid7, uuid_text
from tests.gateway.audit.records import (
    STORES,
    each_store,
    integrated,
    intent,
    keys_in,
    on_store,
    outcome,
    place_in,
    provisioned,
    record,
    tampered,
    using,
)

LEEDS, HEALTH, REFUSED, OPEN, STRANGER = "leeds", "health", "refused", "open", "stranger"
"""Names of the log's exchanges."""


@cache
def named(name: str) -> bytes:
    """Return the id of an exchange, made when the log is: ids carry the time of their exchange."""
    return new_uuid7()


@pytest.fixture(scope="module", params=STORES)
def path(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A log of two whole exchanges, a refusal, an open exchange and a change, in each store."""
    named.cache_clear()
    directory = tmp_path_factory.mktemp("search")
    with on_store(directory, request.param, lambda: request.getfixturevalue("postgres_server")):
        yield written(directory)


def written(directory: Path) -> Place:
    """Write the records into the log of a directory; return its place."""
    file = provisioned(directory)

    async def use(log: AuditLog) -> None:
        first = intent(named(LEEDS), consumer="gss:E1", purpose="FUEL", service="spl", alert=False)
        await log.append(first)
        await log.append(intent(named(HEALTH), consumer="ods:X9Z", purpose="CARE", alert=True))
        await log.append(outcome(named(HEALTH), records=3, alert=False, fields_withheld=["nino"]))
        end = replace(outcome(named(LEEDS), status=502, reason="SMALL_NUMBERS_WITHHELD"))
        await log.append(end)
        refusal = {"decision": "deny", "reason": "PURPOSE_NOT_PERMITTED", "status": 403}
        await log.append(
            record(Kind.DENY, named(REFUSED), core=refusal, actor={"client_id": "other-app"})
        )
        await log.append(intent(named(OPEN)))
        await log.append(record(Kind.CHANGE, None, core={"what": "agreement"}))
        unknown = {"reason": "TOKEN_MISSING", "status": 401}
        await log.append(
            record(Kind.TRAFFIC_REFUSED, named(STRANGER), core=unknown, net={"source": "192.0.2.1"})
        )

    using(directory, use)
    return file


def ids(path: Place, filters: Filters) -> list[object]:
    """Return the exchange ids found, in order."""
    page = find(path, filters, keys=keys_in(directory_of(path).parent))
    return [item["exchange_id"] for item in page.items]


def test_exchanges_are_found_newest_first(path: Place) -> None:
    """Without filters all exchanges and refusals come, and nothing else."""
    newest_first = [uuid_text(named(item)) for item in (OPEN, REFUSED, HEALTH, LEEDS)]
    assert ids(path, Filters()) == newest_first


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(organisation="gss:E1"), [LEEDS]),
        (Filters(purpose="CARE"), [HEALTH]),
        (Filters(agreement="DSA-2026-0003", service="spl"), [LEEDS]),
        (Filters(decision="deny"), [REFUSED]),
        (Filters(reason="SMALL_NUMBERS_WITHHELD"), [LEEDS]),
        (Filters(status=403), [REFUSED]),
        (Filters(alert=True), [HEALTH]),
        (Filters(client="other-app"), [REFUSED]),
        (Filters(route="/nowhere"), []),
        (Filters(until_us=0), []),
        (Filters(from_us=1 << 60), []),
    ],
)
def test_filters_are_all_asked(path: Place, filters: Filters, expected: list[str]) -> None:
    """An exchange is found by what its first or its last record says."""
    assert ids(path, filters) == [uuid_text(named(item)) for item in expected]


def test_pages_join_without_gap_or_repeat(path: Place) -> None:
    """A cursor goes on behind the last item, and finds outcomes that lie before it."""
    found: list[View] = []
    cursor = None
    while True:
        page = find(path, Filters(), keys=keys_in(path.parent.parent), cursor=cursor, limit=1)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            break
    assert [item["exchange_id"] for item in found] == ids(path, Filters())
    assert [item.get("status") for item in found] == [None, 403, 200, 502]


def test_an_exchange_is_shown_with_all_its_records(path: Place) -> None:
    """Intent and outcome are one view: an alert stays, and the sections open with the keys."""
    view = show(path, named(HEALTH), keys=keys_in(directory_of(path).parent))
    assert view is not None
    assert view["alert"] is True
    assert view["records"] == 3
    assert view["fields_withheld"] == ["nino"]
    assert view["state"] == "exchange.outcome"
    assert view["sections"] == {"actor": {"client_id": "council-app"}}
    entries = view["entries"]
    assert isinstance(entries, list)
    assert [(entry["index"], entry["kind"]) for entry in entries] == [
        (2, "exchange.intent"),
        (3, "exchange.outcome"),
    ]
    without_keys = show(path, named(HEALTH))
    assert without_keys is not None
    assert "sections" not in without_keys


def test_an_open_exchange_and_a_refusal_are_shown(path: Place) -> None:
    """What has no outcome says so, and a refusal is one record."""
    still_open, refused = show(path, named(OPEN)), show(path, named(REFUSED))
    assert still_open is not None
    assert refused is not None
    assert (still_open["state"], still_open["finished"]) == ("exchange.intent", None)
    assert refused["state"] == "decision.deny"
    assert show(path, new_uuid7()) is None


def test_records_of_another_kind_are_found_by_kind(path: Place) -> None:
    """Administrative changes are searched with the same call."""
    page = find(path, Filters(kind=Kind.CHANGE), keys=keys_in(path.parent.parent))
    assert [(item["exchange_id"], item["what"]) for item in page.items] == [(None, "agreement")]


def test_a_refused_stranger_is_shown_by_the_id_of_the_answer(path: Place) -> None:
    """The Exchange-Id of a 401 leads to its record, which a list of exchanges leaves out."""
    view = show(path, named(STRANGER), keys=keys_in(directory_of(path).parent))
    assert view is not None
    assert (view["kind"], view["reason"], view["status"]) == (
        "traffic.refused", "TOKEN_MISSING", 401,
    )  # fmt: skip
    assert view["sections"] == {"net": {"source": "192.0.2.1"}}
    assert uuid_text(named(STRANGER)) not in ids(path, Filters())
    assert ids(path, Filters(kind=Kind.TRAFFIC_REFUSED)) == [uuid_text(named(STRANGER))]


def test_a_record_of_no_exchange_is_shown_by_its_own_id(path: Place) -> None:
    """A list names the id of each record, and that id shows it whole."""
    (change,) = find(path, Filters(kind=Kind.CHANGE), keys=keys_in(path.parent.parent)).items
    entries = change["entries"]
    assert isinstance(entries, list)
    view = show(path, UUID(entries[0]["record_id"]).bytes)
    assert view is not None
    assert view["what"] == "agreement"


def test_an_erased_section_is_shown_as_none(path: Place) -> None:
    """Once its key is gone nobody can read it (I9)."""
    tampered(path, "DELETE FROM audit_key WHERE leaf_index = 1")
    view = show(path, named(LEEDS), keys=keys_in(directory_of(path).parent))
    assert view is not None
    assert view["sections"] == {"actor": None}


@each_store
def test_a_long_exchange_is_followed_by_its_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far its end is from its beginning, each record leads to the next."""
    monkeypatch.setattr(search, "ROWS_TO_OUTCOME_MAX", 2)
    file, exchange = provisioned(tmp_path), new_uuid7()

    async def use(log: AuditLog) -> None:
        await log.append(intent(exchange))
        for passed in (1, 2, 3):
            await log.append(intent())
            await log.append(record(Kind.PROGRESS, exchange, core={"bytes": passed}))
        (only,) = find(file, Filters(), keys=keys_in(tmp_path), limit=1, cursor=2).items
        assert (only["state"], only["finished"]) == (Kind.INTENT, None)
        await log.append(outcome(exchange, bytes=4))

    using(tmp_path, use)
    shown = show(file, exchange)
    assert shown is not None
    kinds = [entry["kind"] for entry in shown["entries"]]  # type: ignore[attr-defined]  # a list of objects
    assert kinds == [Kind.INTENT, *(Kind.PROGRESS,) * 3, Kind.OUTCOME]
    assert shown["bytes"] == 4
    (found,) = [
        one
        for one in find(file, Filters(), keys=keys_in(tmp_path)).items
        if one["exchange_id"] == shown["exchange_id"]
    ]
    assert found["entries"] == shown["entries"]


def other_history(directory: Path) -> tuple[Place, bytes, bytes]:
    """Lay a log under the index of another; return its place, an exchange of that, and its own."""
    indexed, other = directory / "indexed", directory / "other"
    lost, kept = new_uuid7(), new_uuid7()
    for one, exchange in ((indexed, lost), (other, kept)):

        async def use(log: AuditLog, exchange: bytes = exchange) -> None:
            await log.append(intent(exchange))
            await log.append(outcome(exchange))

        provisioned(one)
        using(one, use)
    file, keys = integrated(other), keys_in(indexed)
    find(integrated(indexed), Filters(), keys=keys)
    for each in file.parent.glob(f"{file.name}*"):
        (indexed / "audit" / each.name).unlink(missing_ok=True)
        shutil.copy(each, indexed / "audit" / each.name)
    return place_in(indexed), lost, kept


def test_an_index_of_another_history_shows_no_other_exchange(tmp_path: Path) -> None:
    """After a backup was restored, who asks for a lost exchange is not shown another one."""
    file, lost, kept = other_history(tmp_path)
    assert show(file, lost) is None
    shown = show(file, kept)
    assert shown is not None
    assert (shown["exchange_id"], shown["state"]) == (uuid_text(kept), Kind.OUTCOME)


def test_what_is_found_in_an_index_of_another_history_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the index could not be made anew in time, nothing is said of what it holds."""
    file, _, _ = other_history(tmp_path)
    monkeypatch.setattr(search, "catch_up", lambda *_: None)
    for filters in (Filters(), Filters(agreement="DSA-2020-0001")):
        with pytest.raises(LogUnavailable, match="of another log"):
            find(file, filters, keys=keys_in(tmp_path / "indexed"))


def test_a_record_of_another_exchange_is_not_shown_for_it(tmp_path: Path) -> None:
    """An index that was edited is told of, and not believed."""
    file, asked = provisioned(tmp_path), new_uuid7()

    async def use(log: AuditLog) -> None:
        for exchange in (asked, new_uuid7()):
            await log.append(intent(exchange))
            await log.append(outcome(exchange))

    using(tmp_path, use)
    catch_up(file, keys_in(tmp_path))
    index = open_index(file)
    index.execute(
        "UPDATE search_exchange SET leaf_index = leaf_index + 2 WHERE exchange = ?", (asked,)
    )
    index.close()
    with pytest.raises(LogUnavailable, match="does not fit the log"):
        show(file, asked)
