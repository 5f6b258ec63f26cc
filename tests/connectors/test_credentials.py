"""Each kind of credential becomes one header field, and its secret shows nowhere else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from connectors.credentials import (
    FORBIDDEN_HEADERS,
    REREAD_S,
    ApiKey,
    Basic,
    CredentialUnavailable,
    SentCredential,
    bearer,
    read_static,
)
from connectors.secrets import SecretReference, SecretStore

KEY = SecretReference.parse("env:CONCORDAT_SECRET_KEY")
MARKER = "SYNTHETIC-hunter2"


def sent(credentials: ApiKey | Basic, secret: str = MARKER) -> SentCredential:
    """Return the field that carries `secret`."""
    store = SecretStore(environment={"CONCORDAT_SECRET_KEY": secret})
    return asyncio.run(read_static(credentials, store))


def test_an_api_key_is_the_value_of_its_header() -> None:
    """As it stands, so that a scheme can be part of the secret; the name is in lower case."""
    found = sent(ApiKey(header="X-Api-Key", secret=KEY))
    assert (found.name, found.value) == (b"x-api-key", MARKER.encode())
    assert (found.renew_s, found.lifetime_s) == (REREAD_S, 2 * REREAD_S)


def test_basic_joins_user_and_password() -> None:
    """RFC 7617, section 2: the example of the standard, and UTF-8 for what it leaves open."""
    found = sent(Basic(user="Aladdin", secret=KEY), "open sesame")
    assert (found.name, found.value) == (b"authorization", b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    assert sent(Basic(user="test", secret=KEY), "123\u00a3").value == b"Basic dGVzdDoxMjPCow=="


@pytest.mark.parametrize("secret", ["a\r\nx: y", "a\nb", "a\x00b", " a", "a ", "\u00a3"])
def test_a_key_that_would_break_the_head_is_not_sent(secret: str) -> None:
    """A secret cannot add a line to a request; and the refusal does not repeat it."""
    with pytest.raises(CredentialUnavailable, match=r"^env:CONCORDAT_SECRET_KEY cannot be sent"):
        sent(ApiKey(header="x-api-key", secret=KEY), secret)


@pytest.mark.parametrize("token", ["", "a b", "a\r\nb", "\u00a3"])
def test_a_token_of_bad_form_is_not_sent(token: str) -> None:
    """What a token endpoint says is checked like any other input."""
    with pytest.raises(CredentialUnavailable):
        bearer(token, 1, 1)


def test_framing_can_be_no_api_key() -> None:
    """Authorization may carry a key; what frames a message may not."""
    assert "authorization" not in FORBIDDEN_HEADERS
    assert {"host", "content-length", "transfer-encoding", "connection"} <= FORBIDDEN_HEADERS


def test_a_secret_shows_in_no_repr(tmp_path: Path) -> None:
    """Neither the settings nor what is sent shows it."""
    found = sent(ApiKey(header="x-api-key", secret=KEY))
    assert MARKER not in repr(found)
    assert MARKER not in repr(ApiKey(header="x-api-key", secret=KEY))
