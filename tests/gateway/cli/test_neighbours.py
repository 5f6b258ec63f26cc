"""What the configuration points to is asked, and what it answers is judged."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from gateway.cli.finding import Finding, State
from gateway.cli.home import NewHome
from gateway.cli.neighbours import examine_neighbours
from gateway.registry.documents import Configuration
from tests.issuing import METADATA_PATH, IssuerServer
from tests.tokens import make_key

ISSUER = "https://idp.one.example"


def examined(new_home: NewHome, *, keys: int = 1, ahead_s: int = 0) -> list[Finding]:
    """Examine a configuration of one issuer, whose clock goes ahead of ours."""

    async def play() -> list[Finding]:
        async with IssuerServer(*[make_key()] * keys) as issuer:
            there = datetime.now(UTC) + timedelta(seconds=ahead_s)
            issuer.headers = {"date": format_datetime(there, usegmt=True)}
            document = {"issuer": ISSUER, "metadata_url": issuer.issuer + METADATA_PATH}
            configuration = Configuration(issuers={ISSUER: document})
            found = examine_neighbours(configuration, new_home.settings)
            return await asyncio.to_thread(list, found)

    return asyncio.run(play())


def test_an_issuer_that_publishes_keys_is_well(new_home: NewHome) -> None:
    """Its keys are counted, and its clock agrees with ours."""
    (finding,) = examined(new_home)
    assert (finding.state, finding.detail) == (State.OK, f"{ISSUER}: 1 keys")


def test_an_issuer_without_keys_is_found(new_home: NewHome) -> None:
    """The line that mends it asks for its metadata."""
    (finding,) = examined(new_home, keys=0)
    assert finding.state is State.FAILED
    assert finding.mend.startswith("curl -fsS http://127.0.0.1:")


@pytest.mark.parametrize(("ahead_s", "word"), [(60, "behind"), (-60, "ahead of")])
def test_a_clock_that_differs_from_an_issuer_s_is_found(
    new_home: NewHome, ahead_s: int, word: str
) -> None:
    """Tokens are judged by both clocks: those of an issuer ahead of us are from the future."""
    issuer, clock = examined(new_home, ahead_s=ahead_s)
    assert issuer.state is State.OK
    assert (clock.check, clock.state) == ("clock", State.FAILED)
    assert f" s {word} that of {ISSUER}" in clock.detail
    assert clock.mend.startswith("timedatectl set-ntp true")
