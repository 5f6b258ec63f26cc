"""Verification: a sound log passes, and every kind of tampering is told with its index."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.audit.entry import unpack_sections
from gateway.audit.merkle import leaf_hash, root_of
from gateway.audit.note import Checkpoint
from gateway.audit.place import Place
from gateway.audit.reading import reader
from gateway.audit.reading.reader import CannotTell, verify_log
from gateway.audit.verify import ERASURES_TOLD_MAX, Report
from tests.gateway.audit.records import (
    ORIGIN,
    STORES,
    copy_of_log,
    filled,
    keys_in,
    on_store,
    place_in,
    selected,
    tampered,
)

EXCHANGES = 140  # with the first record 281: one full tile, and an edge
TAMPERED = 77


@pytest.fixture(scope="module", params=STORES)
def sound(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The directory of a sound log in each store; tests work on copies."""
    directory = tmp_path_factory.mktemp("sound")
    with on_store(directory, request.param, lambda: request.getfixturevalue("postgres_server")):
        filled(directory, EXCHANGES)
        yield directory


def checked(directory: Path, *, with_keys: bool = True) -> Report:
    """Verify the log of a directory with its own key."""
    keys = keys_in(directory)
    path = place_in(directory)
    vkey = keys.signer(ORIGIN).verifier.vkey()
    return verify_log(path, vkey=vkey, keys=keys if with_keys else None)


