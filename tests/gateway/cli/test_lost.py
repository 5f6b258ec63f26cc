"""A lost registry: nothing that was stopped is free again, and every way out is told."""

from __future__ import annotations

import json
import shutil

import pytest

from gateway import administration
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.search.changes import changes
from gateway.cli.home import NewHome
from gateway.cli.lost import Recorded, log_knows_changes, read_schema, recorded_stops
from gateway.cli.output import Stop
from gateway.presence import Role, present
from gateway.registry.store import StopKind
from gateway.settings import Settings
from tests.gateway.cli.configuring import configure, write_folder
from tests.gateway.cli.conftest import Run

AGREEMENT = "DSA-2026-0004"
CLIENT = "council-app"
SPOILED = b"no database any more" * 300


@pytest.fixture
def settings(new_home: NewHome) -> Settings:
    """Return the settings of a home with an agreement and a client stopped, and one freed."""
    settings = new_home.settings
    configure(settings)
    for kind, key in (
        (StopKind.AGREEMENT, AGREEMENT), (StopKind.CLIENT, CLIENT), (StopKind.KEY, "k1"),
    ):  # fmt: skip
        administration.stop(settings, kind, key, reason="test", by="tests")
    administration.resume(settings, StopKind.KEY, "k1", reason="test", by="tests")
    return settings


def _lose(settings: Settings, content: bytes | None = None) -> None:
    for file in settings.home.glob("registry.db*"):
        file.unlink()
    if content is not None:
        (settings.home / "registry.db").write_bytes(content)


def _stopped(run: Run, settings: Settings) -> set[str]:
    listed = json.loads(run("stop", "list", "--home", settings.home, "--json").stdout)
    return {f"{one['kind']} {one['key']}" for one in listed["stops"]}


def test_the_log_s_last_word_on_each_stop_is_known(settings: Settings) -> None:
    """A client's name is sealed, and opened; what was freed is not among them."""
    expected = {(StopKind.AGREEMENT, AGREEMENT), (StopKind.CLIENT, CLIENT)}
    assert recorded_stops(settings) == Recorded(frozenset(expected), 0)
    assert log_knows_changes(settings)


def test_stops_that_cannot_be_named_any_more_are_counted(run: Run, settings: Settings) -> None:
    """A client's name goes with its day's key: whoever goes on without a registry is told."""
    keys = LogKeys(settings.keys_directory)
    for day in keys.days():
        keys.destroy_day(day)
    sealed = 1
    left = frozenset({(StopKind.AGREEMENT, AGREEMENT)})
    assert recorded_stops(settings) == Recorded(left, sealed)
    _lose(settings)
    made = run("db", "upgrade", "--registry-lost", "--home", settings.home)
    assert f"{sealed} more cannot be named any more" in made.stderr


@pytest.mark.parametrize("content", [None, b"", SPOILED], ids=["gone", "empty", "spoiled"])
def test_no_empty_registry_is_made_in_place_of_a_lost_one(
    run: Run, settings: Settings, content: bytes | None
) -> None:
    """`db upgrade` is refused and says what helps; knowingly done, what was stopped stays so."""
    _lose(settings, content)
    with pytest.raises(Stop) as refused:
        run("db", "upgrade", "--home", settings.home)
    assert refused.value.code == 1
    assert refused.value.mend.startswith("concordat db restore COPY --only registry")
    assert "db upgrade --registry-lost" in refused.value.mend
    assert read_schema(settings).is_empty

    words = ("db", "upgrade", "--registry-lost", "--home", settings.home)
    made = run(*words)
    assert "2 stops taken over" in made.stderr
    assert _stopped(run, settings) == {f"agreement {AGREEMENT}", f"client {CLIENT}"}
    aside = [path.read_bytes() for path in settings.home.glob("replaced-*/registry.db")]
    assert aside == ([] if content is None else [content])
    with pytest.raises(Stop, match="the registry is there"):
        run(*words)
    run("apply", write_folder(settings.home.parent / "files"), "--home", settings.home)
    doctor = json.loads(run("doctor", "--home", settings.home, "--json").stdout)
    assert {it["check"]: it["state"] for it in doctor}["stops"] == "ok"


def test_a_lost_registry_is_on_record(run: Run, settings: Settings) -> None:
    """The log says that it was made anew, and how many stops were taken over."""
    _lose(settings)
    run("db", "upgrade", "--registry-lost", "--home", settings.home)
    *_, last = changes(settings.audit_directory, None)
    assert (last.core["verb"], last.core["stops"]) == ("registry-lost", 2)


def test_nothing_is_made_anew_under_a_running_gateway(run: Run, settings: Settings) -> None:
    """It would go on by what it has: exit 1, with the line that ends it."""
    _lose(settings)
    with (
        present(settings.run_directory, Role.CONTROL),
        pytest.raises(Stop, match="a gateway of this home runs") as stopped,
    ):
        run("db", "upgrade", "--registry-lost", "--home", settings.home)
    assert stopped.value.mend.startswith("kill ")
    assert not (settings.home / "registry.db").exists()


def test_a_home_that_never_had_a_change_gets_its_registry(run: Run, new_home: NewHome) -> None:
    """Nothing can have been stopped by it."""
    _lose(new_home.settings)
    told = json.loads(run("db", "upgrade", "--home", new_home.settings.home, "--json").stdout)
    assert told["registry_changed"] is True


def test_a_log_that_is_gone_as_well_is_no_log_without_changes(run: Run, settings: Settings) -> None:
    """What it had of stops is not known then; the way on begins with the log."""
    _lose(settings)
    shutil.rmtree(settings.audit_directory)
    for words in (("db", "upgrade"), ("db", "upgrade", "--registry-lost")):
        with pytest.raises(Stop, match="is gone, though this gateway has had one") as stopped:
            run(*words, "--home", settings.home)
        assert stopped.value.mend.startswith("concordat doctor")
    assert not (settings.home / "registry.db").exists()
    run("audit", "shard", "retire", "--reason", "both lost", "--home", settings.home)
    run("db", "upgrade", "--registry-lost", "--home", settings.home)
    assert _stopped(run, settings) == set()


def test_a_log_that_cannot_be_asked_lets_nothing_be_made(run: Run, settings: Settings) -> None:
    """Whether there was a registry cannot be told then."""
    _lose(settings)
    for file in settings.audit_directory.glob("audit-*.db*"):
        file.write_bytes(SPOILED)
    for words in (("db", "upgrade"), ("db", "upgrade", "--registry-lost")):
        with pytest.raises(Stop) as stopped:
            run(*words, "--home", settings.home)
        assert stopped.value.mend.startswith("concordat doctor")
    assert not (settings.home / "registry.db").exists()
