"""Calls as queries."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.cli.policy_call import describe
from policies.decision import PUBLIC, Query

AT = datetime(2026, 11, 18, 10, tzinfo=UTC)


def described(organisation: str) -> Query:
    """Return a described call of an organisation."""
    return describe(
        organisation,
        client="app",
        user=None,
        roles=("r",),
        acr=None,
        bound=True,
        purpose="P",
        method="GET",
        path="/a/b%2Fc",
        parameters=(("x", "1"), ("_fields", "a,b")),
        context={},
        at=AT,
    )


def test_a_described_call_holds_its_token() -> None:
    """Its issuer may speak for it, its path is decoded, and its fields stand apart."""
    query = described("ods:X9Z")
    assert query.caller.issuer_speaks_for == {"ods:X9Z"}
    assert query.caller.sender_constrained
    assert query.path == ("a", "b/c")
    assert (query.parameters, query.fields) == ((("x", "1"),), ("a", "b"))


def test_the_public_has_no_token() -> None:
    """No client, no purpose, no proof."""
    query = described(PUBLIC)
    assert (query.caller.client, query.purpose) == (None, None)
    assert not query.caller.sender_constrained
