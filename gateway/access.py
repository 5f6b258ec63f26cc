"""Who may do what on the control listener: roles, permissions, and the one check for all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from gateway.errors import CredentialsInvalid, CredentialsMissing

_SECRET_CHARS_MAX: Final = 512


class Role(StrEnum):
    """What somebody is trusted with (design.md, section 8)."""

    REQUESTER = "requester"
    SERVICE_OWNER = "service_owner"
    INFORMATION_ASSET_OWNER = "information_asset_owner"
    DPO = "dpo"
    CALDICOTT_GUARDIAN = "caldicott_guardian"
    SIRO = "siro"
    SECURITY_ANALYST = "security_analyst"
    AUDITOR = "auditor"
    OPERATOR = "operator"


class Permission(StrEnum):
    """What a route asks for; every route of the control listener names exactly one."""

    PUBLIC = "public"
    READ_AGREEMENTS = "agreements.read"
    READ_EXCHANGES = "exchanges.read"
    READ_ENTRIES = "entries.read"


GRANTS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.REQUESTER: frozenset(),
    Role.SERVICE_OWNER: frozenset({Permission.READ_AGREEMENTS}),
    Role.INFORMATION_ASSET_OWNER: frozenset({Permission.READ_AGREEMENTS}),
    Role.DPO: frozenset({Permission.READ_AGREEMENTS, Permission.READ_EXCHANGES}),
    Role.CALDICOTT_GUARDIAN: frozenset({Permission.READ_AGREEMENTS, Permission.READ_EXCHANGES}),
    Role.SIRO: frozenset({Permission.READ_AGREEMENTS}),
    Role.SECURITY_ANALYST: frozenset({Permission.READ_AGREEMENTS, Permission.READ_EXCHANGES}),
    Role.AUDITOR: frozenset(
        {Permission.READ_AGREEMENTS, Permission.READ_EXCHANGES, Permission.READ_ENTRIES}
    ),
    Role.OPERATOR: frozenset({Permission.READ_AGREEMENTS}),
}
"""What each role permits. The role of operator alone does not read who asked for whom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody who is signed in; `name` goes into the audit log."""

    name: str
    roles: frozenset[Role]

    def may(self, permission: Permission) -> bool:
        """Tell whether one of the roles permits it; what needs no permission, all may."""
        return permission is Permission.PUBLIC or any(
            permission in GRANTS[role] for role in self.roles
        )


FIRST_OPERATOR: Final = Principal(name="bootstrap", roles=frozenset({Role.OPERATOR, Role.AUDITOR}))
"""Who holds the bootstrap secret: enough to see that the gateway works, and nothing to change.

Until people sign in themselves, whoever holds it is operator and auditor in one, so that they do
read who asked for whom; each reading is recorded in the log.
"""


class SecretCheck(Protocol):
    """What knows the bootstrap secret; the registry does."""

    def is_bootstrap_secret(self, unverified_secret: str) -> bool:
        """Compare in constant time."""


def authenticate(authorization: str | None, secrets: SecretCheck) -> Principal:
    """Return whom an Authorization field names; it asks the registry, so call it in a thread.

    Raises:
        CredentialsMissing: there is no field.
        CredentialsInvalid: it is no bearer token, or none that holds.
    """
    if authorization is None:
        raise CredentialsMissing("Send the bootstrap secret as Authorization: Bearer <secret>.")
    scheme, _, unverified_secret = authorization.partition(" ")
    if (
        scheme.lower() != "bearer"  # an authentication scheme is case-insensitive (RFC 9110, 11.1)
        or not unverified_secret.isascii()
        or len(unverified_secret) > _SECRET_CHARS_MAX
        or not secrets.is_bootstrap_secret(unverified_secret)
    ):
        raise CredentialsInvalid("The secret is not the one this gateway knows.")
    return FIRST_OPERATOR
