"""The values that authentication hands on."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from gateway.identity.caller import IssuerProfile
from tests.tokens import make_profile


def test_a_profile_allows_strong_algorithms_by_default() -> None:
    """Without more said, an issuer signs with the algorithms of FAPI 2.0 and nothing else."""
    profile = IssuerProfile(issuer="https://a.example", organisations=frozenset())

    assert profile.algorithms == {"ES256", "PS256", "EdDSA", "Ed25519"}
    assert profile.lifetime_s_max == 3600


def test_values_do_not_change() -> None:
    """What was found out about a caller cannot be changed on its way through the pipeline."""
    with pytest.raises(FrozenInstanceError):
        make_profile().issuer = "https://b.example"  # type: ignore[misc]  # the point of the test
