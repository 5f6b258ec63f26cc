"""`audit prepare` and `audit fence`, as they are typed."""

from __future__ import annotations

import json

import pytest

from gateway.audit.place import PostgresLog
from gateway.audit.postgres_session import open_session
from gateway.audit.reader import find_log
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.data_plane import log_home
from gateway.settings import load_settings
from tests.gateway.cli.conftest import Run


def test_a_log_is_prepared_and_fenced(
    run: Run, new_home: NewHome, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F12: the schema is made, the rights are SQL that runs, and each fence is a new epoch."""
    monkeypatch.setenv("CONCORDAT_AUDIT_URL", postgres_url)
    home = new_home.settings.home
    rights = run("audit", "prepare", "--role", "postgres", "--home", home).stdout
    place = find_log(log_home(load_settings(home)))
    assert isinstance(place, PostgresLog)
    session = open_session(place)
    session.raw.execute(rights)
    session.close()

    for epoch in (2, 3):
        told = run("audit", "fence", "--home", home, "--json").stdout
        assert json.loads(told) == {"epoch": epoch}
    with pytest.raises(Stop, match="no name"):
        run("audit", "prepare", "--role", 'x"', "--home", home)


@pytest.mark.parametrize("words", [("prepare", "--role", "gateway"), ("fence",)])
def test_a_file_is_not_fenced(run: Run, new_home: NewHome, words: tuple[str, ...]) -> None:
    """Both are for PostgreSQL alone, and say so."""
    with pytest.raises(Stop, match="is a file"):
        run("audit", *words, "--home", new_home.settings.home)


def test_a_server_that_is_away_is_said(
    run: Run, new_home: NewHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command fails in one sentence, without a password."""
    monkeypatch.setenv("CONCORDAT_AUDIT_URL", "postgresql://u:secret@127.0.0.1:1/none")
    with pytest.raises(Stop, match="cannot be read") as stop:
        run("audit", "fence", "--home", new_home.settings.home)
    assert "secret" not in str(stop.value)
