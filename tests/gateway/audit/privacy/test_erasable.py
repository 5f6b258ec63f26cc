"""What of a log may be erased, and what stays: held, or not to be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.entry import Kind
from gateway.audit.holds import Hold, adding, new_hold
from gateway.audit.log import AuditLog
from gateway.audit.place import Place
from gateway.audit.privacy.erasable import HeldBy, Selection, Tally
from gateway.audit.privacy.erase import count, holds_of
from gateway.audit.privacy.keyed import KeyedRow, Opener
from gateway.clock import system_time_us
from tests.gateway.audit.erasing import ANN, BOB, erased, with_exchanges
from tests.gateway.audit.records import each_store, keys_in, record, tampered, using

DAMAGE = "UPDATE audit_key SET wrapped = CAST(substr(wrapped, 1, 60) AS BLOB) WHERE leaf_index = ?"


def counted(directory: Path, path: Place, selection: Selection) -> Tally:
    """Return what an erasure would do."""
    keys = keys_in(directory)
    return count(path, keys, selection, holds_of(path, keys), ())


def test_one_damaged_record_keeps_no_other_from_being_erased(tmp_path: Path) -> None:
    """I9, F20: what cannot be read stays and is counted; all that is whole goes."""
    path, (first, _) = with_exchanges(tmp_path, [ANN], [BOB])
    tampered(path, DAMAGE, 1)
    tampered(path, DAMAGE, 3)
    of_ann = counted(tmp_path, path, Selection(person=ANN))
    # Bob's intent could be about Ann, too, for all that anybody can tell.
    assert (of_ann.records, of_ann.unreadable) == (1, 2)
    net = Selection(before_us=system_time_us(), sections=frozenset({"net"}))
    assert (counted(tmp_path, path, net).records, counted(tmp_path, path, net).unreadable) == (0, 2)
    some = Selection(exchange=first, sections=frozenset({"subject"}))
    done = erased(tmp_path, some)
    assert (done.records, done.unreadable, done.sections) == (1, 1, {"subject": 1})
    # Where all keys of a record go there is nothing to read first.
    whole = erased(tmp_path, Selection(exchange=first))
    assert (whole.records, whole.unreadable) == (1, 0)


def test_a_day_key_that_cannot_be_used_is_told_of_in_the_count(tmp_path: Path) -> None:
    """Nothing under it can be read; once it can, the same erasure finds the rest."""
    path, (first, _) = with_exchanges(tmp_path, [ANN], [BOB])
    (day_key,) = (tmp_path / "keys").glob("log-day-*.key")
    day_key.chmod(0o644)
    of_ann = counted(tmp_path, path, Selection(person=ANN))
    assert (of_ann.records, of_ann.unreadable) == (0, 4)
    assert counted(tmp_path, path, Selection(exchange=first)).unreadable == 2
    day_key.chmod(0o600)
    assert counted(tmp_path, path, Selection(person=ANN)).records == 2


@each_store
def test_whom_other_exchanges_name_is_not_asked_for_the_erasure_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Holds on people count as ever, and cost no opening of the whole log."""
    path, (about_ann, about_bob, both) = with_exchanges(tmp_path, [ANN], [BOB], [ANN, BOB])
    held(tmp_path, new_hold(ANN, "LITIGATION"))
    opened: list[int] = []
    section = Opener.section

    def looked(self: Opener, row: KeyedRow, name: str) -> dict[str, object] | None:
        opened.append(row.leaf_index)
        return section(self, row, name)

    monkeypatch.setattr(Opener, "section", looked)
    assert counted(tmp_path, path, Selection(exchange=about_ann)).held == {HeldBy.PERSON: 2}
    assert counted(tmp_path, path, Selection(exchange=both)).held == {HeldBy.PERSON: 2}
    assert counted(tmp_path, path, Selection(exchange=about_bob)).records == 2
    assert set(opened) == {1, 3, 4, 5}


def held(directory: Path, hold: Hold) -> None:
    """Put a hold in force."""

    async def use(log: AuditLog) -> None:
        change = adding(hold, keys_in(directory).state_key())
        await log.append(record(Kind.CHANGE, None, core={"verb": "hold"}), counters=change)

    using(directory, use)
