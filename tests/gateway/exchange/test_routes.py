"""The route table: exact and templated paths, conflicts, and the way to the workers."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.routes import Route, RouteConflict, RouteTable

CONTACTS = Route(template="/children/{nhs_number}/contacts", service="safeguarding")
KNOWN = Route(template="/children/{nhs_number}/known", service="safeguarding")
PEOPLE = Route(template="/spl/v1/people", service="spl")


def segments(path: str) -> tuple[str, ...]:
    """Split a path as the front does."""
    return tuple(path.split("/")[1:])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/spl/v1/people", PEOPLE),
        ("/children/9992000015/contacts", CONTACTS),
        ("/children/9992000015/known", KNOWN),
        ("/children/9992000015", None),
        ("/children//known", None),
        ("/children/9992000015/contacts/1", None),
        ("/spl/v1/people/", None),
        ("/", None),
    ],
)
def test_a_path_belongs_to_the_template_that_it_fills(path: str, expected: Route | None) -> None:
    """Literals match exactly, a parameter matches one segment that is not empty."""
    table = RouteTable([PEOPLE, CONTACTS, KNOWN])

    assert table.match(segments(path)) == expected


def test_two_services_cannot_claim_one_path() -> None:
    """A template of another service that matches the same paths is a configuration error."""
    other = Route(template="/children/{child}/contacts", service="police")

    with pytest.raises(RouteConflict, match="safeguarding") as caught:
        RouteTable([CONTACTS, other])

    assert set(caught.value.services) == {"safeguarding", "police"}


def test_one_service_may_name_a_path_in_many_agreements() -> None:
    """The same template of the same service is one route."""
    table = RouteTable([PEOPLE, PEOPLE])

    assert list(table) == [PEOPLE]


@given(st.lists(st.sampled_from([PEOPLE, CONTACTS, KNOWN]), max_size=6))
def test_a_table_survives_the_way_to_a_worker(routes: list[Route]) -> None:
    """A pickled table answers like the one it was made from."""
    table = RouteTable(routes)
    copy = pickle.loads(pickle.dumps(table))  # noqa: S301 - our own bytes

    for path in ("/spl/v1/people", "/children/1/known", "/none"):
        assert copy.match(segments(path)) == table.match(segments(path))


@pytest.mark.parametrize(
    ("path", "services"),
    [
        ("/spl/v1/people", {"spl"}),
        ("/spl/v2", {"spl"}),
        ("/children/9992000015/other/1", {"safeguarding"}),
        ("/children", {"safeguarding", "police"}),
        ("/children/markers/x", {"police"}),
        ("/children//known", {"safeguarding", "police"}),
        ("/nowhere/spl", set()),
        ("/", set()),
    ],
)
def test_a_path_that_nobody_serves_is_near_those_that_begin_like_it(
    path: str, services: set[str]
) -> None:
    """The longest beginning that any path of a service has tells whose it would be."""
    markers = Route(template="/children/markers", service="police")
    table = RouteTable([PEOPLE, CONTACTS, KNOWN, markers])

    assert table.near(segments(path)) == frozenset(services)
