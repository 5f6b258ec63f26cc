"""The verifier of evidence packs, called as a function; `test_evidence.py` runs it as a program."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from gateway.audit import evidence_check
from gateway.audit.evidence_check import check_pack


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


def test_the_program_says_that_it_cannot_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is exit 2, with the reason on standard error."""
    monkeypatch.setattr("sys.argv", [str(tmp_path / "nowhere")])
    assert evidence_check.main() == 2
    assert "this cannot be told" in capsys.readouterr().err
