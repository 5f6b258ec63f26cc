"""`audit prepare` and `audit fence`, as they are typed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Final

import pytest
from typer.main import get_group

from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.place import PostgresLog
from gateway.audit.postgresql.session import open_session
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.reading.reader import find_log
from gateway.cli.audit import audit
from gateway.cli.checks import State, examine
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.clock import uuid_text
from gateway.data_plane import log_home, log_origin
from gateway.settings import load_settings
from tests.gateway.cli.configuring import configure
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_erasing import about_ann


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


def test_every_command_of_audit_takes_a_log_in_postgresql(
    run: Run, new_home: NewHome, postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each of them reads, proves, exports and erases as of a file; a new one is missed here."""
    monkeypatch.setenv("CONCORDAT_AUDIT_URL", postgres_url)
    settings = load_settings(new_home.settings.home)
    configure(settings)
    exchange = uuid_text(about_ann(settings))
    integrator = Integrator(
        log_home(settings), origin=log_origin(settings), keys=LogKeys(settings.keys_directory)
    )
    integrator.step()
    about_ann(settings)
    integrator.step()
    integrator.close()
    people = tmp_path / "people.csv"
    people.write_text("person,label,staff\nnhs_number:9990000026,SYNTHETIC,\n")
    lines = _LINES.format(
        exchange=exchange, out=tmp_path, people=people, ann="nhs_number:9990000018"
    ).splitlines()
    typed = [shlex.split(text) for text in lines if text]
    for words in typed:
        done = run("audit", *words, "--home", settings.home)
        assert done.exit_code == 0, (words, done.output)
    assert not list(settings.audit_directory.glob("audit-*.db"))
    ended = run("audit", "shard", "retire", "--reason", "year end", "--home", settings.home)
    assert "begun" in ended.stdout
    listed = json.loads(run("audit", "shard", "list", "--home", settings.home, "--json").stdout)
    assert [one["state"] for one in listed["shards"]] == ["sealed", "open"]
    for one in listed["shards"]:
        assert run("audit", "fsck", "--log", one["file"], "--home", settings.home).exit_code == 0
    found = [one for one in examine(settings.home) if one.check == "audit log"]
    assert {one.state for one in found} == {State.OK}
    assert {words[0] for words in typed} | _ELSEWHERE == set(get_group(audit).commands)


_LINES: Final = """
search --person {ann}
show {exchange}
count --by agreement
reach --agreement DSA-2026-0003
member {exchange} --person {ann}
due
register
watch {people}
outages
note incident INC-2026-001 --step aware
reindex
prove {exchange}
consistency 4 6
export --out {out}/log.ndjson
evidence {exchange} --out {out}/pack.pyz
verify
fsck
shard list
retention show
keys list
hold list
erase --person {ann} --reason RIGHT_TO_ERASURE --authority SYNTHETIC --yes
replay
verify --open
"""
_ELSEWHERE: Final = frozenset({"prepare", "fence", "monitor", "diff-checkpoints"})
"""Two are tested above, and two read a log that somebody serves, wherever it is kept."""
