"""The closed words are those of the schema that agreements are published under."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from policies import words

ROOT = Path(__file__).parents[2]
SCHEMAS = (
    ROOT / "gateway/demo/pack/schema/agreement.schema.json",
    ROOT.parent / "shared/scenarios/schema/agreement.schema.json",
)


@pytest.fixture(scope="module")
def members() -> dict[str, Any]:
    """The properties of the agreement schema."""
    path = next((one for one in SCHEMAS if one.exists()), None)
    if path is None:
        pytest.skip("no agreement schema: neither in gateway/demo/pack nor in ../shared/scenarios")
    found: dict[str, Any] = json.loads(path.read_text())["properties"]
    return found


def test_the_words_are_those_of_the_schema(members: dict[str, Any]) -> None:
    """Each closed list has the same words in the same order."""
    party = members["parties"]["items"]["properties"]
    rule = members["access"]["properties"]["rules"]["items"]["properties"]
    data = members["data"]["items"]["properties"]
    legal = members["legal"]["properties"]
    step = members["governance"]["properties"]["decisions"]["items"]["properties"]
    pairs = [
        (words.KINDS, members["kind"]["enum"]),
        (words.STATUSES, members["status"]["enum"]),
        (words.PARTY_ROLES, party["roles"]["items"]["enum"]),
        (words.DP_ROLES, party["dp_role"]["enum"]),
        (words.REGIMES, legal["regime"]["enum"]),
        (words.DATA_TYPES, legal["data_types"]["items"]["enum"]),
        (words.DPIA_OUTCOMES, legal["dpia"]["properties"]["outcome"]["enum"]),
        (words.IDENTIFIABILITIES, data["identifiability"]["enum"]),
        (words.FIELD_CLASSES, data["fields"]["items"]["properties"]["class"]["enum"]),
        (words.METHODS, rule["methods"]["items"]["enum"]),
        (words.ACTIONS, rule["action"]["enum"]),
        (words.ACTOR_MODES, rule["actor"]["properties"]["mode"]["enum"]),
        (words.ASSURANCE_LEVELS, rule["actor"]["properties"]["min_acr"]["enum"]),
        (words.CLASSIFICATIONS, members["security"]["properties"]["classification"]["enum"]),
        (words.TRANSPORTS, members["security"]["properties"]["transport"]["enum"]),
        (words.VISIBILITIES, members["rights"]["properties"]["subject_visibility"]["enum"]),
        (words.CHARGING, members["costs"]["properties"]["charging"]["enum"]),
        (words.PUBLISHING, members["transparency"]["properties"]["publish"]["enum"]),
        (words.STEPS, step["step"]["enum"]),
        (words.STEP_ROLES, step["role"]["enum"]),
        (words.STEP_OUTCOMES, step["outcome"]["enum"]),
    ]
    for ours, theirs in pairs:
        assert list(ours) == theirs
