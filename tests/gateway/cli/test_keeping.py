"""What a home keeps and until when, and the end of a year's key."""

from __future__ import annotations

import pytest

from gateway.audit.entry import Kind
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.people import year_of
from gateway.cli.home import NewHome
from gateway.cli.keeping import destroy_year, keys_of, retention_of
from gateway.cli.output import Stop
from gateway.clock import system_time_us
from tests.gateway.cli.test_erasing import WHY, about_ann, records_of
from tests.homes import apply_pack


def test_classes_and_agreements_have_their_periods(new_home: NewHome) -> None:
    """Settings say it where no agreement does; core and peer stay as long as the log."""
    apply_pack(new_home.settings, "http://127.0.0.1:9")
    kept = retention_of(new_home.settings)
    assert kept["classes"] == {
        "core": None, "peer": None, "net": "P1Y",
        "actor": "P6Y", "payload": "P6Y", "subject": "P6Y",
    }  # fmt: skip
    by_name = {one["agreement"]: one for one in kept["agreements"]}
    assert by_name["DSA-2026-0003"] == {
        "agreement": "DSA-2026-0003", "kept_for": "P7Y", "net": "P1Y", "on_hold": False,
    }  # fmt: skip
    assert (kept["days_with_keys"], kept["oldest_day"]) == (0, None)


def test_a_past_year_s_key_is_destroyed_on_record(new_home: NewHome) -> None:
    """The present year's never is; one that is not there cannot be."""
    settings, keys = new_home.settings, LogKeys(new_home.settings.keys_directory)
    about_ann(settings)
    now = year_of(system_time_us())
    keys.subject_key(now)
    keys.subject_key(now - 2)
    assert keys_of(settings)["years"] == [now - 2, now]
    assert len(keys_of(settings)["days"]) == 1
    with pytest.raises(Stop, match="not over"):
        destroy_year(settings, now, **WHY)
    with pytest.raises(Stop, match="cannot be recorded"):
        destroy_year(settings, now - 2, **{**WHY, "authority": "\udcff"})
    destroy_year(settings, now - 2, **WHY)
    assert keys_of(settings)["years"] == [now]
    with pytest.raises(Stop, match="no key"):
        destroy_year(settings, now - 2, **WHY)
    (change,) = records_of(settings, Kind.CHANGE)
    assert (change["verb"], change["year"]) == ("destroy-key", now - 2)
