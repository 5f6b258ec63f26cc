"""`db upgrade|backup|restore`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway import administration
from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import find_log
from gateway.audit.search.query import Filters, find
from gateway.cli.home import NewHome, create_home
from gateway.cli.output import Stop
from gateway.presence import Role, present
from gateway.registry.store import StopKind
from gateway.settings import load_settings
from tests.configured import postgresql_url
from tests.gateway.cli.configuring import configure
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_log import deny_one


@pytest.fixture
def home(new_home: NewHome) -> Path:
    """Return a home that was configured, so that it has a log."""
    configure(new_home.settings)
    return new_home.settings.home


def test_upgrade_is_safe_to_repeat(run: Run, new_home: NewHome) -> None:
    """Databases that are up to date stay so; it tells whether there is a log."""
    words = ("db", "upgrade", "--home", new_home.settings.home, "--json")
    before = json.loads(run(*words).stdout)
    configure(new_home.settings)
    after = json.loads(run(*words).stdout)

    assert before == {"upgraded": True, "registry_changed": False, "audit_log": False}
    assert after == {"upgraded": True, "registry_changed": False, "audit_log": True}


def test_upgrade_tells_of_a_log_that_cannot_be_used(run: Run, home: Path) -> None:
    """The registry is up to date then, and the exit code is that of a failed check."""
    find_log(home / "audit").write_bytes(b"no database any more" * 300)

    with pytest.raises(Stop, match="the audit log is not") as stopped:
        run("db", "upgrade", "--home", home)
    assert stopped.value.code == 1


def test_a_copy_is_made_and_put_back(run: Run, new_home: NewHome, home: Path) -> None:
    """Told for people and for programs; that it was put back is on record."""
    copy = home.parent / "copy"
    told = run("db", "backup", copy, "--home", home)
    assert "Registry: revision 1" in told.stdout
    assert "Not in the copy" in told.stdout
    again = json.loads(run("db", "backup", copy / "json", "--home", home, "--json").stdout)
    assert again["revision"] == 1
    assert again["shards"][0]["records"] == 2

    restored = run("db", "restore", copy, "--home", home)
    assert "Put back: audit/audit-" in restored.stdout
    assert "What was there before is in" in restored.stdout
    settings = new_home.settings
    keys = LogKeys(settings.keys_directory)
    found = find(find_log(settings.audit_directory), Filters(kind=Kind.CHANGE), keys=keys)
    assert [item["verb"] for item in found.items] == ["restore", "apply"]
    doctor = json.loads(run("doctor", "--home", home, "--json").stdout)
    failed = {it["check"] for it in doctor if it["state"] != "ok"}
    assert failed <= {"issuer", "service"}  # nobody is there to be reached


def test_an_old_copy_is_refused(run: Run, new_home: NewHome, home: Path) -> None:
    """F11: exit 1, the sentence, and what can be done."""
    copy = home.parent / "copy"
    run("db", "backup", copy, "--home", home)
    administration.stop(new_home.settings, StopKind.KEY, "k1", reason="lost", by="tests")

    for part in ("registry", "audit"):
        with pytest.raises(Stop) as stopped:
            run("db", "restore", copy, "--only", part, "--home", home)
        assert stopped.value.code == 1
        assert "nothing was changed" in stopped.value.mend
    with pytest.raises(Stop, match="there is no part 'keys'") as wrong:
        run("db", "restore", copy, "--only", "keys", "--home", home)
    assert wrong.value.code == 2


def test_nothing_is_put_back_under_a_running_gateway(run: Run, home: Path) -> None:
    """A gateway of the home runs: exit 1, with the line that ends it."""
    copy = home.parent / "copy"
    run("db", "backup", copy, "--home", home)

    with (
        present(home / "run", Role.CONTROL),
        pytest.raises(Stop, match="a gateway of this home runs") as stopped,
    ):
        run("db", "restore", copy, "--home", home)
    assert stopped.value.code == 1
    assert stopped.value.mend.startswith("kill ")


def test_a_copy_needs_an_empty_folder(run: Run, home: Path) -> None:
    """What is there is not written over: wrong usage."""
    with pytest.raises(Stop, match="is not empty") as stopped:
        run("db", "backup", home, "--home", home)
    assert stopped.value.code == 2


def test_postgresql_is_copied_by_its_own_tools(run: Run, tmp_path: Path, postgres_url: str) -> None:
    """The copy holds the rest, and says so; it is put back without touching the database."""
    made = create_home(
        tmp_path / "home",
        organisation="ods:X9Z",
        public_base_url="http://127.0.0.1:8080",
        registry_url=postgresql_url(postgres_url),
    )
    configure(made.settings)
    copy = tmp_path / "copy"
    told = run("db", "backup", copy, "--home", made.settings.home)

    assert "pg_dump" in told.stdout
    assert not (copy / "registry.db").exists()
    assert "Put back: audit/" in run("db", "restore", copy, "--home", made.settings.home).stdout


def test_a_log_in_postgresql_is_brought_up_to_date_and_copied_by_its_own_tools(
    run: Run, new_home: NewHome, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither command says of a log that is in a database that there is none."""
    home = new_home.settings.home
    monkeypatch.setenv("CONCORDAT_AUDIT_URL", postgres_url)
    assert "audit log" not in run("db", "upgrade", "--home", home).stdout
    deny_one(load_settings(home))
    assert "audit log is up to date" in run("db", "upgrade", "--home", home).stdout
    copied = run("db", "backup", home.parent / "copy", "--home", home).stdout
    assert "The audit log is in PostgreSQL: after this copy, copy it with pg_dump" in copied
    listed = run("audit", "shard", "list", "--home", home).stdout
    assert "open    2 records, 0 signed" in listed
    ended = run("audit", "shard", "retire", "--reason", "year end", "--home", home).stdout
    assert "begun" in ended
