"""`doctor`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.cli.home import NewHome
from tests.gateway.cli.conftest import Run


def test_a_new_home_lacks_only_its_configuration(run: Run, new_home: NewHome) -> None:
    """Everything else is ok, and what cannot be told is exit 2."""
    result = run("doctor", "--home", new_home.settings.home, "--json")
    findings = {finding["check"]: finding for finding in json.loads(result.stdout)}
    assert {name for name, one in findings.items() if one["state"] != "ok"} == {"configuration"}
    assert result.exit_code == 2


def test_what_failed_says_what_mends_it(run: Run, new_home: NewHome) -> None:
    """Each failed line is followed by the line that mends it; exit 1."""
    key: Path = next(new_home.settings.keys_directory.iterdir())
    key.chmod(0o644)
    result = run("doctor", "--home", new_home.settings.home)
    assert result.exit_code == 1
    assert f"To mend it: chmod go-rwx {key}" in result.stdout
