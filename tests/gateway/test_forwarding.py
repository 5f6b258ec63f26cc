"""Forwarding by a gateway: both receivers are told everything, whatever is killed or stalls."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx2
import pytest
import yaml

from gateway.app import open_control_plane
from gateway.audit.exports.events import is_event
from gateway.audit.exports.selection import Selection, pick
from gateway.audit.publishing.published import published_head
from gateway.audit.reading.reader import find_log, snapshot
from gateway.data_plane import Composition
from gateway.forwarding import forwarding_metrics, receivers_of
from gateway.settings import Settings, SettingsInvalid, load_settings
from tests.certificates import Certificate, make_certificate_in
from tests.homes import apply_pack, make_settings
from tests.listening import until
from tests.running import Running, free_port, kill_all, running_gateway
from tests.siem import otlp_collector, syslog_listener, trusted
from tests.world import PACK

OPEN_PATH: Final = "/open/v1/admissions-monthly.csv"
CALLS: Final = 12


def siem_home(home: Path, *, syslog: int, otlp: str, certificate: Certificate) -> None:
    """Have a home forward to both kinds of receivers."""
    home.mkdir(exist_ok=True)
    authorities = trusted(certificate, home)
    (home / "concordat.yaml").write_text(
        f"siem_url: syslog+tls://localhost:{syslog}\n"
        f"siem_otlp_url: {otlp}\n"
        f"siem_ca: {authorities}\n"
    )


def published_events(settings: Settings) -> set[int]:
    """Return the indices of all events that the published checkpoint covers."""
    place = find_log(settings.audit_directory)
    head = published_head(place)
    assert head is not None
    with snapshot(place) as db:
        return {one.index for one in pick(db, Selection(), end=head.size) if is_event(one)}


def pack_without_services(directory: Path) -> Path:
    """Return the packaged scenarios, with services that nobody answers for."""
    shutil.copytree(PACK, directory)
    path = directory / "services.yaml"
    document = yaml.safe_load(path.read_text())
    for service in document["services"]:
        service["base_url"] = "http://127.0.0.1:9"
    path.write_text(yaml.safe_dump(document))
    return directory


def call(running: Running, times: int) -> None:
    """Make exchanges; that a service is not there is on record like anything else."""
    for _ in range(times):
        httpx2.get(f"{running.base_url}{OPEN_PATH}", trust_env=False)


def test_receivers_are_shown_what_the_settings_refer_to(tmp_path: Path) -> None:
    """Both get the certificate, the collector the token too; neither stands in the settings."""
    certificate = make_certificate_in(tmp_path)
    home = tmp_path / "home"
    secrets = home / "secrets"
    secrets.mkdir(parents=True)
    client = make_certificate_in(secrets, "gateway.example")
    (secrets / "token").write_text("abc")
    for secret in secrets.iterdir():
        secret.chmod(0o600)
    with (
        syslog_listener(certificate, client=client) as listener,
        otlp_collector(certificate=certificate, client=client) as collector,
    ):
        siem_home(home, syslog=listener.port, otlp=collector.url, certificate=certificate)
        with (home / "concordat.yaml").open("a") as file:
            file.write(f"siem_certificate: file:{client.path.name}\nsiem_token: file:token\n")
        for receiver in receivers_of(make_settings(home)):
            receiver.probe()
            receiver.close()
    assert listener.received.connections == 1
    assert collector.credentials == ["Bearer abc"]


def test_no_record_is_missing_after_kill_9(tmp_path: Path) -> None:
    """A gateway and its receiver die between exchanges; both receivers have it all (F2)."""
    certificate, home, port = make_certificate_in(tmp_path), tmp_path / "home", free_port()
    pack = pack_without_services(tmp_path / "pack")
    with ExitStack() as stack:
        collector = stack.enter_context(otlp_collector())
        first = stack.enter_context(syslog_listener(certificate))
        siem_home(home, syslog=first.port, otlp=collector.url, certificate=certificate)
        with running_gateway(home, pack, port=port) as running:
            call(running, CALLS)
            first.received.wait_for({0, 1})
            first.stall()  # what its host has taken from now on, it will never read
            call(running, CALLS)
            collector.received.wait_for_number(2 * CALLS)
            call(running, CALLS)
            first.close()
            kill_all(running)
        second = stack.enter_context(syslog_listener(certificate, first.port))
        with running_gateway(home, pack, port=port) as running:
            call(running, CALLS)
            settings = running.settings
            expected = published_events(settings)
            assert len(expected) > 3 * CALLS
            collector.received.wait_for(expected)
            second.received.wait_for(expected - first.received.indices)
            metrics = httpx2.get(f"{running.control_url}/metrics", trust_env=False).text
            ready = httpx2.get(f"{running.control_url}/readyz", trust_env=False).json()
    uids = {event["metadata"]["uid"] for event in collector.received.events}

    assert len(uids) == len(collector.received.indices)
    assert 'concordat_siem_lag_records{receiver="syslog"}' in metrics
    assert 'concordat_siem_lag_seconds{receiver="otlp"}' in metrics
    assert "warnings" not in ready


def test_a_receiver_that_is_away_is_told_of_and_holds_up_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gateway stays ready, warns, and tells how far behind it is; then it catches up."""

    async def play() -> None:
        certificate, home = make_certificate_in(tmp_path), tmp_path / "home"
        syslog, otlp = free_port(), free_port()
        url = f"http://127.0.0.1:{otlp}/v1/logs"
        siem_home(home, syslog=syslog, otlp=url, certificate=certificate)
        settings = make_settings(home)
        apply_pack(settings, "http://127.0.0.1:9")
        composition = Composition(settings=settings, allow_loopback_http=True)
        async with open_control_plane(composition) as control:
            await until(lambda: len(control.troubles.readiness().warnings) == 2)
            readiness = control.troubles.readiness()
            assert readiness.ready
            assert "by otlp: no connection" in "".join(readiness.warnings)
            with otlp_collector(port=otlp), syslog_listener(certificate, syslog):
                await until(lambda: not control.troubles.readiness().warnings, pause_s=0.05)

    asyncio.run(play())
    told = [line for line in capsys.readouterr().err.splitlines() if "siem.failed" in line]
    assert len(told) == 2
    assert "127.0.0.1" not in "".join(told)


def test_a_receiver_is_named_whole(tmp_path: Path) -> None:
    """Only TLS, and the port of RFC 5425 where none is given; otherwise the setting is refused."""
    settings = make_settings(tmp_path)
    assert list(receivers_of(settings)) == []
    assert forwarding_metrics([]) == b""
    facts = {"organisation": "ods:X9Z", "public_base_url": "https://gw.example"}
    for name, value in (
        ("siem_url", "syslog://siem.example"),
        ("siem_url", "syslog+tls://user@siem.example"),
        ("siem_url", "syslog+tls://siem.example/path"),
        ("siem_url", "syslog+tls://siem.example:99999"),
        ("siem_otlp_url", "http://siem.example/v1/logs"),
        ("siem_otlp_url", "https://user:secret@siem.example/v1/logs"),
        ("siem_otlp_url", "https://siem.example/v1/logs?key=secret"),
    ):
        with pytest.raises(SettingsInvalid) as invalid:
            load_settings(tmp_path, **facts, **{name: value})
        assert name in str(invalid.value)
        assert "secret" not in str(invalid.value)
    good = load_settings(
        tmp_path,
        **facts,
        siem_url="syslog+tls://siem.example",
        siem_otlp_url="https://a.example/v1",
    )
    assert [receiver.name for receiver in receivers_of(good)] == ["syslog", "otlp"]
