"""The demo's authorization servers, asked over their HTTP face."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from httpx2 import Response
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from starlette.testclient import TestClient

from gateway.demo.clock import DemoClock
from gateway.demo.consumer import TokenRequest, authorization_details, dpop_proof
from gateway.demo.issuers import IssuerAddresses, create_issuers
from gateway.demo.token_endpoint import new_key

AT = datetime(2021, 2, 18, 9, 15, tzinfo=UTC)
NOW_S = int(AT.timestamp())
ONE, OTHER = "https://idp.one.example", "https://idp.other.example/realm"
ODD = ("", "/", "http://idp.one.example", "https://idp-one.example", "https://idp/one.example")
ADDRESSES = IssuerAddresses(port=9, issuers=(ONE, OTHER, *ODD))
DETAILS = authorization_details(agreement="DSA-1", purpose="SUPPORT", context={"case": "7"})


class Desk:
    """An issuers' application and a client whose key it knows."""

    def __init__(self, folder: Path) -> None:
        """Start with the clock at the scenario's instant."""
        self.key: ECKey = new_key()
        clock = DemoClock.create(folder / "clock", AT)
        clients = {"app": self.key.as_dict(private=False)}
        self.http = TestClient(
            create_issuers(ADDRESSES, clients, clock), base_url="http://127.0.0.1:9"
        )

    def ask(self, *, form: dict[str, str] | None = None, proof: str | None = None) -> Response:
        """Post a token request to the first issuer."""
        headers = {"DPoP": proof} if proof else {}
        sent = form or self.form()
        return self.http.post(f"{ADDRESSES.base_of(ONE)}/token", data=sent, headers=headers)

    def form(self, **changes: object) -> dict[str, str]:
        """Return a good form, signed with the client's key."""
        request = {
            "issuer": ONE,
            "token_endpoint": f"{ADDRESSES.base_of(ONE)}/token",
            "client_id": "app",
            "resource": "http://gateway.example/spl",
            "details": DETAILS,
            "bound": True,
            "demo_claims": {"org": "gss:E06999001", "sub": "u:1", "roles": ["r"], "acr": "AAL2"},
            **changes,
        }
        return TokenRequest(**request).form(self.key, NOW_S)  # type: ignore[arg-type]  # by name

    def proof(self, url: str = f"{ADDRESSES.base_of(ONE)}/token", now_s: int = NOW_S) -> str:
        """Return a proof for the token endpoint."""
        return dpop_proof(self.key, "POST", url, now_s=now_s)

    def claims(self, token: str) -> dict[str, object]:
        """Verify `token` with the issuer's published key and return what it says."""
        keys = KeySet.import_key_set(self.http.get(f"{ADDRESSES.base_of(ONE)}/jwks").json())
        verified = jwt.decode(token, keys, algorithms=["ES256"])
        assert verified.header["typ"] == "at+jwt"
        return verified.claims


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return a fresh desk."""
    return Desk(tmp_path)


def test_metadata_names_the_issuer_and_its_own_addresses(desk: Desk) -> None:
    """Each issuer's metadata carries its identifier from the pack and addresses on loopback."""
    for issuer in (ONE, OTHER):
        metadata = desk.http.get(ADDRESSES.metadata_url(issuer)).json()
        assert metadata["issuer"] == issuer
        assert metadata["jwks_uri"].startswith(ADDRESSES.base_of(issuer))
        assert metadata["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]


def test_issuers_sign_with_different_keys(desk: Desk) -> None:
    """One issuer's key never verifies another's tokens."""
    one, other = (
        desk.http.get(f"{ADDRESSES.base_of(issuer)}/jwks").json()["keys"] for issuer in (ONE, OTHER)
    )
    assert len(one) == len(other) == 1
    assert one[0]["kid"] != other[0]["kid"]
    assert "d" not in one[0]


def test_a_bound_token_says_what_was_asked_for(desk: Desk) -> None:
    """A good request gets an RFC 9068 token at the demo's time, bound to the proved key."""
    answer = desk.ask(proof=desk.proof()).json()
    assert answer["token_type"] == "DPoP"
    claims = desk.claims(answer["access_token"])
    assert claims["iss"] == ONE
    assert claims["aud"] == "http://gateway.example/spl"
    assert claims["iat"] == NOW_S
    assert claims["exp"] == NOW_S + answer["expires_in"]
    assert claims["cnf"] == {"jkt": desk.key.thumbprint()}
    assert claims["authorization_details"] == [DETAILS]
    assert (claims["org"], claims["sub"], claims["roles"]) == ("gss:E06999001", "u:1", ["r"])


def test_an_application_without_user_is_its_own_subject(desk: Desk) -> None:
    """Without a user the subject is the client, as RFC 9068 section 2.2 asks; no proof, no cnf."""
    answer = desk.ask(form=desk.form(demo_claims={"org": "gss:E06999001"})).json()
    claims = desk.claims(answer["access_token"])
    assert answer["token_type"] == "Bearer"
    assert claims["sub"] == claims["client_id"] == "app"
    assert "cnf" not in claims
    assert "roles" not in claims


@pytest.mark.parametrize(
    "changes",
    [{"client_id": "stranger"}, {"issuer": OTHER}],
    ids=["unknown client", "assertion for another issuer"],
)
def test_refuses_a_client_that_does_not_prove_itself(
    desk: Desk, changes: dict[str, object]
) -> None:
    """An unknown client, or an assertion meant for another issuer, gets no token."""
    answer = desk.ask(form=desk.form(**changes))
    assert answer.json()["error"] == "invalid_client"


def test_refuses_an_assertion_signed_with_another_key(desk: Desk) -> None:
    """Whoever lacks the client's key is not the client."""
    desk.key = new_key()
    assert desk.ask().json()["error"] == "invalid_client"


def test_refuses_an_assertion_twice(desk: Desk) -> None:
    """An assertion is good for one request (RFC 7523, section 3, jti)."""
    form = desk.form()
    first, second = desk.ask(form=form), desk.ask(form=form)
    assert first.status_code == 200
    assert second.json()["error"] == "invalid_client"


@pytest.mark.parametrize("spoiled", ["other url", "old", "no proof at all"])
def test_refuses_a_proof_that_does_not_hold(desk: Desk, spoiled: str) -> None:
    """A proof for another address, an old one, or a text that is none, gets no token."""
    proof = {
        "other url": desk.proof(url="http://127.0.0.1:9/elsewhere"),
        "old": desk.proof(now_s=NOW_S - 600),
        "no proof at all": "x.y.z",
    }[spoiled]
    answer = desk.ask(proof=proof)
    assert answer.json()["error"] == "invalid_dpop_proof"


@pytest.mark.parametrize("issuer", ODD)
def test_an_issuer_may_have_any_name(tmp_path: Path, issuer: str) -> None:
    """Each has an address of its own, and signs in its own name: a gateway trusts it or not."""
    desk = Desk(tmp_path)
    metadata = desk.http.get(ADDRESSES.metadata_url(issuer)).json()
    assert metadata["issuer"] == issuer
    sent = desk.form(issuer=metadata["token_endpoint"])
    answer = desk.http.post(ADDRESSES.token_endpoint(issuer), data=sent)
    keys = KeySet.import_key_set(desk.http.get(metadata["jwks_uri"]).json())
    claims = jwt.decode(answer.json()["access_token"], keys, algorithms=["ES256"]).claims
    assert claims["iss"] == issuer
