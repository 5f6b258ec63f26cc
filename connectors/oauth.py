"""Access tokens for the gateway itself: the client credentials grant (RFC 6749, 4.4)."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from typing import Any, Final, NoReturn
from urllib.parse import quote_plus

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_token_request

from connectors.credentials import (
    ClientCredentials,
    CredentialUnavailable,
    SentCredential,
    bearer,
)
from connectors.egress import EgressRule
from connectors.fetch import Answer, FetchFailed, parse_json, post_form
from connectors.secrets import SecretStore

LIFETIME_UNSAID_S: Final = 300.0
"""For how long a token is used whose lifetime is not said (RFC 6749, 5.1 only recommends it)."""
LIFETIME_S_MAX: Final = 86_400.0
"""A token is asked for anew at least once a day, whatever its lifetime."""
MARGIN: Final = 0.1
"""The last part of its lifetime in which a token is not sent: clocks and networks differ."""
RENEW_AT: Final = 0.75
"""The part of its lifetime after which a new token is fetched, while the old one still serves."""

_DIGITS: Final = re.compile(r"[0-9]{1,9}")
_ERRORS: Final = frozenset(
    {
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
"""Error codes that are told to an operator (RFC 6749, 5.2; RFC 8707, 2); others may be anything."""


async def fetch_token(
    credentials: ClientCredentials,
    store: SecretStore,
    *,
    rule: EgressRule,
    tls: ssl.SSLContext | None,
) -> SentCredential:
    """Ask the token endpoint for a token and return the field that carries it.

    `tls` is used for an https token endpoint; without it the system's authorities are. Plain http
    goes to loopback alone, where `rule` allows that.

    Raises:
        SecretUnavailable: the client's secret cannot be read.
        CredentialUnavailable: the endpoint gave no token; the message holds nothing of its answer
            but its status and a known error code.
    """
    secret = await asyncio.to_thread(store.read, credentials.secret)
    form, headers = _request(credentials, secret.reveal().decode("utf-8", "surrogateescape"))
    try:
        answer = await post_form(
            credentials.token_url,
            form,
            headers,
            allow_loopback_http=rule.allow_loopback,
            rule=rule,
            tls=tls,
        )
        return _token_of(answer)
    except FetchFailed as failed:
        raise CredentialUnavailable(f"the token endpoint gave no token: {failed.detail}") from None


def _request(credentials: ClientCredentials, secret: str) -> tuple[str, Mapping[str, str]]:
    form: str = prepare_token_request(
        "client_credentials", scope=credentials.scope, resource=credentials.resource
    )
    client_id = credentials.client_id
    if credentials.authentication == "client_secret_basic":
        # RFC 6749, 2.3.1: both are form-encoded before they are joined, which Authlib leaves out.
        client_id, secret = quote_plus(client_id), quote_plus(secret, errors="surrogateescape")
    prover = ClientAuth(client_id, secret, credentials.authentication)
    headers: dict[str, str] = {}
    _, _, form = prover.prepare("POST", credentials.token_url, headers, form)
    return form, headers


def _token_of(answer: Answer) -> SentCredential:
    """Return the token of a successful answer (RFC 6749, 5.1)."""
    if answer.status != 200:
        _refused(answer)
    members = _object(answer)
    token, kind = members.get("access_token"), members.get("token_type")
    if not isinstance(token, str) or not isinstance(kind, str) or kind.lower() != "bearer":
        raise CredentialUnavailable("the token endpoint gave no bearer token")
    lifetime_s = _lifetime_s(members.get("expires_in"))
    return bearer(token, lifetime_s * (1 - MARGIN), lifetime_s * RENEW_AT)


def _lifetime_s(said: object) -> float:
    # Some servers write the number as a text.
    if isinstance(said, str) and _DIGITS.fullmatch(said):
        said = int(said)
    if isinstance(said, bool) or not isinstance(said, int | float):
        return LIFETIME_UNSAID_S
    return float(min(max(said, 0), LIFETIME_S_MAX))


def _refused(answer: Answer) -> NoReturn:
    try:
        code = _object(answer).get("error")
    except FetchFailed:
        code = None
    known = f", {code}" if isinstance(code, str) and code in _ERRORS else ""
    raise CredentialUnavailable(f"the token endpoint answered with status {answer.status}{known}")


def _object(answer: Answer) -> Mapping[str, Any]:
    value = parse_json(answer.body)
    return value if isinstance(value, dict) else {}
