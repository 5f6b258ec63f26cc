"""Records as read from the log, and their sections opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import snapshot
from gateway.audit.search.opening import COLUMNS, UNKNOWN, Opener, found
from tests.gateway.audit.records import filled, keys_in, tampered


def opened(path: Path, keys: LogKeys | None) -> dict[str, object]:
    """Return the sealed sections of the log's first intent."""
    with snapshot(path) as db:
        query = f"SELECT {COLUMNS} FROM audit_record WHERE leaf_index = 1"  # noqa: S608 - constants
        row = db.execute(query).fetchone()
        record = found(row)
        assert (record.kind, record.core()["decision"]) == (Kind.INTENT, "permit")
        return Opener(db, keys).open(record)


def test_sections_open_with_the_keys_alone(tmp_path: Path) -> None:
    """Without keys nothing opens; what was erased, or whose day is gone, is None (I9)."""
    path, keys = filled(tmp_path, 1), keys_in(tmp_path)
    assert opened(path, keys) == {"actor": {"client_id": "council-app"}}
    assert opened(path, None) == {}
    assert opened(path, LogKeys(tmp_path / "other")) == {"actor": None}
    tampered(path, "UPDATE audit_key SET wrapped = x'00' WHERE leaf_index = 1")
    assert opened(path, keys) == {"actor": None}


def test_a_kind_that_there_is_not_damages_its_record_alone(tmp_path: Path) -> None:
    """F20: what the record says is still read, and it is told by index."""
    path, keys = filled(tmp_path, 1), keys_in(tmp_path)
    tampered(path, "UPDATE audit_record SET kind = 99 WHERE leaf_index = 1")
    with snapshot(path) as db:
        query = f"SELECT {COLUMNS} FROM audit_record WHERE leaf_index = 1"  # noqa: S608 - constants
        record, opener = found(db.execute(query).fetchone()), Opener(db, keys)
        assert (record.kind, record.kind_text) == (None, UNKNOWN)
        assert opener.open(record) == {"actor": {"client_id": "council-app"}}
    assert opener.damaged == {1}


@pytest.mark.parametrize(
    ("mark", "ahead", "left"),
    [
        (b"\x04core", -1, ({"actor": None}, True)),
        (b'{"agreement', 0, ({"actor": {"client_id": "council-app"}}, False)),
        (b"\x05actor", 0, ({}, False)),
    ],
    ids=["sealed", "clear", "the block itself"],
)
def test_a_damaged_byte_closes_what_it_is_in_and_nothing_else(
    tmp_path: Path, mark: bytes, ahead: int, left: tuple[dict[str, object], bool]
) -> None:
    """F20: what is not readable is told by index; no reading of the log breaks off at it."""
    path, keys = filled(tmp_path, 1), keys_in(tmp_path)
    with snapshot(path) as db:
        query = f"SELECT {COLUMNS} FROM audit_record WHERE leaf_index = 1"  # noqa: S608 - constants
        *columns, block = db.execute(query).fetchone()
        at = block.index(mark) + ahead
        broken = block[:at] + bytes([block[at] ^ 1]) + block[at + 1 :]
        record, opener = found((*columns, broken)), Opener(db, keys)
        opened, core = opener.open(record), opener.core(record)
    assert (opened, bool(core)) == left
    assert opener.damaged == {1}
