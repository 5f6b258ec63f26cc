"""`audit watch`, as it is typed; what it finds is asked end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli import audit_watch
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_log import deny_one


def test_nobody_was_looked_up(run: Run, new_home: NewHome, tmp_path: Path) -> None:
    """Staff is a column that may be missing."""
    deny_one(new_home.settings)
    file = tmp_path / "watched.csv"
    file.write_text("person,label\nnhs_number:9990000018,somebody\n")
    ended = run("audit", "watch", file, "--home", new_home.settings.home)
    assert (ended.exit_code, ended.stdout) == (0, "Nobody was looked up.\n")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe", "cannot be read"),
        (b"who,what\na,b\n", "columns person and label"),
        (b"", "columns person and label"),
        (b"person,label\n" + b"nino:QQ1,x\n" * 3, "more than 2 people"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(
    run: Run, new_home: NewHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    content: bytes, told: str,
) -> None:  # fmt: skip
    """Nothing of it is repeated."""
    monkeypatch.setattr(audit_watch, "PEOPLE_MAX", 2)
    deny_one(new_home.settings)
    file = tmp_path / "watched.csv"
    file.write_bytes(content)
    with pytest.raises(Stop, match=told):
        run("audit", "watch", file, "--home", new_home.settings.home)
