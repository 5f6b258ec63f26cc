"""The model of an agreement."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from policies.agreement import Party


@pytest.mark.parametrize(
    ("contacts", "expected"),
    [
        ({"single_point_of_contact": "a", "iao": "b", "dpo": "c"}, "a"),
        ({"iao": "b", "dpo": "c"}, "b"),
        ({"dpo": "c"}, "c"),
        ({}, None),
    ],
)
def test_the_nearest_contact_is_offered(contacts: dict[str, Any], expected: str | None) -> None:
    """The single point of contact comes before the asset owner, and he before the DPO."""
    assert Party(ref="ods:R9Z", roles=(), dp_role="controller", **contacts).contact == expected


def test_agreements_survive_pickling(pack: Any) -> None:
    """Every agreement of the pack is equal to its copy."""
    for agreement in pack.agreements.values():
        assert pickle.loads(pickle.dumps(agreement)) == agreement  # noqa: S301 - our own bytes
