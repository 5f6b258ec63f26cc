"""The doctor on the registry: each finding leads out, and a stop that was lost is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway import administration
from gateway.audit.keys.log_keys import LogKeys
from gateway.cli.finding import Finding, State
from gateway.cli.home import NewHome
from gateway.cli.registry_checks import examine_registry
from gateway.database import open_engine
from gateway.registry.store import Registry, StopKind
from gateway.settings import Settings
from tests.gateway.cli.configuring import configure
from tests.gateway.cli.conftest import Run

AGREEMENT = "DSA-2026-0004"


@pytest.fixture
def settings(new_home: NewHome) -> Settings:
    """Return the settings of a home that was configured, with an agreement and a token stopped."""
    configure(new_home.settings)
    for kind, key in ((StopKind.AGREEMENT, AGREEMENT), (StopKind.TOKEN, "secret-jti")):
        administration.stop(new_home.settings, kind, key, reason="test", by="tests")
    return new_home.settings


def _found(settings: Settings) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine_registry(settings)}


def test_a_registry_that_was_lost_is_put_back_and_not_made_empty(settings: Settings) -> None:
    """Gone, empty or spoiled: the way out is a copy, and what to do where there is none."""
    path = settings.home / "registry.db"
    for content in (None, b"", b"no database any more" * 300):
        for file in settings.home.glob("registry.db*"):
            file.unlink()
        if content is not None:
            path.write_bytes(content)
        found = _found(settings)
        assert found["registry"].state is State.FAILED
        assert found["registry"].mend.startswith("concordat db restore COPY --only registry")
        assert "--registry-lost" in found["registry"].mend
        assert "stops" not in found
        assert content is None or path.read_bytes() == content


def test_a_stop_that_only_the_log_has_is_named(settings: Settings) -> None:
    """A token's identifier is not: it is counted."""
    assert _found(settings)["stops"].state is State.OK
    engine = open_engine(settings.database_url)
    for kind, key in ((StopKind.AGREEMENT, AGREEMENT), (StopKind.TOKEN, "secret-jti")):
        Registry(engine).resume(kind, key)
    engine.dispose()

    finding = _found(settings)["stops"]
    assert finding.state is State.FAILED
    assert finding.detail.endswith(f": agreement {AGREEMENT}, 1 more")
    assert finding.mend.startswith(f"concordat stop add agreement {AGREEMENT} --reason TEXT")
    assert "secret-jti" not in finding.detail + finding.mend


def test_what_cannot_be_compared_is_not_passed_over_in_silence(settings: Settings) -> None:
    """A token's name expires with its day's key; that is no fault."""
    keys = LogKeys(settings.keys_directory)
    for day in keys.days():
        keys.destroy_day(day)
    finding = _found(settings)["stops"]
    assert finding.state is State.OK
    assert finding.detail.endswith(", 1 not to be named any more")


def test_an_old_copy_of_the_registry_shows(run: Run, settings: Settings, tmp_path: Path) -> None:
    """Put back where the registry is gone, it lacks what was stopped since: doctor says so."""
    run("db", "backup", tmp_path / "copy", "--home", settings.home)
    administration.stop(settings, StopKind.CLIENT, "council-app", reason="lost", by="tests")
    for file in settings.home.glob("registry.db*"):
        file.unlink()
    run("db", "restore", tmp_path / "copy", "--only", "registry", "--home", settings.home)

    finding = _found(settings)["stops"]
    assert finding.detail.endswith(": client council-app")
    added = run(*finding.mend.partition(";")[0].replace("TEXT", "again").split()[1:])
    assert added.exit_code == 0
    assert _found(settings)["stops"].state is State.OK
    assert json.loads(run("stop", "list", "--home", settings.home, "--json").stdout)