@pytest.fixture
def copied(sound: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the sound log."""
    with copy_of_log(sound, tmp_path / "copy") as copy:
        yield copy


@pytest.fixture(scope="module")
def sound_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a sound log in a file, for what only a file allows, or shows."""
    directory = tmp_path_factory.mktemp("sound-file")
    filled(directory, EXCHANGES)
    return directory


@pytest.fixture
def copied_file(sound_file: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the sound log in a file."""
    with copy_of_log(sound_file, tmp_path / "copy") as copy:
        yield copy


SET_COLUMN = {
    "entry": "UPDATE audit_record SET entry = ? WHERE leaf_index = ?",
    "sections": "UPDATE audit_record SET sections = ? WHERE leaf_index = ?",
    "leaf_hash": "UPDATE audit_record SET leaf_hash = ? WHERE leaf_index = ?",
}


LEAVES = "SELECT leaf_hash FROM audit_record ORDER BY leaf_index"


def stored(path: Place, column: str) -> bytes:
    """Return a blob of the record that is tampered with."""
    rows = selected(
        path,
        "SELECT entry, sections, leaf_hash FROM audit_record WHERE leaf_index = ?",
        TAMPERED,
    )
    blob: bytes = rows[0][list(SET_COLUMN).index(column)]
    return blob


def test_a_sound_log_passes(sound: Path) -> None:
    """Nothing is at fault; signatures reach the end; every sealed section was opened (I5)."""
    report = checked(sound)
    assert report.faults == ()
    assert report.ok
    assert (report.size, report.signed_size) == (281, 281)
    assert (report.opened, report.erased, report.unopened) == (EXCHANGES, 0, 0)
    without = checked(sound, with_keys=False)
    assert without.ok
    assert without.unopened == EXCHANGES


def test_progress_is_told(sound: Path) -> None:
    """A caller may show how far a verification is."""
    told: list[tuple[int, int]] = []
    path = place_in(sound)
    verify_log(path, progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (281, 281)


@pytest.mark.parametrize("column", SET_COLUMN)
def test_a_changed_byte_is_told_with_its_index(copied: Path, column: str) -> None:
    """No byte of an entry, a section, its salt or a leaf hash is out of the tree's sight (F20)."""
    path = place_in(copied)
    value = stored(path, column)
    # The formats are the same in both stores, so that fewer bytes say as much of the second.
    for at in range(0, len(value), 7 if isinstance(path, Path) else 42):
        changed = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
        tampered(path, SET_COLUMN[column], changed, TAMPERED)
        assert TAMPERED in {fault.at for fault in checked(copied).faults}, at
    tampered(path, SET_COLUMN[column], value, TAMPERED)
    assert checked(copied).ok


TAMPERINGS: dict[str, tuple[str, int]] = {
    "record id": ("UPDATE audit_record SET record_id = zeroblob(16) WHERE leaf_index = 77", 77),
    "exchange": ("UPDATE audit_record SET exchange = zeroblob(16) WHERE leaf_index = 77", 77),
    "kind": ("UPDATE audit_record SET kind = 5 WHERE leaf_index = 77", 77),
    "time": ("UPDATE audit_record SET t = t + 1 WHERE leaf_index = 77", 77),
    "wrapped key": ("UPDATE audit_key SET wrapped = zeroblob(90) WHERE leaf_index = 77", 77),
    "removed": ("DELETE FROM audit_record WHERE leaf_index = 77", 77),
    "removed from the edge": ("DELETE FROM audit_record WHERE leaf_index = 270", 270),
    "removed at the end": ("DELETE FROM audit_record WHERE leaf_index = 280", 280),
    "added at the end": (
        "INSERT INTO audit_record SELECT 281, zeroblob(16), exchange, kind, t, leaf_hash, entry,"
        " sections FROM audit_record WHERE leaf_index = 77",
        281,
    ),
    "tile": ("UPDATE audit_tile SET hashes = zeroblob(8192)", 0),
    "tile root": ("UPDATE audit_tile SET root = zeroblob(32)", 0),
    "tile removed": ("DELETE FROM audit_tile", 0),
    "tile added": ("INSERT INTO audit_tile SELECT 0, 1, root, hashes FROM audit_tile", 256),
    "upper tile added": ("INSERT INTO audit_tile SELECT 1, 0, root, hashes FROM audit_tile", 0),
    "checkpoint": ("UPDATE audit_checkpoint SET note = lower(note)", 280),
    "checkpoint garbled": ("UPDATE audit_checkpoint SET note = 'x'", 280),
    "checkpoint removed": ("DELETE FROM audit_checkpoint", 281),
    "stored root": ("UPDATE audit_tree SET root = zeroblob(32)", 280),
    "stored size": ("UPDATE audit_tree SET size = 999", 281),
    "swapped entries": (
        "UPDATE audit_record SET (entry, leaf_hash, sections) = (SELECT entry, leaf_hash, sections"
        " FROM audit_record AS other WHERE other.leaf_index = 155 - audit_record.leaf_index)"
        " WHERE leaf_index IN (77, 78)",
        77,
    ),
    "truncated tree": ("UPDATE audit_tree SET size = 256; DELETE FROM audit_checkpoint", 256),
    "next index": ("UPDATE audit_head SET next_index = 300", 281),
}
# What needs another schema: SQLite's can be replaced under the tables that rest on it.
TAMPERINGS_OF_A_FILE: dict[str, tuple[str, int]] = {
    "entry of another type": (
        "CREATE TABLE loose AS SELECT * FROM audit_record;"
        "UPDATE loose SET entry = CAST(entry AS TEXT) WHERE leaf_index = 77;"
        "DROP TABLE audit_record; ALTER TABLE loose RENAME TO audit_record",
        77,
    ),
    "repeated identifier": (
        "CREATE TABLE loose AS SELECT * FROM audit_record;"
        "UPDATE loose SET record_id = (SELECT record_id FROM loose WHERE leaf_index = 3)"
        " WHERE leaf_index = 77; DROP TABLE audit_record;"
        "ALTER TABLE loose RENAME TO audit_record",
        77,
    ),
}


def tampered_with(copied: Path, script: str) -> Report:
    """Run a script behind the log's back, and verify it."""
    for statement in script.split(";"):
        tampered(place_in(copied), statement)
    return checked(copied)


@pytest.mark.parametrize("name", TAMPERINGS)
def test_each_tampering_is_told_with_its_index(copied: Path, name: str) -> None:
    """Every table that a proof rests on is checked (F20)."""
    script, index = TAMPERINGS[name]
    report = tampered_with(copied, script)
    assert not report.ok
    assert index in {fault.at for fault in report.faults}, report.faults


@pytest.mark.parametrize("name", TAMPERINGS_OF_A_FILE)
def test_each_tampering_with_a_file_is_told_with_its_index(copied_file: Path, name: str) -> None:
    """What the schema keeps out is told where somebody changed the schema first (F20)."""
    script, index = TAMPERINGS_OF_A_FILE[name]
    report = tampered_with(copied_file, script)
    assert not report.ok
    assert index in {fault.at for fault in report.faults}, report.faults


def test_repeated_identifiers_are_told(copied_file: Path) -> None:
    """A record whose identifier an earlier one has is told, though everything else fits (I4)."""
    report = tampered_with(copied_file, TAMPERINGS_OF_A_FILE["repeated identifier"][0])
    assert "an earlier record has the same identifier" in {
        fault.what for fault in report.faults if fault.at == 77
    }


@pytest.mark.parametrize("name", ["sound", "removed", "time", "entry of another type", "tile"])
def test_several_processes_find_what_one_finds(
    copied_file: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many processes check the rows, the report is the same (F20)."""
    monkeypatch.setattr(reader, "ROWS_PER_PART", 64)
    path = place_in(copied_file)
    for statement in {**TAMPERINGS, **TAMPERINGS_OF_A_FILE}.get(name, ("", 0))[0].split(";"):
        tampered(path, statement)
    one, several = verify_log(path), verify_log(path, jobs=2)
    assert one == several
    assert one.ok is (name == "sound")


def test_without_keys_the_sealed_bytes_alone_go_unseen(copied_file: Path) -> None:
    """Without keys every byte of a block is checked, but those that only a key can open (F20)."""
    path = place_in(copied_file)
    value = stored(path, "sections")
    sealed = next(item.body for item in unpack_sections(value) if item.salt is None)
    start = value.index(sealed)
    for at in range(0, len(value), 5):
        changed = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
        tampered(path, SET_COLUMN["sections"], changed, TAMPERED)
        report = checked(copied_file, with_keys=False)
        assert report.ok is (start <= at < start + len(sealed)), at


def resign(directory: Path, path: Place) -> None:
    """Swap two records of the full tile and put a checkpoint that fits nothing, well signed."""
    signer = keys_in(directory).signer(ORIGIN)
    note = signer.sign(Checkpoint(origin=ORIGIN, size=281, root=bytes(32)))
    tampered(path, "UPDATE audit_checkpoint SET note = ?", note)


def swap(directory: Path, path: Place) -> None:
    """Swap two whole records, each still fitting its own leaf hash."""
    tampered(path, "UPDATE audit_record SET leaf_index = 1000 WHERE leaf_index = 77")
    tampered(path, "UPDATE audit_record SET leaf_index = 77 WHERE leaf_index = 78")
    tampered(path, "UPDATE audit_record SET leaf_index = 78 WHERE leaf_index = 1000")


def grow_head(directory: Path, path: Place) -> None:
    """Keep a signed head that covers more than the log holds."""
    signer = keys_in(directory).signer(ORIGIN)
    note = signer.sign(Checkpoint(origin=ORIGIN, size=500, root=bytes(32)))
    (directory / "audit/sealed-head").write_text(note, "utf-8")


def spoil_head(directory: Path, path: Place) -> None:
    """Put something else in the sealed head's place."""
    (directory / "audit/sealed-head").write_text("nothing", "utf-8")


def fork(directory: Path, path: Path) -> None:
    """Rewrite a record with all that rests on it, and sign; one older head has left the house."""
    signer = keys_in(directory).signer(ORIGIN)
    leaves = [row[0] for row in selected(path, LEAVES)]
    older = Checkpoint(origin=ORIGIN, size=200, root=root_of(leaves[:200]))
    tampered(path, "INSERT INTO audit_checkpoint VALUES (200, ?, NULL, 0)", signer.sign(older))
    entry = stored(path, "entry").replace(b"exchange.intent", b"exchange.outcome")
    leaves[TAMPERED] = leaf_hash(entry)
    change = "UPDATE audit_record SET entry = ?, leaf_hash = ?, kind = 2 WHERE leaf_index = ?"
    tampered(path, change, entry, leaves[TAMPERED], TAMPERED)
    tile = b"".join(leaves[:256])
    tampered(path, "UPDATE audit_tile SET hashes = ?, root = ?", tile, root_of(leaves[:256]))
    head = Checkpoint(origin=ORIGIN, size=281, root=root_of(leaves))
    tampered(path, "UPDATE audit_tree SET root = ?", head.root)
    tampered(path, "UPDATE audit_checkpoint SET note = ? WHERE size = 281", signer.sign(head))
    (path.parent / "sealed-head").write_text(signer.sign(head), "utf-8")


@pytest.mark.parametrize(
    ("tamper", "index"), [(fork, 0), (resign, 280), (swap, 77), (grow_head, 281), (spoil_head, 0)]
)
def test_rewritten_history_is_told(
    copied: Path, tamper: Callable[[Path, Place], None], index: int
) -> None:
    """Swapped rows, forked heads and rollbacks are told with the index from which they show."""
    tamper(copied, place_in(copied))
    report = checked(copied)
    assert index in {fault.at for fault in report.faults}, report.faults


def test_erased_sections_are_counted_and_the_proof_stays(copied: Path) -> None:
    """Deleting keys erases what was sealed and changes neither root nor verdict (I9)."""
    path = place_in(copied)
    before = checked(copied)
    tampered(path, "DELETE FROM audit_key WHERE leaf_index = 77")
    after = checked(copied)
    assert after.ok
    assert after.root == before.root
    assert (after.opened, after.erased) == (EXCHANGES - 1, 1)
    assert after.erased_from == ((77, "actor"),)
    for day_key in (copied / "keys").glob("log-day-*"):
        day_key.unlink()
    without = checked(copied)
    assert without.erased == EXCHANGES
    told = [(index, "actor") for index in range(1, 1 + ERASURES_TOLD_MAX)]
    assert list(without.erased_from) == told


def test_a_process_that_dies_is_no_fault_of_the_log(
    sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a process is killed under the verification, nothing is known, and that is said."""
    monkeypatch.setattr(reader, "ROWS_PER_PART", 1)

    def kill(_done: int, _of: int) -> None:
        for process in multiprocessing.active_children():
            process.kill()

    with pytest.raises(CannotTell, match="died"):
        verify_log(place_in(sound), progress=kill, jobs=2)


def test_a_file_that_is_no_log_is_a_fault(tmp_path: Path) -> None:
    """A file that cannot be read through does not verify."""
    assert not verify_log(tmp_path / "audit-2026.db").ok
    (tmp_path / "audit-2026.db").write_bytes(b"SQLite format 3\0" + bytes(4_000))
    assert not verify_log(tmp_path / "audit-2026.db").ok
