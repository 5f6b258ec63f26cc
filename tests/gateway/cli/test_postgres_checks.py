"""`doctor` on the PostgreSQL of the audit log."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.keys.log_keys import LogKeys
from gateway.cli.checks import examine
from gateway.cli.finding import Finding, State
from gateway.cli.home import NewHome
from gateway.cli.postgres_checks import examine_postgres
from gateway.settings import load_settings
from tests.postgres import Postgres, running_postgres


def found(home: Path, url: str) -> Finding:
    """Return what is found on a server."""
    (finding,) = examine_postgres(load_settings(home, audit_url=url))
    return finding


def test_a_file_needs_no_server(new_home: NewHome) -> None:
    """A home without PostgreSQL is not asked about one."""
    assert list(examine_postgres(new_home.settings)) == []


def test_a_server_that_is_away_is_told(new_home: NewHome) -> None:
    """And its password is not."""
    finding = found(new_home.settings.home, "postgresql://u:secret@127.0.0.1:1/none")
    assert finding.state is State.FAILED
    assert "secret" not in finding.detail + finding.mend


def test_standbys_are_told(new_home: NewHome, postgres: Postgres) -> None:
    """None, one that follows, and one that does not while commits wait for it."""
    home, url = new_home.settings.home, postgres.new_database()
    assert "no synchronous standby" in found(home, url).detail
    with postgres.standby("north"):
        postgres.configure(synchronous_standby_names="north")
        while found(home, url).state is not State.OK:
            pass
        assert "on 1 synchronous standby" in found(home, url).detail
    while found(home, url).state is State.OK:
        pass
    assert "no commit ends" in found(home, url).detail


def test_a_server_that_may_lose_records_is_told(new_home: NewHome) -> None:
    """What is acknowledged must survive a crash (I3)."""
    with running_postgres(fsync="off") as careless:
        finding = found(new_home.settings.home, careless.url())
    assert (finding.state, "fsync" in finding.detail) == (State.FAILED, True)


def test_the_log_in_postgresql_is_checked(
    new_home: NewHome, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All other checks of the log look where it is."""
    monkeypatch.setenv("CONCORDAT_AUDIT_URL", postgres_url)
    findings = {finding.check: finding for finding in examine(new_home.settings.home)}
    assert findings["postgresql"].state is State.OK
    assert findings["audit log"].detail.startswith("none yet")
    assert findings["clock"].state is State.OK

    LogKeys(new_home.settings.keys_directory).note_begun("2026")
    gone = {finding.check: finding for finding in examine(new_home.settings.home)}["audit log"]
    assert gone.state is State.FAILED
    assert "concordat audit shard retire --reason TEXT" in gone.mend
