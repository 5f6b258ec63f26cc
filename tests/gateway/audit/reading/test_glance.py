"""The quick look against the full reading: it may only pass what that passes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.entry import KIND_CODES, EntryInvalid, Kind, Row, check_row
from gateway.audit.merkle import leaf_hash
from gateway.audit.reading.glance import glance
from gateway.audit.seal import Sealed, Sealer
from tests.gateway.audit.records import ORIGIN, intent, keys_in, outcome, record

SECTIONS = ("actor", "core", "net", "payload", "peer", "subject")


@pytest.fixture(scope="module")
def sealer(tmp_path_factory: pytest.TempPathFactory) -> Sealer:
    """Seals records as the log does."""
    return Sealer(ORIGIN, keys_in(tmp_path_factory.mktemp("keys")))


def row(sealed: Sealed, index: int) -> Row:
    """Return a sealed record as the log stores it."""
    return Row(
        leaf_index=index,
        record_id=sealed.record_id,
        exchange=sealed.exchange,
        kind=KIND_CODES[sealed.kind],
        at_us=sealed.at_us,
        leaf_hash=sealed.leaf_hash,
        entry=sealed.entry,
        sections=sealed.sections,
        day=None,
        wrapped_keys=None,
    )


def replaced(row: Row, column: str, value: object) -> Row:
    """Return a row with another value in one of its columns."""
    return Row(**{**row._asdict(), column: value})


def is_whole(row: Row, index: int) -> bool:
    """Tell whether the full reading finds nothing wrong with a row."""
    try:
        check_row(row, None, ORIGIN)
    except EntryInvalid:
        return False
    return row.leaf_index == index and row.leaf_hash == leaf_hash(row.entry)


def rows_of(sealer: Sealer, first: int) -> list[Row]:
    """Return records of several kinds and forms, with indices from `first` on."""
    made = [intent(), intent(), outcome(bytes(16))]
    made += [record(Kind.CHANGE, None, core={"verb": "apply"}), record(Kind.ACCESS, None)]
    made += [record(Kind.DENY, bytes(range(16)), core={}, net={"a": 1}, subject={"b": "x" * 300})]
    return [row(sealer.seal(item), index) for index, item in enumerate(made, start=first)]


def test_whole_records_pass_together(sealer: Sealer) -> None:
    """Records of all forms pass at one look, which answers their leaves and sealed sections."""
    rows = rows_of(sealer, 7)
    assert glance(rows, 7) == (b"".join([row.leaf_hash for row in rows]), 4)
    assert glance([tuple(row)[:8] for row in rows], 7) is not None  # type: ignore[misc]  # plain tuples will do
    assert glance(rows, 6) is None
    assert glance([rows[1], rows[0]], 7) is None


@settings(deadline=None)
@given(names=st.sets(st.sampled_from(SECTIONS)), kind=st.sampled_from(list(Kind)))
def test_every_form_of_record_passes(sealer: Sealer, names: set[str], kind: Kind) -> None:
    """No record that the log writes needs the full reading."""
    sections: dict[str, dict[str, object]] = {name: {"name": name} for name in names}
    made = record(kind, bytes(16), **sections)
    assert glance([row(sealer.seal(made), 0)], 0) is not None


def test_lists_of_names_that_are_as_long_pass_one_by_one(sealer: Sealer) -> None:
    """Two forms that look alike from outside are not mistaken for each other."""
    alike = [("aaaa", "bb", "zzzz"), ("aa", "bbbb", "zzzz")]
    rows = [
        row(sealer.seal(record(Kind.OPEN, None, **{name: {} for name in names})), index)
        for index, names in enumerate(alike)
    ]
    assert glance(rows, 0) is None
    assert [glance([row], index) is not None for index, row in enumerate(rows)] == [True, True]


@pytest.mark.parametrize("column", ["record_id", "exchange", "leaf_hash", "entry", "sections"])
def test_a_changed_byte_never_passes(sealer: Sealer, column: str) -> None:
    """Each byte of each column, changed, is left to the full reading unless that passes it (F20).

    The sealed bytes of a section are such: what they hold shows only when they are opened.
    """
    rows = rows_of(sealer, 0)
    for index, whole in enumerate(rows):
        value: bytes = getattr(whole, column) or b""
        for at in range(len(value)):
            for flip in (1, 0x20, 0x80):
                changed = value[:at] + bytes([value[at] ^ flip]) + value[at + 1 :]
                told = replaced(whole, column, changed)
                seen = glance([*rows[:index], told, *rows[index + 1 :]], 0)
                assert seen is None or is_whole(told, index), (index, at, flip)


@pytest.mark.parametrize("column", ["entry", "sections", "record_id", "exchange"])
def test_a_removed_or_added_byte_never_passes(sealer: Sealer, column: str) -> None:
    """A byte more or less anywhere is left to the full reading (F20)."""
    rows = rows_of(sealer, 0)
    for index, whole in enumerate(rows):
        value: bytes = getattr(whole, column) or b""
        for at in range(len(value)):
            for changed in (value[:at] + value[at + 1 :], value[:at] + b"-" + value[at:]):
                told = replaced(whole, column, changed)
                hashed = told._replace(leaf_hash=leaf_hash(told.entry))
                for wrong in (told, hashed):
                    seen = glance([*rows[:index], wrong, *rows[index + 1 :]], 0)
                    assert seen is None or is_whole(wrong, index), (index, at)


@settings(deadline=None)
@given(data=st.data())
def test_a_rehashed_change_never_passes(sealer: Sealer, data: st.DataObject) -> None:
    """A changed entry that was hashed again passes only if the full reading passes it (F20)."""
    index = data.draw(st.integers(0, 5))
    rows = rows_of(sealer, 0)
    entry = bytearray(rows[index].entry)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(entry) - 1))
        entry[at] = data.draw(st.sampled_from(b'A-Z_"{}:,09af.x') | st.integers(0, 255))
    changed = rows[index]._replace(entry=bytes(entry), leaf_hash=leaf_hash(bytes(entry)))
    seen = glance([*rows[:index], changed, *rows[index + 1 :]], 0)
    assert seen is None or is_whole(changed, index)


WRONG: dict[str, dict[str, object]] = {
    "a time that is no integer": {"at_us": 1.5},
    "a time before 1970": {"at_us": -1},
    "a kind that nobody knows": {"kind": 99},
    "no exchange": {"exchange": None},
    "an empty exchange": {"exchange": b""},
    "an entry of text": {"entry": "text"},
    "no sections": {"sections": b""},
    "another index": {"leaf_index": 5},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_no_log_writes_never_passes(sealer: Sealer, name: str) -> None:
    """Values of a wrong type or range do not pass, and do not stop the verification."""
    rows = rows_of(sealer, 0)
    assert glance([rows[0]._replace(**WRONG[name]), *rows[1:]], 0) is None  # type: ignore[arg-type]  # wrong on purpose


def test_an_entry_beyond_the_bundle_never_passes(sealer: Sealer, tmp_path: Path) -> None:
    """An entry too long for a bundle is left to the full reading, which refuses it (F23)."""
    names = [f"{number:032d}" for number in range(900)]
    listed = ",".join([f'"{name}":"{"A" * 43}"' for name in names])
    whole = rows_of(sealer, 0)[0]
    entry = b'{"c":{%b' % listed.encode() + whole.entry[whole.entry.index(b"}") :]
    told = whole._replace(entry=entry, leaf_hash=leaf_hash(entry))
    assert glance([told], 0) is None
    assert not is_whole(told, 0)
