"""What a consumer's application signs, against real issuers on a real socket."""

from __future__ import annotations

import base64
import hashlib
import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey

from gateway.demo.channel import Channel
from gateway.demo.clock import DemoClock
from gateway.demo.consumer import (
    TokenRefused,
    TokenRequest,
    authorization_details,
    discover_token_endpoint,
    dpop_proof,
    get_token,
)
from gateway.demo.issuers import IssuerAddresses, serve_issuers
from gateway.demo.token_endpoint import new_key

AT = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
NOW_S = int(AT.timestamp())
ISSUER = "https://idp.one.example"


class Desk(NamedTuple):
    """An issuer that runs, a channel to it, and a client's request and key."""

    channel: Channel
    addresses: IssuerAddresses
    request: TokenRequest
    key: ECKey


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Run one issuer in its process."""
    folder: Path = tmp_path_factory.mktemp("issuer")
    key = new_key()
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=serve_issuers,
        args=([ISSUER], {"app": key.as_dict(private=False)}, DemoClock.create(folder / "c", AT)),
        kwargs={"ready": sender},
    )
    process.start()
    addresses = IssuerAddresses(port=receiver.recv()[1], issuers=(ISSUER,))
    request = TokenRequest(
        issuer=ISSUER,
        token_endpoint=addresses.token_endpoint(ISSUER),
        client_id="app",
        resource="http://127.0.0.1:8080/spl",
        details=authorization_details(agreement="DSA-1", purpose="HELP", context={}),
        bound=True,
    )
    with Channel() as channel:
        yield Desk(channel, addresses, request, key)
    process.terminate()
    process.join(10)


def test_gets_a_token_bound_to_its_key(desk: Desk) -> None:
    """A request for a bound token proves the key, and gets a DPoP token."""
    token = get_token(desk.channel, desk.request, desk.key, NOW_S)
    assert token.bound
    assert token.lifetime_s > 0
    assert not get_token(desk.channel, replace(desk.request, bound=False), desk.key, NOW_S).bound


def test_a_refusal_says_why(desk: Desk) -> None:
    """The issuer's own words reach whoever asked."""
    with pytest.raises(TokenRefused, match="does not exist"):
        get_token(desk.channel, replace(desk.request, client_id="stranger"), desk.key, NOW_S)


def test_finds_the_token_endpoint_by_metadata(desk: Desk) -> None:
    """Metadata of another issuer is not believed (RFC 8414, section 3.3)."""
    url = desk.addresses.metadata_url(ISSUER)
    assert discover_token_endpoint(desk.channel, ISSUER, url) == desk.request.token_endpoint
    with pytest.raises(TokenRefused, match="not the metadata"):
        discover_token_endpoint(desk.channel, "https://other.example", url)


def test_a_proof_is_for_one_request_and_one_token(desk: Desk) -> None:
    """A DPoP proof names method, address without query, and the token's hash (RFC 9449, 4.2)."""
    proof = dpop_proof(
        desk.key, "GET", "https://gw.example/a?x=1#f", now_s=NOW_S, access_token="token"
    )
    header = jws.extract_compact(proof.encode()).headers()
    claims = jwt.decode(proof, ECKey.import_key(header["jwk"]), algorithms=["ES256"]).claims
    hashed = base64.urlsafe_b64encode(hashlib.sha256(b"token").digest()).rstrip(b"=").decode()
    assert header["typ"] == "dpop+jwt"
    assert set(header["jwk"]) == {"kty", "crv", "x", "y"}
    assert (claims["htm"], claims["htu"], claims["ath"]) == ("GET", "https://gw.example/a", hashed)


def test_details_hold_only_what_is_said() -> None:
    """Words that nobody said are left out, not sent empty."""
    bare = authorization_details(agreement=None, purpose=None, context={})
    whole = authorization_details(
        agreement="A",
        purpose="P",
        context={"c": "1"},
        on_behalf_of="o",
        break_glass={"reason": "R"},
    )
    assert bare == {"type": "data_exchange"}
    assert set(whole) == {
        "type", "agreement", "purpose", "context", "on_behalf_of", "break_glass",
    }  # fmt: skip
