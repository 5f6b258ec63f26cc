"""Tests of roles, permissions and the bootstrap secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.access import FIRST_OPERATOR, GRANTS, Permission, Principal, Role, authenticate
from gateway.errors import CredentialsInvalid, CredentialsMissing
from tests.configured import open_registry


def test_every_role_says_what_it_permits() -> None:
    """A role that is not in the table would be a role nobody thought about."""
    assert set(GRANTS) == set(Role)


def test_a_role_permits_what_the_table_says() -> None:
    """Roles add up, and everybody may what needs no permission."""
    operator = Principal(name="o", roles=frozenset({Role.OPERATOR}))

    assert operator.may(Permission.READ_AGREEMENTS)
    assert not operator.may(Permission.READ_EXCHANGES)
    assert FIRST_OPERATOR.may(Permission.READ_EXCHANGES)
    assert Principal(name="n", roles=frozenset()).may(Permission.PUBLIC)


def test_the_bootstrap_secret_names_the_first_operator(tmp_path: Path) -> None:
    """The scheme is case-insensitive, the secret is not."""
    registry = open_registry(tmp_path)
    secret = registry.make_bootstrap_secret()

    assert authenticate(f"Bearer {secret}", registry) == FIRST_OPERATOR
    assert authenticate(f"bearer {secret}", registry) == FIRST_OPERATOR


@pytest.mark.parametrize(
    "field",
    ["", "Bearer", "Bearer ", "Bearer wrong", "Basic b3A6", "Bearer é", "Bearer " + "x" * 600],
)
def test_anything_else_is_refused(tmp_path: Path, field: str) -> None:
    """A wrong scheme, a wrong secret and a malformed field look alike."""
    registry = open_registry(tmp_path)
    registry.make_bootstrap_secret()

    with pytest.raises(CredentialsInvalid):
        authenticate(field, registry)


def test_no_credentials_are_asked_for(tmp_path: Path) -> None:
    """Without a field the answer says what to send."""
    with pytest.raises(CredentialsMissing):
        authenticate(None, open_registry(tmp_path))
