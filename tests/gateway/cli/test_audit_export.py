"""`audit export` and `audit verify export`, as they are typed."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.publishing.integrate import Integrator
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.data_plane import log_origin
from gateway.settings import Settings
from tests.gateway.audit.records import ORIGIN, VECTORS, keys_in
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_log import deny_one


def integrated(settings: Settings) -> None:
    """Bring what the log of a home holds into its tree."""
    integrator = Integrator(
        settings.audit_directory,
        origin=log_origin(settings),
        keys=LogKeys(settings.keys_directory),
    )
    while integrator.step():
        pass
    integrator.close()


@pytest.mark.parametrize("form", ["ndjson", "parquet"])
def test_an_export_is_checked_with_the_line_it_tells(
    run: Run, new_home: NewHome, tmp_path: Path, form: str
) -> None:
    """The command ends with the line that checks its file; a changed file does not pass (F20)."""
    deny_one(new_home.settings)
    integrated(new_home.settings)
    out = tmp_path / "out"
    words = ("--format", form, "--out", out, "--home", new_home.settings.home)
    told = run("audit", "export", *words, "--personal").stdout.splitlines()[-1]
    check = told.partition("concordat ")[2].split()
    assert run(*check).stdout.endswith("verified\n")
    report = json.loads(run(*check, "--json").stdout)
    assert report["ok"]
    assert report["records"] == 2
    file = out / "proof.ndjson" if form == "parquet" else out
    file.write_bytes(file.read_bytes().replace(b"\\n2\\n", b"\\n3\\n"))
    changed = run(*check)
    assert changed.exit_code == 1
    assert "NOT VERIFIED" in changed.stdout


def test_a_policy_says_whose_signatures_an_export_needs(
    run: Run, new_home: NewHome, tmp_path: Path
) -> None:
    """The log's signature, and as many witnesses' as the quorum says (C2SP tlog-policy; I7)."""
    settings = new_home.settings
    deny_one(settings)
    integrated(settings)
    out, policy = tmp_path / "out", tmp_path / "policy"
    run("audit", "export", "--out", out, "--home", settings.home)
    vkey = LogKeys(settings.keys_directory).signer(log_origin(settings)).verifier.vkey()
    check = ("audit", "verify", "export", out, "--policy", policy)
    policy.write_text(f"log {vkey}\nquorum none\n")
    assert run(*check).stdout.endswith("verified\n")
    policy.write_text(f"log {vkey}\nwitness w {WITNESS}\nquorum w\n")
    unwitnessed = run(*check)
    assert unwitnessed.exit_code == 1
    assert "the quorum w has not witnessed the checkpoint" in unwitnessed.stdout
    policy.write_text("quorum none\n")
    for words in (check, check[:4]):
        with pytest.raises(Stop, match="whom to trust is not said") as stopped:
            run(*words)
        assert stopped.value.code == 2


WITNESS: Final[str] = VECTORS["keys"]["witness_vkey"]
PAGE: Final = Path(__file__).parents[3] / "docs" / "exports.md"
LINES: Final = re.findall(r"^concordat (.*)$", PAGE.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("typed", LINES)
def test_the_page_s_commands_exist(run: Run, typed: str) -> None:
    """Each command of docs/exports.md is there, with every option that the page gives it."""
    words = shlex.split(typed)
    command = [
        word for word in words[:3] if word in {"audit", "export", "evidence", "verify", "fsck"}
    ]
    shown = run(*command, "--help")
    assert shown.exit_code == 0
    assert all(word in shown.stdout for word in words if word.startswith("--"))


def test_what_is_no_export_cannot_be_told(run: Run, tmp_path: Path) -> None:
    """It is exit 2, and so is a key that is none; each with what mends it."""
    (tmp_path / "file").write_bytes(b"nothing")
    words = ("audit", "verify", "export", tmp_path / "file", "--vkey")
    with pytest.raises(Stop, match="not JSON") as stopped:
        run(*words, keys_in(tmp_path).signer(ORIGIN).verifier.vkey())
    assert stopped.value.code == 2
    with pytest.raises(Stop, match="not the key of a log") as stopped:
        run(*words, "x")
    assert stopped.value.code == 2
    assert "--vkey" in stopped.value.mend
