"""`policy who`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.demo.packs import BUILT_IN
from tests.gateway.cli.conftest import Run


def test_who_can_read_a_field(run: Run) -> None:
    """A sentence for each way in, and what must still be met."""
    shown = run("policy", "who", "--field", "marker")
    assert shown.exit_code == 0
    assert "may read marker of police-markers for CHILD_SAFEGUARDING_S47" in shown.stdout
    assert ", by urgent access. [DSA-2026-0002, rule R2]" in shown.stdout
    assert "  - The request names one person." in shown.stdout


def test_what_a_role_can_see_as_data(run: Run) -> None:
    """The same for programs, narrowed to a body, a role, a purpose and an instant."""
    words = ("--organisation", "gss:E10999001", "--role", "edt-social-worker")
    when = ("--purpose", "CHILD_SAFEGUARDING_S47", "--at", "2026-11-18T02:00:00Z")
    told = json.loads(run("policy", "who", *words, *when, "--json").stdout)
    assert [(one["rule"], one["urgent"]) for one in told["answers"]] == [
        ("R0", False),
        ("R1", True),
        ("R2", True),
    ]


def test_nobody_is_an_answer(run: Run) -> None:
    """A field that is never shared is read by nobody, and that is no failure."""
    shown = run("policy", "who", "--field", "clinical_note")
    assert (shown.exit_code, shown.stdout) == (0, "Nobody.\n")


def test_agreements_that_do_not_answer_are_named(run: Run, tmp_path: Path) -> None:
    """A suspended agreement lets nobody in, and is said to."""
    import shutil

    shutil.copytree(BUILT_IN, tmp_path / "pack")
    path = tmp_path / "pack/agreements/DSA-2026-0005.yaml"
    path.write_text(path.read_text().replace("status: active", "status: suspended"))
    shown = run("policy", "who", "--dataset", "tenancies", "--pack", tmp_path / "pack")
    assert "Nobody." in shown.stdout
    assert "DSA-2026-0005 is suspended" in shown.stdout
