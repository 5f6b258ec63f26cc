"""Legal holds: whatever is on hold stays, and nobody's name lies in the clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.entry import Kind
from gateway.audit.holds import Hold, HoldKind, adding, new_hold, read_holds, releasing
from gateway.audit.log import AuditLog
from gateway.audit.people import Person
from gateway.audit.privacy.erasable import HeldBy, Selection
from gateway.audit.reading.reader import snapshot
from gateway.audit.store import LogUnavailable, Overtaken
from gateway.clock import system_time_us
from tests.gateway.audit.erasing import AGREEMENT, ANN, BOB, erased, with_exchanges
from tests.gateway.audit.records import each_store, keys_in, record, selected, using

ALL = frozenset({"actor", "net", "payload", "subject"})


def held(directory: Path, target: bytes | str | Person) -> Hold:
    """Put something on hold, with the record of it."""
    hold = new_hold(target, "LITIGATION")

    async def use(log: AuditLog) -> None:
        change = adding(hold, keys_in(directory).state_key())
        await log.append(record(Kind.CHANGE, None, core={"verb": "hold"}), counters=change)

    using(directory, use)
    return hold


@each_store
@pytest.mark.parametrize("by", list(HoldKind))
def test_what_is_on_hold_is_not_erased(tmp_path: Path, by: HoldKind) -> None:
    """Whoever selects it, and however: the records of what is held are left and counted."""
    _, (exchange, _) = with_exchanges(tmp_path, [ANN], [BOB])
    targets: dict[HoldKind, bytes | str | Person]
    targets = {HoldKind.EXCHANGE: exchange, HoldKind.AGREEMENT: AGREEMENT, HoldKind.PERSON: ANN}
    held(tmp_path, targets[by])
    left = 4 if by is HoldKind.AGREEMENT else 2
    old = erased(tmp_path, Selection(before_us=system_time_us(), sections=ALL))
    assert sum(old.held.values()) == left
    assert old.records == 4 - left
    assert erased(tmp_path, Selection(person=ANN)).held == {HeldBy[by.name]: 2}
    assert erased(tmp_path, Selection(exchange=exchange)).records == 0


@each_store
def test_what_an_agreement_s_own_text_holds_is_not_erased(tmp_path: Path) -> None:
    """A hold that stands in the agreement counts like one that was put on it."""
    with_exchanges(tmp_path, [ANN])
    tally = erased(tmp_path, Selection(person=ANN), agreements=[AGREEMENT])
    assert (tally.records, tally.held) == (0, {HeldBy.AGREEMENT: 2})


@each_store
def test_a_hold_ends_once(tmp_path: Path) -> None:
    """After its release everything can be erased; it cannot be released again."""
    path, _ = with_exchanges(tmp_path, [ANN])
    hold = held(tmp_path, ANN)

    async def use(log: AuditLog) -> None:
        ended = record(Kind.CHANGE, None, core={"verb": "release"})
        await log.append(ended, counters=releasing(hold))
        again = record(Kind.CHANGE, None, core={"verb": "release"})
        with pytest.raises(Overtaken):
            await log.append(again, counters=releasing(hold))

    using(tmp_path, use)
    with snapshot(path) as db:
        assert read_holds(db, keys_in(tmp_path).state_key()).version == 2
    assert erased(tmp_path, Selection(person=ANN)).records == 2


@each_store
def test_holds_read_as_they_were_added_and_name_nobody_in_clear(tmp_path: Path) -> None:
    """A person's identifier opens with the log's state key alone."""
    path, (exchange,) = with_exchanges(tmp_path, [BOB])
    added = [held(tmp_path, target) for target in (ANN, exchange, AGREEMENT)]
    with snapshot(path) as db:
        assert read_holds(db, keys_in(tmp_path).state_key()).holds == tuple(added)
        with pytest.raises(LogUnavailable, match="state key"):
            read_holds(db, bytes(32))
    stored = b"".join(row[0] for row in selected(path, "SELECT target FROM audit_hold"))
    assert ANN.normalised_id.encode() not in stored
