"""What the doctor says of receivers of forwarded events."""

from __future__ import annotations

from pathlib import Path

from gateway.cli.finding import State
from gateway.cli.siem_checks import examine_siem
from gateway.settings import load_settings
from gateway.telemetry import Counters
from tests.certificates import make_certificate_in
from tests.gateway.audit.records import filled, tampered
from tests.running import free_port
from tests.siem import otlp_collector, syslog_listener, trusted

FACTS = {"organisation": "ods:X9Z", "public_base_url": "https://gateway.dept-a.example"}


def test_receivers_are_reached_and_told_nothing(tmp_path: Path) -> None:
    """Each is ok with how much waits, also before there is a log."""
    certificate = make_certificate_in(tmp_path)
    with syslog_listener(certificate) as listener, otlp_collector() as collector:
        settings = load_settings(
            tmp_path, **FACTS, siem_url=f"syslog+tls://localhost:{listener.port}",
            siem_otlp_url=collector.url, siem_ca=trusted(certificate, tmp_path),
        )  # fmt: skip
        before = list(examine_siem(settings))
        filled(tmp_path, 4)
        after = list(examine_siem(settings))

    assert [one.state for one in before + after] == [State.OK] * 4
    assert "cannot be read" in before[0].detail
    assert all("9 records wait" in one.detail for one in after)
    assert listener.received.messages == collector.received.messages == []


def test_one_that_is_away_or_far_behind_fails(tmp_path: Path) -> None:
    """With what mends it; that much waits while no gateway runs is no fault."""
    place = filled(tmp_path, 4)
    tampered(place, "UPDATE audit_record SET t = 1")
    settings = load_settings(
        tmp_path, **FACTS, siem_otlp_url=f"http://127.0.0.1:{free_port()}/v1/logs"
    )
    (away,) = examine_siem(settings)
    with otlp_collector() as collector:
        settings = load_settings(tmp_path, **FACTS, siem_otlp_url=collector.url)
        (idle,) = examine_siem(settings)
        counters = Counters.open(settings.run_directory, "worker")
        (behind,) = examine_siem(settings)
        counters.close()

    assert (away.state, idle.state, behind.state) == (State.FAILED, State.OK, State.FAILED)
    assert "no connection" in away.detail
    assert "is behind: 9 records" in behind.detail
    assert away.mend
    assert behind.mend
