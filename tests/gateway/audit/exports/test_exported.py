"""The check of an export: what holds passes, and every changed byte is told (F20)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.exports import exported
from gateway.audit.exports.check import accepts
from gateway.audit.exports.export import Export, ExportFormat, export_chunks, export_parts
from gateway.audit.exports.exported import KeyMalformed, Summary, Unreadable, check_lines
from gateway.audit.exports.selection import Selection
from tests.gateway.audit.exporting import AGREEMENTS, RECORDS, export_log, vkey_of
from tests.gateway.audit.records import ORIGIN, keys_in


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a log."""
    directory = tmp_path_factory.mktemp("log")
    export_log(directory)
    return directory


def lines_of(home: Path, selection: Selection | None = None) -> list[bytes]:
    """Return the lines of an NDJSON export with everything opened."""
    export = Export(selection=selection or Selection(), format=ExportFormat.NDJSON, personal=True)
    return list(export_chunks(export_parts(home / "audit", export), export, keys_in(home)))


def checked(home: Path, lines: list[bytes]) -> Summary:
    """Check lines with the log's key."""
    (found,) = check_lines(lines, [vkey_of(home)], accepts)
    return found


def key_of(name: str) -> str:
    """Return a well-formed key of whatever name."""
    key = b"\x01" + bytes(32)
    key_id = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    return f"{name}+{key_id.hex()}+{base64.b64encode(key).decode()}"


HOSTILE_KEY = key_of("log\x1b[2J")


def test_a_whole_export_passes(home: Path) -> None:
    """Every record is counted, and the file is complete from the first to the last."""
    found = checked(home, lines_of(home))
    assert found.ok
    assert (found.origin, found.size, found.records) == (ORIGIN, RECORDS, RECORDS)
    assert found.complete == (0, RECORDS - 1)
    assert (found.closed, found.erased) == (0, 0)
    assert found.opened > RECORDS


def test_some_records_pass_with_hashes_for_the_others(home: Path) -> None:
    """A selection leads to the same root; that records are left out between them is told."""
    found = checked(home, lines_of(home, Selection(agreement=AGREEMENTS[1], decision="deny")))
    assert found.ok
    assert found.records == 4
    assert found.complete is None


def test_an_export_of_nothing_passes(home: Path) -> None:
    """It proves that the log was as large and had that root, and holds no record."""
    found = checked(home, lines_of(home, Selection(agreement="DSA-NONE")))
    assert found.ok
    assert (found.records, found.complete) == (0, None)


def test_every_changed_byte_is_told(home: Path) -> None:
    """Entry, salt, section, hash and checkpoint: no byte that matters is out of sight (F20)."""
    lines = lines_of(home, Selection(agreement=AGREEMENTS[0], decision="deny"))
    for number, line in enumerate(lines):
        for at in range(0, len(line) - 1, 3):
            changed = line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]
            try:
                if says_the_same(line, changed):
                    continue
                found = checked(home, [*lines[:number], changed, *lines[number + 1 :]])
            except Unreadable:
                continue
            assert not found.ok, (number, at, changed)


def says_the_same(line: bytes, changed: bytes) -> bool:
    """Tell whether a change leaves all members as they were that are checked."""
    try:
        before, after = json.loads(line), json.loads(changed)
    except ValueError:
        return False
    if "concordat_export" not in before or "concordat_export" not in after:
        return bool(before == after)
    # What was asked for is a claim of the exporter's, and nothing rests on it.
    return all(after.get(name) == before[name] for name in ("origin", "size"))


def without(lines: list[bytes], number: int) -> list[bytes]:
    """Return lines without one of them."""
    return [*lines[:number], *lines[number + 1 :]]


