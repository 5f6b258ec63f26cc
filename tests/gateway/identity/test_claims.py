"""The claim table: what a token must say, what it may say, and what is refused for its form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.identity.caller import BreakGlassClaim, Claims
from gateway.identity.claims import ClaimRefused, numeric_date, read_claims, required
from tests.tokens import AUDIENCE, ISSUER, NOW_S, ORGANISATION, TOKEN_LIFETIME_S, make_claims

THUMBPRINT = "A" * 43


def read(**claims: Any) -> Claims:
    """Read good claims with `claims` in their place."""
    return read_claims(make_claims(**claims), key_id="key-1", token_hash=b"hash")


def details(**members: Any) -> list[dict[str, Any]]:
    """Make `authorization_details` of one data exchange."""
    return [{"type": "data_exchange", **members}]


def test_reads_the_required_claims() -> None:
    """A token with nothing optional gives its claims and empty values for the rest."""
    claims = read(jti="t1")

    assert claims == Claims(
        issuer=ISSUER,
        organisation=ORGANISATION,
        client_id="northvale-warm-homes",
        subject="northvale-warm-homes",
        token_id="t1",
        audience=frozenset({AUDIENCE}),
        issued_at=NOW_S,
        expires_at=NOW_S + TOKEN_LIFETIME_S,
        key_id="key-1",
        token_hash=b"hash",
    )


def test_reads_the_optional_claims() -> None:
    """Scope, roles, assurance, the details of the exchange and the binding are all read."""
    claims = read(
        scope="read write",
        roles=["analyst", "officer"],
        acr="loa2",
        cnf={"jkt": THUMBPRINT, "x5t#S256": THUMBPRINT},
        authorization_details=details(
            agreement="DSA-2026-0003",
            purpose="FUEL_POVERTY_ASSISTANCE",
            context={"case_reference": "C-1", "justification": "two\nlines"},
            on_behalf_of="ods:X9Z",
            break_glass={"reason": "CHILD_MISSING", "justification": ""},
        ),
        unknown={"is": "ignored"},
    )

    assert claims.scope == {"read", "write"}
    assert claims.roles == {"analyst", "officer"}
    assert claims.acr == "loa2"
    assert claims.agreement == "DSA-2026-0003"
    assert claims.purpose == "FUEL_POVERTY_ASSISTANCE"
    assert claims.context == {"case_reference": "C-1", "justification": "two\nlines"}
    assert claims.on_behalf_of == "ods:X9Z"
    assert claims.break_glass == BreakGlassClaim(reason="CHILD_MISSING", justification="")
    assert (claims.confirmation_jkt, claims.confirmation_x5t) == (THUMBPRINT, THUMBPRINT)


def test_what_an_issuer_knows_of_a_grant_is_read() -> None:
    """Its start is an instant with its offset, in UTC from then on."""
    said = {"started_at": "2026-11-19T03:38:00+01:00", "subjects_so_far": 2}
    claims = read(authorization_details=details(break_glass=said))

    assert claims.break_glass == BreakGlassClaim(
        reason="",
        justification="",
        started_at=datetime(2026, 11, 19, 2, 38, tzinfo=UTC),
        subjects_so_far=2,
    )


def test_nhs_aliases_stand_in() -> None:
    """The NHS names of organisation and purpose are read where ours are not there."""
    claims = read(
        remove=["org"], requesting_organization="ods:X9Z", reason_for_request="DIRECT_CARE"
    )

    assert (claims.organisation, claims.purpose) == ("ods:X9Z", "DIRECT_CARE")


def test_missing_purpose_is_no_fault_of_the_token() -> None:
    """A token without a purpose is read: the decision answers PURPOSE_MISSING."""
    assert read(authorization_details=details()).purpose is None


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"remove": ["org"]}, id="org-missing"),
        pytest.param({"requesting_organization": "ods:X9Z"}, id="org-alias-differs"),
        pytest.param(
            {"reason_for_request": "A", "authorization_details": details(purpose="B")},
            id="purpose-alias-differs",
        ),
        pytest.param({"remove": ["aud"]}, id="T-26-missing"),
        pytest.param({"aud": []}, id="T-26-empty"),
        pytest.param({"aud": [1]}, id="T-26-number"),
        pytest.param({"aud": {"a": 1}}, id="T-26-object"),
        pytest.param({"aud": ["x"] * 10_000}, id="T-26-10000"),
        pytest.param({"scope": {}}, id="T-31-object"),
        pytest.param({"scope": 5}, id="T-31-number"),
        pytest.param({"scope": None}, id="T-31-null"),
        pytest.param({"scope": ["read write"]}, id="T-31-list"),
        pytest.param({"scope": "read\0"}, id="T-31-nul"),
        pytest.param({"scope": "read  write"}, id="T-31-double-space"),
        pytest.param({"scope": "s " * 9_999 + "s"}, id="T-31-10000"),
        pytest.param({"roles": "analyst"}, id="roles-text"),
        pytest.param({"roles": [{"value": "analyst"}]}, id="roles-objects"),
        pytest.param({"roles": ["r"] * 65}, id="roles-many"),
        pytest.param({"acr": 2}, id="acr-number"),
        pytest.param({"cnf": {}}, id="T-34-empty"),
        pytest.param({"cnf": {"jwk": {}}}, id="T-34-unknown"),
        pytest.param({"cnf": {"jkt": THUMBPRINT, "kid": "k"}}, id="T-34-one-unknown"),
        pytest.param({"cnf": {"jkt": "short"}}, id="T-34-no-thumbprint"),
        pytest.param({"cnf": {"jkt": "é" * 43}}, id="T-34-not-ascii"),
        pytest.param({"cnf": THUMBPRINT}, id="T-34-text"),
        pytest.param({"authorization_details": details()[0]}, id="T-46-not-a-list"),
        pytest.param({"authorization_details": []}, id="T-46-empty"),
        pytest.param({"authorization_details": details() * 2}, id="T-46-two"),
        pytest.param({"authorization_details": [{"purpose": "X"}]}, id="T-46-type-missing"),
        pytest.param({"authorization_details": [{"type": "payment"}]}, id="T-46-type-unknown"),
        pytest.param({"authorization_details": details(locations=["x"])}, id="T-46-locations"),
        pytest.param({"authorization_details": details(purpose=None)}, id="purpose-null"),
        pytest.param({"authorization_details": details(purpose="a\nb")}, id="purpose-lines"),
        pytest.param({"authorization_details": details(context=[])}, id="context-list"),
        pytest.param({"authorization_details": details(context={"a": 1})}, id="context-number"),
        pytest.param({"authorization_details": details(context={"": "a"})}, id="context-unnamed"),
        pytest.param(
            {"authorization_details": details(context={"a": "x" * 2_001})}, id="context-long"
        ),
        pytest.param({"authorization_details": details(context={"a": "\x1b"})}, id="context-nul"),
        pytest.param(
            {"authorization_details": details(context={str(n): "" for n in range(17)})},
            id="context-many",
        ),
        pytest.param({"authorization_details": details(break_glass=True)}, id="break-glass-true"),
        pytest.param(
            {"authorization_details": details(break_glass={"until": "x"})}, id="break-glass-more"
        ),
        *[
            pytest.param({"authorization_details": details(break_glass=said)}, id=f"glass-{said}")
            for said in (
                {"started_at": 1_700_000_000},
                {"started_at": "2026-11-19T02:38:00"},
                {"started_at": "yesterday"},
                {"started_at": "9999-12-31T23:59:59-12:00"},
                {"subjects_so_far": -1},
                {"subjects_so_far": True},
                {"subjects_so_far": "1"},
            )
        ],
    ],
)
def test_refuses_a_claim_of_another_form(claims: dict[str, Any]) -> None:
    """A claim that is missing, of another type, or beyond its cap is refused."""
    with pytest.raises(ClaimRefused):
        read(**claims)


@pytest.mark.parametrize("name", ["iss", "sub", "client_id", "jti"])
@pytest.mark.parametrize(
    "value", [1, {"a": 1}, "", "x" * 10_000, "a\0b", "\u202e"], ids=lambda value: repr(value)[:8]
)
def test_identifiers_are_short_printable_text(name: str, value: object) -> None:
    """T-30: a required identifier is 1 to 256 printable characters, and there."""
    with pytest.raises(ClaimRefused, match=name):
        required({name: value}, name)
    with pytest.raises(ClaimRefused, match=f"{name} is missing"):
        required({}, name)


@pytest.mark.parametrize("value", [None, "1", True, -1, 10**19, 1e400, [1], float("nan")])
def test_numeric_dates_are_numbers_in_range(value: object) -> None:
    """T-27: a time is a number of seconds that a date can have."""
    with pytest.raises(ClaimRefused):
        numeric_date({"exp": value}, "exp")


def test_fractions_of_a_second_count_against_the_token() -> None:
    """A NumericDate may have a fraction: it is rounded so that the token lives no longer."""
    claims = read(iat=NOW_S + 0.5, exp=NOW_S + 60.5)

    assert (claims.issued_at, claims.expires_at) == (NOW_S + 1, NOW_S + 60)


def test_an_empty_scope_is_no_scope() -> None:
    """Servers that write an empty string for no scope are understood."""
    assert read(scope="").scope == frozenset()
