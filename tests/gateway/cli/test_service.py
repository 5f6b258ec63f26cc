"""`service list|test`, as they are typed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from tests.configured import pack_configuration
from tests.gateway.cli.configuring import configure
from tests.gateway.cli.conftest import Run


def test_services_are_listed_with_their_use(run: Run, new_home: NewHome) -> None:
    """Where each is, how many agreements name it, and whether it is stopped."""
    configure(new_home.settings)
    home = ("--home", new_home.settings.home)
    run("stop", "add", "service", "nv-housing", "--reason", "moves", *home)
    listed = json.loads(run("service", "list", *home, "--json").stdout)["services"]
    found = {one["connector"]: one for one in listed}

    assert set(found) == set(pack_configuration().services)
    assert [name for name, one in found.items() if one["stopped"]] == ["nv-housing"]
    assert found["dwp-eligibility"]["agreements"] >= 1
    assert "https://service.example" in run("service", "list", *home).stdout


def test_a_service_that_cannot_be_reached_fails_the_test(run: Run, new_home: NewHome) -> None:
    """Each is tried, and one that fails is exit 1; a name that is none is exit 2."""
    configuration = pack_configuration()
    service = {**configuration.services["nv-housing"], "base_url": "https://127.0.0.1:9"}
    services = {**configuration.services, "nv-housing": service}
    configure(new_home.settings, replace(configuration, services=services))
    home = ("--home", new_home.settings.home)
    told = run("service", "test", "nv-housing", *home)

    assert told.exit_code == 1
    assert told.stdout.startswith("failed  nv-housing")
    with pytest.raises(Stop, match="did you mean 'nv-housing'") as stopped:
        run("service", "test", "nv-housin", *home)
    assert stopped.value.code == 2