Tamper = Callable[[list[bytes]], list[bytes]]
TAMPERINGS: dict[str, Tamper] = {
    "a record removed": lambda lines: without(lines, 7),
    "two records swapped": lambda lines: [*lines[:7], lines[8], lines[7], *lines[9:]],
    "a record repeated": lambda lines: [*lines[:7], lines[6], *lines[7:]],
    "the last record removed": lambda lines: without(lines, RECORDS),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_removed_swapped_and_repeated_records_are_told(home: Path, name: str) -> None:
    """Records are where their indices say, and all of them lead to the signed root (F20)."""
    found = checked(home, TAMPERINGS[name](lines_of(home)))
    assert not found.ok
    assert any(at in (-1, 6, 7) for at, _ in found.faults)


def changed_record(lines: list[bytes], change: Callable[[dict[str, Any]], object]) -> list[bytes]:
    """Return lines with the first record changed."""
    record = json.loads(lines[3])
    change(record)
    return [*lines[:3], json.dumps(record).encode(), *lines[4:]]


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["sections"].pop("net"),
        lambda record: record["sections"].update(more="closed"),
        lambda record: record["sections"]["net"].pop("salt"),
        lambda record: record["sections"]["net"].update(salt="AAAA"),
        lambda record: record["sections"]["net"].update(body="{}"),
        lambda record: record["sections"].update(net=7),
        lambda record: record.update(entry=record["entry"].replace('"c"', ' "c"')),
    ],
)
def test_sections_are_those_of_the_entry(
    home: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    """What was closed, added or changed in a record is told with its index (F20)."""
    found = checked(home, changed_record(lines_of(home), change))
    assert 2 in [at for at, _ in found.faults]


@pytest.mark.parametrize(
    "entry",
    ["[" * 100_000, '{"c":' * 10_000, "9" * 100_000, '{"v":1e999}', "\ud800", "{}", "[]", "null"],
    ids=range(8),
)
def test_an_entry_that_breaks_parsers_is_a_fault(home: Path, entry: str) -> None:
    """Whatever a record is made of, the check comes to its end, and tells the index (F20)."""
    found = checked(home, changed_record(lines_of(home), lambda record: record.update(entry=entry)))
    assert 2 in [at for at, _ in found.faults]


def test_nothing_of_a_forged_file_reaches_a_terminal_as_it_is(home: Path) -> None:
    """Its names cannot clear the screen, or say below the verdict that all was well."""
    lines = lines_of(home)
    hostile = "net\x1b[2J\nVERIFIED"
    found = checked(
        home, changed_record(lines, lambda record: record["sections"].update({hostile: "closed"}))
    )
    told = changed_record(
        lines, lambda record: record.update(entry=record["entry"].replace('"net"', f'"{hostile}"'))
    )
    for _, what in (*found.faults, *checked(home, told).faults):
        assert what.isprintable()
    head = json.loads(lines[0])
    for origin in (hostile, "\u202everified", "x\r"):
        with pytest.raises(Unreadable, match="not an export"):
            checked(home, [json.dumps({**head, "origin": origin}).encode(), *lines[1:]])


def test_a_file_of_very_many_shards_cannot_be_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is found of each is held; a forger would have no end of them."""
    monkeypatch.setattr(exported, "SHARDS_MAX", 2)
    with pytest.raises(Unreadable, match="more than 2 shards"):
        checked(home, lines_of(home, Selection(agreement="DSA-NONE")) * 3)


@pytest.mark.parametrize(
    ("end", "digest"), [(1 << 63, bytes(32)), (1 << 14_000, bytes(32)), (1, bytes(31)), (1, b"")]
)
def test_a_hash_of_what_no_log_has_cannot_be_told(home: Path, end: int, digest: bytes) -> None:
    """A size beyond all logs has more digits than Python prints; a hash has 32 bytes."""
    head = b'{"concordat_export":1,"origin":"x","size":0}'
    node = {"from": 0, "to": end, "hash": base64.b64encode(digest).decode()}
    with pytest.raises(Unreadable, match=r"that no log has|has \d+ bytes"):
        checked(home, [head, json.dumps(node).encode()])


def test_another_key_s_checkpoint_does_not_pass(home: Path, tmp_path: Path) -> None:
    """A root that somebody else signed proves nothing."""
    (found,) = check_lines(lines_of(home), [vkey_of(tmp_path)], accepts)
    ((at, what),) = found.faults
    assert (at, what.partition(": ")[2]) == (-1, "the log's key did not sign it")


@pytest.mark.parametrize("vkey", ["", "x", "log+0+AAAA", "log+00000000+é", HOSTILE_KEY])
def test_a_mistyped_key_is_told_before_anything_is_read(vkey: str) -> None:
    """It is no fault of the file's: nothing can be told."""
    with pytest.raises(KeyMalformed, match="not the key of a log"):
        check_lines(iter(()), [vkey], accepts)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"nothing"],
        [b"[1]"],
        [b'{"origin":"x","size":0}'],
        [b'{"concordat_export":1,"origin":"x","size":0}'],
        [
            b'{"concordat_export":1,"origin":"x","size":0}',
            b'{"checkpoint":"x"}',
            b'{"checkpoint":"x"}',
        ],
        [b'{"concordat_export":1,"origin":"x","size":0}', b'{"other":1}'],
        [
            b'{"concordat_export":1,"origin":"x","size":0}',
            b'{"index":"0","entry":"","sections":{}}',
        ],
        [b'{"concordat_export":1,"origin":"x","size":0}', b'{"from":0,"to":3,"hash":"AAAA"}'],
        [b'{"concordat_export":1,"origin":"x","size":0}', b'{"from":0,"to":true,"hash":"AAAA"}'],
        [b'{"concordat_export":1,"size":0,"origin":"x' + b"x" * 4_000_000 + b'"}'],
    ],
)
def test_what_is_no_export_cannot_be_told(home: Path, lines: list[bytes]) -> None:
    """A file of another kind, or one that breaks off, is neither verified nor refuted."""
    with pytest.raises(Unreadable):
        checked(home, lines)
