"""The verifier of evidence packs, called as a function; `test_evidence.py` runs it as a program."""

from __future__ import annotations

import re
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.audit.exports import evidence_check
from gateway.audit.exports.evidence_check import KEY_NAME, RECORDS_NAME, check_pack
from gateway.audit.exports.exported import Unreadable

BOMB_BYTES = 100_000_000
HEAD = '{"concordat_export":1,"origin":"example.com/foo","size":0}'
KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"


def test_what_is_no_pack_cannot_be_told(tmp_path: Path) -> None:
    """Files that are missing, or that are no zip file."""
    with zipfile.ZipFile(tmp_path / "pack", "w") as other:
        other.writestr("other.txt", "x")
    with pytest.raises(KeyError):
        check_pack(tmp_path / "pack")
    (tmp_path / "text").write_text("text")
    with pytest.raises(zipfile.BadZipFile):
        check_pack(tmp_path / "text")
    with pytest.raises(FileNotFoundError):
        check_pack(tmp_path / "nowhere")


@pytest.mark.parametrize("bomb", [RECORDS_NAME, KEY_NAME])
def test_a_bomb_is_no_pack(tmp_path: Path, bomb: str) -> None:
    """A small file whose one line no memory would hold: it is not unfolded."""
    contents = dict.fromkeys((RECORDS_NAME, KEY_NAME), KEY)
    with zipfile.ZipFile(tmp_path / "pack", "w", zipfile.ZIP_DEFLATED) as pack:
        for name, content in contents.items():
            pack.writestr(name, b"x" * BOMB_BYTES if name == bomb else content)
    assert (tmp_path / "pack").stat().st_size < BOMB_BYTES / 500
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable):
            check_pack(tmp_path / "pack")
        assert tracemalloc.get_traced_memory()[1] < BOMB_BYTES / 5
    finally:
        tracemalloc.stop()


def test_a_pack_of_very_many_texts_is_no_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each may unfold to megabytes: they are counted before they are read."""
    monkeypatch.setattr(evidence_check, "TEXTS_MAX", 1)
    with zipfile.ZipFile(tmp_path / "pack", "w") as pack:
        pack.writestr(KEY_NAME, KEY)
        pack.writestr(RECORDS_NAME, f'{HEAD}\n{{"checkpoint":"example.com/foo\\n"}}\n')
        for number in range(2):
            pack.writestr(f"agreements/{number}", "x")
    with pytest.raises(Unreadable, match="more than 1 texts"):
        check_pack(tmp_path / "pack")


def encrypted(pack: bytearray) -> None:
    """Set the flag of every member."""
    for entry in _entries(pack):
        pack[entry + 8] |= 1


def packed_otherwise(pack: bytearray) -> None:
    """Name a method that Python does not know."""
    for entry in _entries(pack):
        pack[entry + 10] = 99


def damaged(pack: bytearray) -> None:
    """Break what is compressed."""
    start = pack.find(KEY_NAME.encode()) + len(KEY_NAME)
    pack[start : start + 2] = b"\xff\xff"


def _entries(pack: bytearray) -> list[int]:
    """Return where the central directory's entries begin."""
    return [found.start() for found in re.finditer(rb"PK\x01\x02", bytes(pack))]


@pytest.mark.parametrize("change", [encrypted, packed_otherwise, damaged])
def test_a_pack_that_cannot_be_unpacked_cannot_be_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[bytearray], None],
) -> None:
    """It is exit 2: no record was seen that differs."""
    path = tmp_path / "pack"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr(KEY_NAME, KEY)
        pack.writestr(RECORDS_NAME, f'{HEAD}\n{{"checkpoint":"example.com/foo\\n"}}\n')
    written = bytearray(path.read_bytes())
    change(written)
    path.write_bytes(written)
    monkeypatch.setattr("sys.argv", [str(path)])
    assert evidence_check.main() == 2
    assert "this cannot be told" in capsys.readouterr().err


def test_the_program_says_that_it_cannot_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is exit 2, with the reason on standard error."""
    monkeypatch.setattr("sys.argv", [str(tmp_path / "nowhere")])
    assert evidence_check.main() == 2
    assert "this cannot be told" in capsys.readouterr().err
