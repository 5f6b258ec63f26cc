"""The gateway's own credentials at a service: as they are configured, and as they are sent.

A caller's credentials never get here: a call cannot carry any (`rendering.NOT_SENT`), and those
of the gateway are put into the request's head by the connector alone.
"""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import dataclass, field
from typing import Final

from connectors.rendering import NOT_SENT
from connectors.secrets import SecretReference, SecretStore

REREAD_S: Final = 60.0
"""How often a secret is read again, so that a new one is taken up without a restart."""

AUTHORIZATION: Final = "authorization"
FORBIDDEN_HEADERS: Final = frozenset(name.decode() for name in NOT_SENT) - {AUTHORIZATION}
"""Fields that frame a message or belong to callers; no API key goes out in them."""
HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
"""A header's name (RFC 9110, 5.1)."""

AUTHENTICATIONS: Final = ("client_secret_basic", "client_secret_post")
"""How the gateway proves itself to a token endpoint (RFC 6749, 2.3.1)."""

_FIELD_VALUE: Final = re.compile(rb"[!-~]([ !-~]*[!-~])?")


class CredentialUnavailable(Exception):
    """There is no credential to send; the message says why, and holds no part of a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """The secret is the value of a header field, as it stands."""

    header: str
    secret: SecretReference


@dataclass(frozen=True, slots=True, kw_only=True)
class Basic:
    """User and password of RFC 7617."""

    user: str
    secret: SecretReference


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """An access token of the client credentials grant (RFC 6749, 4.4), sent as RFC 6750, 2.1.

    `authentication` is ``client_secret_basic`` or ``client_secret_post`` (RFC 6749, 2.3.1);
    `resource` is the service as the authorization server names it (RFC 8707).
    """

    token_url: str
    client_id: str
    secret: SecretReference
    scope: str | None = None
    resource: str | None = None
    authentication: str = "client_secret_basic"


Credentials = ApiKey | Basic | ClientCredentials


@dataclass(frozen=True, slots=True, kw_only=True)
class SentCredential:
    """One header field; it may be sent for `lifetime_s`, and is obtained again after `renew_s`."""

    name: bytes
    value: bytes = field(repr=False)
    lifetime_s: float
    renew_s: float


async def read_static(credentials: ApiKey | Basic, store: SecretStore) -> SentCredential:
    """Read the secret and return the field that carries it.

    Raises:
        SecretUnavailable: it cannot be read.
        CredentialUnavailable: it cannot be sent in a header field.
    """
    secret = (await asyncio.to_thread(store.read, credentials.secret)).reveal()
    if isinstance(credentials, ApiKey):
        name, value = credentials.header.lower(), secret
        if _FIELD_VALUE.fullmatch(value) is None:
            raise CredentialUnavailable(f"{credentials.secret} cannot be sent in a header field")
    else:
        name = AUTHORIZATION
        value = b"Basic " + base64.b64encode(credentials.user.encode() + b":" + secret)
    # A secret that can no longer be read is not sent for longer than one more reading.
    return SentCredential(
        name=name.encode("ascii"), value=value, lifetime_s=2 * REREAD_S, renew_s=REREAD_S
    )


def bearer(token: str, lifetime_s: float, renew_s: float) -> SentCredential:
    """Return the field that carries an access token (RFC 6750, 2.1).

    Raises:
        CredentialUnavailable: the token is none that a header field can carry.
    """
    value = b"Bearer " + token.encode("ascii", "replace")
    if _FIELD_VALUE.fullmatch(value) is None or b" " in value[7:] or not token.isascii():
        raise CredentialUnavailable("the token endpoint answered with an access token of bad form")
    return SentCredential(
        name=AUTHORIZATION.encode(), value=value, lifetime_s=lifetime_s, renew_s=renew_s
    )
