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
from tests.issuing import KEYS_PATH, METADATA_PATH, WELL_KNOWN_PATH, IssuerServer
from tests.tokens import make_key

ISSUER = "https://idp.one.example"


def examined(
    new_home: NewHome, *, keys: int = 1, ahead_s: int = 0, loopback: bool = True
) -> list[Finding]:
    """Examine a configuration of one issuer, whose clock goes ahead of ours."""

    async def play() -> list[Finding]:
        async with IssuerServer(*[make_key()] * keys) as issuer:
            there = datetime.now(UTC) + timedelta(seconds=ahead_s)
            issuer.headers = {"date": format_datetime(there, usegmt=True)}
            keys_url = issuer.issuer + KEYS_PATH
            issuer.documents[METADATA_PATH] = {"issuer": ISSUER, "jwks_uri": keys_url}
            document = {"issuer": ISSUER, "metadata_url": issuer.issuer + METADATA_PATH}
            configuration = Configuration(issuers={ISSUER: document})
            found = examine_neighbours(
                configuration, new_home.settings, allow_loopback_http=loopback
            )
            return await asyncio.to_thread(list, found)

    return asyncio.run(play())


def test_an_issuer_that_publishes_keys_is_well(new_home: NewHome) -> None:
    """Its keys are counted, and its clock agrees with ours."""
    (finding,) = examined(new_home)
    assert (finding.state, finding.detail) == (State.OK, f"{ISSUER}: 1 key")


def test_an_issuer_without_keys_is_found(new_home: NewHome) -> None:
    """The line that mends it asks for its metadata."""
    (finding,) = examined(new_home, keys=0)
    assert finding.state is State.FAILED
    assert finding.mend.startswith("curl -fsS http://127.0.0.1:")


def test_issuers_are_asked_by_the_workers_rules(new_home: NewHome) -> None:
    """An address that no worker may fetch from is told, even where it answers."""
    (finding,) = examined(new_home, loopback=False)
    assert finding.state is State.FAILED
    assert "plain http" in finding.detail


@pytest.mark.parametrize("said", ["its own name", "another name"])
def test_an_issuer_with_a_path_is_asked_where_the_workers_ask(new_home: NewHome, said: str) -> None:
    """Its well-known path goes before its own (RFC 8414, 3.1), and it must say its own name."""

    async def play() -> tuple[list[Finding], dict[str, int]]:
        async with IssuerServer(make_key()) as server:
            issuer = f"{server.issuer}/tenant"
            name = issuer if said == "its own name" else f"{server.issuer}/other"
            metadata = {"issuer": name, "jwks_uri": server.issuer + KEYS_PATH}
            server.documents[f"{WELL_KNOWN_PATH}/tenant"] = metadata
            configuration = Configuration(issuers={issuer: {"issuer": issuer}})
            found = examine_neighbours(configuration, new_home.settings, allow_loopback_http=True)
            return await asyncio.to_thread(list, found), dict(server.requests)

    (finding,), requests = asyncio.run(play())
    assert finding.state is (State.OK if said == "its own name" else State.FAILED)
    assert f"{WELL_KNOWN_PATH}/tenant" in requests


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
