"""Recorded decisions, read with what is left of their sections."""

from __future__ import annotations

from pathlib import Path

from gateway.audit.privacy.decided import Decided, decided
from gateway.audit.privacy.erasable import Selection
from gateway.audit.privacy.keyed import Opener
from gateway.audit.reading.reader import snapshot
from gateway.clock import system_time_us
from tests.gateway.audit.erasing import ANN, BOB, erased, with_exchanges
from tests.gateway.audit.records import keys_in, tampered


def read(directory: Path, path: Path, **times: int) -> list[Decided]:
    """Read the decisions of a test's log."""
    bounds = {"from_us": 0, "until_us": system_time_us(), **times}
    with snapshot(path) as db:
        return list(decided(db, Opener(db, keys_in(directory)), **bounds))


def test_decisions_come_with_their_sections(tmp_path: Path) -> None:
    """Intents and refusals alone, within their time, an erased section as None (I9)."""
    path, made = with_exchanges(tmp_path, [ANN], [BOB])
    erased(tmp_path, Selection(person=ANN))
    ann, bob = read(tmp_path, path)
    assert [ann.exchange, bob.exchange] == made
    assert ann.core["agreement"] == "DSA-2026-0003"
    assert ann.sections == {
        "actor": {"client": "council-app"},
        "net": {"source": "192.0.2.7"},
        "payload": None,
        "subject": None,
    }
    assert bob.sections["subject"] is not None
    assert read(tmp_path, path, from_us=bob.at_us) == [bob]
    assert read(tmp_path, path, until_us=bob.at_us) == [ann]


def test_a_record_that_was_changed_says_so(tmp_path: Path) -> None:
    """Neither a clear section nor an entry can be another than it was."""
    path, _ = with_exchanges(tmp_path, [ANN], [BOB])
    changed = "UPDATE audit_record SET {0} = CAST(replace({0}, '{1}', '{2}') AS BLOB)"
    changed += " WHERE leaf_index = ?"
    tampered(path, changed.format("sections", "permit", "denied"), 1)
    tampered(path, changed.format("entry", '"v":1', '"v":2'), 3)
    first, second = read(tmp_path, path)
    assert first.fault == "the section core is not the one that was recorded"
    assert second.fault == "not the canonical bytes of an entry"
    assert (dict(first.core), dict(second.sections)) == ({}, {})


def test_a_record_whose_time_was_changed_is_told(tmp_path: Path) -> None:
    """A row that says another time than its entry is not passed over (F20)."""
    path, _ = with_exchanges(tmp_path, [ANN], [BOB])
    tampered(path, "UPDATE audit_record SET t = 0 WHERE leaf_index = 1")
    first, second = read(tmp_path, path, from_us=1)
    assert (first.fault, second.fault) == ("the row is not that of its entry", None)
