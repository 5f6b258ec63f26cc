"""Tokens come by the client credentials grant, over real connections, and only well-formed ones."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from connectors.credentials import ClientCredentials, CredentialUnavailable, SentCredential
from connectors.egress import EgressRule
from connectors.oauth import LIFETIME_S_MAX, LIFETIME_UNSAID_S, MARGIN, RENEW_AT, fetch_token
from connectors.scripted import Act, Script, ScriptedService, open_scripted
from connectors.secrets import SecretReference, SecretStore

SECRET = "SYNTHETIC hunter2/+"
STORE = SecretStore(environment={"CONCORDAT_SECRET_CLIENT": SECRET})
TOKEN = {"access_token": "t0ken", "token_type": "Bearer", "expires_in": 600}


def answer(value: object, status: str = "200 OK", kind: str = "application/json") -> Script:
    """Return the script of a JSON answer."""
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return (head.encode() + body,)


def credentials(token_url: str, **more: Any) -> ClientCredentials:
    """Return the credentials of a client at a token endpoint."""
    return ClientCredentials(
        token_url=token_url,
        client_id="concordat client",
        secret=SecretReference.parse("env:CONCORDAT_SECRET_CLIENT"),
        **more,
    )


async def fetch(script: Script, **more: Any) -> tuple[SentCredential, ScriptedService]:
    """Fetch a token from an endpoint that plays `script`."""
    async with open_scripted((script,)) as service:
        asked = credentials(service.base_url + "/token", **more)
        rule = EgressRule(allow_loopback=True)
        return await fetch_token(asked, STORE, rule=rule, tls=None), service


def reason(script: Script) -> str:
    """Return why no token came."""
    with pytest.raises(CredentialUnavailable) as caught:
        asyncio.run(fetch(script))
    return str(caught.value)


def test_the_client_proves_itself_by_basic() -> None:
    """RFC 6749, 2.3.1 and 4.4.2: id and secret are form-encoded, then joined."""
    found, service = asyncio.run(fetch(answer(TOKEN), scope="a b", resource="https://x.example"))
    head, _, body = service.requests[0].decode().partition("\r\n\r\n")
    lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
    proof = next(line for line in head.split("\r\n") if line.lower().startswith("authorization: "))

    assert head.startswith("POST /token HTTP/1.1")
    assert lines["content-type"] == "application/x-www-form-urlencoded"
    assert base64.b64decode(proof.split()[2]) == b"concordat+client:SYNTHETIC+hunter2%2F%2B"
    assert parse_qs(body) == {
        "grant_type": ["client_credentials"],
        "scope": ["a b"],
        "resource": ["https://x.example"],
    }
    assert (found.name, found.value) == (b"authorization", b"Bearer t0ken")
    assert found.lifetime_s == pytest.approx(600 * (1 - MARGIN))
    assert found.renew_s == pytest.approx(600 * RENEW_AT)


def test_the_client_proves_itself_in_the_form_where_told() -> None:
    """Some servers take nothing else."""
    _, service = asyncio.run(fetch(answer(TOKEN), authentication="client_secret_post"))
    head, _, body = service.requests[0].decode().partition("\r\n\r\n")

    assert "authorization" not in head.lower()
    assert parse_qs(body)["client_id"] == ["concordat client"]
    assert parse_qs(body)["client_secret"] == [SECRET]


@pytest.mark.parametrize(
    ("said", "lifetime_s"),
    [
        ({}, LIFETIME_UNSAID_S),
        ({"expires_in": None}, LIFETIME_UNSAID_S),
        ({"expires_in": True}, LIFETIME_UNSAID_S),
        ({"expires_in": "soon"}, LIFETIME_UNSAID_S),
        ({"expires_in": "120"}, 120),
        ({"expires_in": 59.5}, 59.5),
        ({"expires_in": -1}, 0),
        ({"expires_in": 10**400}, LIFETIME_S_MAX),
    ],
)
def test_a_token_is_used_for_less_than_its_lifetime(
    said: dict[str, object], lifetime_s: float
) -> None:
    """Where none is said, a short one is taken; where a foolish one is said, it is bounded."""
    token = {name: value for name, value in TOKEN.items() if name != "expires_in"}
    found, _ = asyncio.run(fetch(answer({**token, **said})))
    assert found.lifetime_s == pytest.approx(lifetime_s * (1 - MARGIN))


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (answer({"error": "invalid_client"}, "401 No"), "status 401, invalid_client"),
        (answer({"error": SECRET}, "400 No"), "status 400"),
        (answer(["x"], "500 No"), "status 500"),
        ((b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\noops",), "status 503"),
        (answer({"access_token": "t"}), "no bearer token"),
        (answer({"access_token": "t", "token_type": "DPoP"}), "no bearer token"),
        (answer({"access_token": 7, "token_type": "Bearer"}), "no bearer token"),
        (answer({**TOKEN, "access_token": "a\r\nb"}), "bad form"),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\noops",), "not strict JSON"),
        ((b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n",),
         "status 302"),
        ((Act.CLOSE,), "no usable answer"),
    ],
)  # fmt: skip
def test_without_a_token_the_reason_is_told_and_nothing_else(script: Script, why: str) -> None:
    """Status and a known code help; whatever else the endpoint says may hold the secret."""
    found = reason(script)
    assert why in found
    assert SECRET not in found


def test_the_token_endpoint_s_address_is_judged_too() -> None:
    """A token URL is no way around the egress rule."""

    async def play() -> tuple[str, int]:
        async with open_scripted((answer(TOKEN),)) as service:
            asked = credentials(f"https://localhost:{service.port}/token")
            with pytest.raises(CredentialUnavailable) as caught:
                await fetch_token(asked, STORE, rule=EgressRule(), tls=None)
            return str(caught.value), len(service.requests)

    why, requests = asyncio.run(play())
    assert requests == 0
    assert "egress rule" in why


def test_plain_http_is_refused_for_a_token_endpoint() -> None:
    """A client's secret goes out encrypted, or not at all."""
    asked = credentials("http://203.0.113.1/token")
    with pytest.raises(CredentialUnavailable, match="plain http"):
        asyncio.run(fetch_token(asked, STORE, rule=EgressRule(allow_loopback=True), tls=None))
