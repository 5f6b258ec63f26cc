"""The conformance suite, run against our own http kind, and against a connector that is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import pytest

from connectors.base import Call, CallFailed, Connector, Failure, Health, Reply
from connectors.http import HttpSettings, open_http
from connectors.testing import (
    CATALOGUE,
    Answered,
    Breach,
    Case,
    check,
    conformance_cases,
)


def open_at(base_url: str) -> AbstractAsyncContextManager[Connector]:
    """Open our http kind at a loopback URL."""
    return open_http(HttpSettings(base_url=base_url, allow_loopback=True))


@pytest.mark.parametrize("case", conformance_cases(), ids=str)
def test_the_http_kind_conforms(case: Case) -> None:
    """Whatever the service sends, the verdict is the promised one and the next call is clean."""
    asyncio.run(check(case, open_at))


@pytest.mark.parametrize("misbehaviour", CATALOGUE)
def test_every_misbehaviour_of_the_catalogue_has_a_case(misbehaviour: str) -> None:
    """The catalogue is `reference/gateways-oauth-security.md`, section 4.8: U-01 to U-17."""
    assert [case for case in conformance_cases() if case.id.startswith(f"{misbehaviour}-")]


def test_no_case_is_outside_the_catalogue() -> None:
    """A case can be looked up by its number, and the catalogue has all of them."""
    assert {case.id[:4] for case in conformance_cases()} == set(CATALOGUE)
    assert (CATALOGUE[0], CATALOGUE[-1], len(CATALOGUE)) == ("U-01", "U-17", 17)


def test_case_ids_are_unique() -> None:
    """A failing case can be told by its id."""
    ids = [case.id for case in conformance_cases()]
    assert len(set(ids)) == len(ids)


class Deaf:
    """A connector that reports every call as overloaded."""

    async def call(self, call: Call) -> Reply:
        """Fail."""
        raise CallFailed(Failure.OVERLOADED, "deaf", sent=True)

    async def probe(self) -> Health:
        """Claim to be well."""
        return Health(healthy=True, detail="Deaf.")


def test_a_connector_that_is_wrong_is_found_out() -> None:
    """The suite names the case in which a connector breaks its promise."""

    @asynccontextmanager
    async def open_deaf(base_url: str) -> AsyncIterator[Deaf]:
        yield Deaf()

    with pytest.raises(Breach, match="U-01-closes-unanswered: overloaded instead of unreachable"):
        asyncio.run(check(conformance_cases()[0], open_deaf))


def test_a_connector_that_reaches_what_it_must_not_is_found_out() -> None:
    """Saying that nothing was sent is part of the promise."""
    (case,) = (case for case in conformance_cases() if case.id == "U-09-metadata")

    @asynccontextmanager
    async def open_deaf(base_url: str) -> AsyncIterator[Deaf]:
        yield Deaf()

    with pytest.raises(Breach, match="could not reach the service says otherwise"):
        asyncio.run(check(case, open_deaf))


def test_a_connector_that_hides_how_an_answer_ended_is_found_out() -> None:
    """Whoever takes an end for proved that is not tells nobody that the answer may be cut."""
    (case,) = (case for case in conformance_cases() if case.id == "U-05-http-1.0")
    proved = replace(case, verdict=Answered())

    with pytest.raises(Breach, match="delimited_by_close is True"):
        asyncio.run(check(proved, open_at))
