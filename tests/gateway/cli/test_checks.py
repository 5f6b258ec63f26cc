"""Each check of the doctor finds what it is there for."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from gateway.administration import stop
from gateway.audit.reading.reader import find_log
from gateway.audit.sqlite import open_database
from gateway.audit.tree import SEALED_HEAD_NAME
from gateway.cli.checks import Finding, State, examine
from gateway.cli.configuration import apply_directory, read_checked
from gateway.cli.home import NewHome
from gateway.clock import monotonic_us
from gateway.demo.packs import BUILT_IN
from gateway.registry.store import StopKind
from gateway.telemetry import Counters
from tests.configured import pack_configuration


def _found(home: Path, **options: int) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(home, **options)}


def _change(path: Path, statement: str) -> None:
    """Change the log behind its back."""
    database = open_database(path)
    database.execute(statement)
    database.close()


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


def test_a_registry_that_is_not_there_is_not_made(new_home: NewHome) -> None:
    """The doctor changes nothing."""
    home = new_home.settings.home
    (home / "registry.db").unlink()
    before = sorted(home.rglob("*"))
    assert _found(home)["registry"].state is State.FAILED
    assert sorted(home.rglob("*")) == before


def test_keys_that_are_missing_or_spoiled_are_found(new_home: NewHome) -> None:
    """None is made in their place; the log, which needs one, cannot be judged."""
    settings = new_home.settings
    stop(settings, StopKind.KEY, "k1", reason="makes a log", by="tests")
    key = settings.keys_directory / "log-signing.key"
    content = key.read_bytes()
    for spoil in (lambda: key.write_bytes(b"short"), lambda: key.chmod(0o644), key.unlink):
        spoil()
        found = _found(settings.home)
        assert found["keys"].state is State.FAILED
        assert found["audit log"].state is State.UNKNOWN
    assert not key.exists()
    key.write_bytes(content)
    assert _found(settings.home)["keys"].state is State.OK
    assert _found(settings.home)["audit log"].state is State.OK

    shutil.rmtree(settings.keys_directory)
    assert _found(settings.home)["keys"].mend.startswith("cp -a COPY/keys")
    assert not settings.keys_directory.exists()


def test_a_log_that_takes_no_records_is_found(new_home: NewHome) -> None:
    """Frozen, tampered with, or gone though a head of it was sealed."""
    settings = new_home.settings
    stop(settings, StopKind.KEY, "k1", reason="makes a log", by="tests")
    path = find_log(settings.audit_directory)
    _change(path, "UPDATE audit_head SET state = 'frozen'")
    frozen = _found(settings.home)["audit log"]
    assert (frozen.state, "frozen" in frozen.detail) == (State.FAILED, True)

    _change(path, "UPDATE audit_head SET state = 'open', next_index = next_index + 1")
    assert "next index" in _found(settings.home)["audit log"].detail

    (settings.audit_directory / SEALED_HEAD_NAME).write_text("a head")
    for file in settings.audit_directory.glob("audit-*"):
        file.unlink()
    gone = _found(settings.home)["audit log"]
    assert gone.state is State.FAILED
    assert gone.mend.startswith("cp -a COPY/audit/.")


def test_a_log_that_is_gone_with_its_heads_is_found(new_home: NewHome) -> None:
    """A home that never had one is well; afterwards its keys tell."""
    settings = new_home.settings
    assert "none yet" in _found(settings.home)["audit log"].detail
    stop(settings, StopKind.KEY, "k1", reason="makes a log", by="tests")
    shutil.rmtree(settings.audit_directory)
    gone = _found(settings.home)["audit log"]
    assert (gone.state, gone.detail) == (State.FAILED, "is gone, though this gateway has had one")
    assert gone.mend.startswith("concordat db restore COPY --only audit")
    assert "concordat audit shard retire --reason TEXT" in gone.mend
    (settings.keys_directory / "log-shard").chmod(0o644)  # who cannot read it takes it to be so
    assert _found(settings.home)["audit log"].state is State.FAILED


def test_a_clock_that_fell_behind_is_found(new_home: NewHome) -> None:
    """The newest record of the log is later than now."""
    stop(new_home.settings, StopKind.KEY, "k1", reason="makes a log", by="tests")
    assert _found(new_home.settings.home)["clock"].state is State.OK
    path = find_log(new_home.settings.audit_directory)
    _change(path, "UPDATE audit_record SET t = t + 3600000000")
    finding = _found(new_home.settings.home)["clock"]
    assert finding.state is State.FAILED
    assert finding.mend.startswith("timedatectl set-ntp true")


def test_a_full_disk_is_found(new_home: NewHome) -> None:
    """More room is asked for than any disk has."""
    finding = _found(new_home.settings.home, disk_free_bytes_min=1 << 62)["disk"]
    assert finding.state is State.FAILED
    assert finding.mend.startswith("du -xsh")


def test_a_stop_list_that_nobody_reads_any_more_is_found(new_home: NewHome) -> None:
    """A worker that cannot read it is named, with what mends it."""
    settings = new_home.settings
    assert "no gateway of this home runs" in _found(settings.home)["stop-list"].detail
    counters = Counters.open(settings.run_directory, "worker")
    counters.stop_list_read()
    assert _found(settings.home)["stop-list"].state is State.OK
    counters.stop_list_read(asked_us=monotonic_us() - 3_000_000)
    finding = _found(settings.home)["stop-list"]
    counters.close()

    assert finding.state is State.FAILED
    assert finding.detail.startswith("not read for 3.")
    assert finding.mend.startswith("concordat db upgrade")
    assert f"kill {os.getpid()}" in finding.mend


def test_a_configuration_that_is_not_in_force_is_found(new_home: NewHome) -> None:
    """One that cannot be enforced, and one that a worker has not taken up."""
    settings = new_home.settings
    configuration = pack_configuration()
    services = {
        name: {**document, "base_url": "https://127.0.0.1:9"}
        for name, document in configuration.services.items()
    }
    good = replace(configuration, services=services, issuers={})
    apply_directory(good, settings)
    found = _found(settings.home)
    assert found["configuration"].state is State.OK
    assert found["configuration"].detail.startswith("revision 1: ")
    assert found["service"].mend.startswith("concordat service test")

    counters = Counters.open(settings.run_directory, "worker")
    counters.stop_list_read()
    behind = _found(settings.home)["configuration"]
    assert behind.detail == f"revision 1 is not enforced yet by the workers {os.getpid()}"
    counters.revision_adopted(1)
    assert _found(settings.home)["configuration"].state is State.OK
    counters.close()

    apply_directory(replace(good, services=dict(list(services.items())[:1])), settings)
    broken = _found(settings.home)["configuration"]
    assert broken.state is State.FAILED
    assert broken.mend.startswith("concordat config check")


def test_every_place_of_a_service_is_looked_at(new_home: NewHome) -> None:
    """The finding names the places that are down, and a missing secret before any of them."""
    configuration = pack_configuration()
    name, service = next(iter(configuration.services.items()))
    places = ["https://127.0.0.1:9", "https://127.0.0.2:9"]
    key = {"kind": "api-key", "header": "X-Api-Key", "secret": "file:key"}
    plain = {member: value for member, value in service.items() if member != "base_url"}
    for more, told in (
        ({"networks": ["127.0.0.0/8"]}, "https://127.0.0.2:9: "),
        ({"credentials": key}, "file:key cannot be read"),
    ):
        only = {name: {**plain, "base_urls": places, **more}}
        apply_directory(replace(configuration, services=only, issuers={}), new_home.settings)
        finding = _found(new_home.settings.home)["service"]
        assert finding.state is State.FAILED
        assert told in finding.detail


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
