"""Each check of the doctor finds what it is there for."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

from gateway.cli.checks import Finding, State, examine
from gateway.cli.configuration import apply_directory, read_checked
from gateway.cli.home import NewHome
from gateway.demo.packs import BUILT_IN


def _found(home: Path) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(home)}


def test_settings_that_do_not_load_end_the_examination(new_home: NewHome) -> None:
    """Without settings nothing else can be looked at."""
    home = new_home.settings.home
    (home / "concordat.yaml").write_text("colour: red\n")
    assert [finding.state for finding in examine(home)] == [State.FAILED]


def test_files_that_others_may_read_are_found(new_home: NewHome) -> None:
    """Each is named, and the line that mends it mends it."""
    settings = new_home.settings
    exposed = [settings.home, settings.home / "concordat.yaml", settings.home / "registry.db"]
    exposed.append(settings.audit_directory / "audit-2026.db")
    exposed[-1].touch()
    assert _found(settings.home)["files"].state is State.OK
    for path in exposed:
        path.chmod(0o755)

    finding = _found(settings.home)["files"]
    assert finding.state is State.FAILED
    assert shlex.split(finding.mend) == ["chmod", "go-rwx", *map(str, exposed)]
    subprocess.run(shlex.split(finding.mend), check=True)
    assert _found(settings.home)["files"].state is State.OK


def test_a_home_that_is_not_there_is_named(tmp_path: Path) -> None:
    """It is told before its settings are missed."""
    (finding,) = examine(tmp_path / "nope")
    assert finding.state is State.FAILED
    assert finding.detail == f"{tmp_path / 'nope'} is not there"


def test_an_old_schema_is_found(new_home: NewHome) -> None:
    """A registry without its tables needs the upgrade, and the finding says how."""
    home = new_home.settings.home
    for file in home.glob("registry.db*"):
        file.unlink()
    finding = _found(home)["registry"]
    assert finding.state is State.FAILED
    assert finding.mend.startswith("concordat db upgrade")


def test_services_and_issuers_that_are_not_there_are_found(new_home: NewHome) -> None:
    """A configuration that points nowhere fails at its neighbours."""
    configuration = read_checked(BUILT_IN)
    name, service = next(iter(configuration.services.items()))
    only = replace(
        configuration,
        services={name: {**service, "base_url": "http://127.0.0.1:9"}},
        issuers={"https://idp.one.example": {"metadata_url": "http://127.0.0.1:9/"}},
    )
    apply_directory(only, new_home.settings)
    found = _found(new_home.settings.home)
    assert found["service"].state is State.FAILED
    assert found["issuer"].state is State.FAILED
