"""`audit register`, as it is typed."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.administration import apply_configuration
from gateway.audit.entry import Kind, Record
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.clock import new_uuid7, system_time_us
from gateway.data_plane import open_audit_log
from gateway.registry.configuration import read_directory
from tests.gateway.cli.conftest import Run
from tests.world import PACK


def flow_unsigned(new_home: NewHome) -> None:
    """Record an exchange under a text of an agreement that was never applied."""
    core: dict[str, object] = {
        "decision": "permit", "agreement": "DSA-9", "agreement_version": 1,
        "agreement_digest": "sha256:00",
    }  # fmt: skip
    record = Record(
        record_id=new_uuid7(),
        kind=Kind.INTENT,
        exchange=new_uuid7(),
        at_us=system_time_us(),
        sections={"core": core},
    )

    async def append() -> None:
        log = open_audit_log(new_home.settings, instance="test")
        await log.start()
        await log.append(record)
        await log.stop()

    asyncio.run(append())


def test_what_was_never_signed_is_found(run: Run, new_home: NewHome) -> None:
    """Exit 1 for exchanges under a text that nobody knows; others are listed all the same."""
    home = new_home.settings.home
    apply_configuration(read_directory(PACK), new_home.settings, by="test")
    assert run("audit", "register", "DSA-2026-0002", "--home", home).exit_code == 0
    flow_unsigned(new_home)
    ended = run("audit", "register", "--home", home)
    assert ended.exit_code == 1
    assert "! not in the registry: no such text was ever applied" in ended.stdout
    assert "DSA-2026-0002 version 2, 0 exchanges" in ended.stdout
    rows = json.loads(run("audit", "register", "DSA-9", "--json", "--home", home).stdout)
    (row,) = rows["agreements"]
    assert (row["exchanges"], row["digest"], row["parties"]) == (1, "sha256:00", [])


def test_an_agreement_that_never_was_is_told(run: Run, new_home: NewHome) -> None:
    """With the command that lists them."""
    apply_configuration(read_directory(PACK), new_home.settings, by="test")
    with pytest.raises(Stop, match="no agreement DSA-0"):
        run("audit", "register", "DSA-0", "--home", new_home.settings.home)
