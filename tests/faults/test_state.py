"""State on the hot path against a real gateway: exact across its workers, and kept when it dies."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

from connectors.fetch import open_client
from tests.faults.journals import Journal, open_stage
from tests.running import (
    AGREEMENT,
    CONSUMER,
    FIELDS,
    PLAY_S_MAX,
    PURPOSE,
    Running,
    free_port,
    kill_all,
    running_gateway,
)
from tests.tokens import SigningKey

WORKERS: Final = 2
CALLS_AT_ONCE: Final = 12
PEOPLE_MAX: Final = 4
PERSON: Final = "x" * 40
"""The one person whom the tests' service knows; it answers with her whoever is asked about."""
WORDS: Final = "A child is missing, the latest contact is needed now"
REFERENCE: Final = "LER-1"


def configure(directory: Path) -> None:
    """Make the one agreement one of urgent grants, and of decisions for one use."""
    path = next(directory.glob("agreements/*.yaml"))
    agreement: dict[str, Any] = json.loads(path.read_text())
    rule = agreement["access"]["rules"][0]
    agreement["data"][0] |= {"identifiability": "identifiable", "subject_identifier": FIELDS[0]}
    agreement["access"] = {
        "rules": [
            rule | {"id": "URGENT", "path": f"/plain/v1/person/{{{FIELDS[0]}}}"},
            rule
            | {
                "id": "DECIDED",
                "path": "/plain/v1/decided",
                "request_context_required": ["decision_ref"],
                "obligations": ["single_use_decision"],
            },
        ],
        "break_glass": {
            "enabled": True,
            "rules": ["URGENT"],
            "relaxes": [],
            "never_relaxes": ["purpose", "single_subject"],
            "roles": ["duty"],
            "reasons": ["CHILD_MISSING"],
            "justification_min_chars": 10,
            "ttl": "P1D",
            "max_subjects": PEOPLE_MAX,
            "notify": ["dpo"],
            "review_within": "P1D",
        },
    }
    path.write_text(json.dumps(agreement))
    decided = {
        "decision": "share",
        "decided_at": "2026-01-01T00:00:00Z",
        "fields_released": list(FIELDS),
    }
    forms = [
        {"form": "request", "request_ref": REFERENCE, "requesting_organisation": CONSUMER},
        {"form": "decision", "request_ref": REFERENCE, **decided},
    ]
    (directory / "forms").mkdir()
    (directory / "forms" / "forms.json").write_text(json.dumps(forms))


async def ask(running: Running, key: SigningKey, path: str, **details: object) -> int:
    """Make one call on a connection of its own, which any worker may take."""
    said = {"type": "data_exchange", "agreement": AGREEMENT, "purpose": PURPOSE, **details}
    token = running.token(key, authorization_details=[said], roles=["duty"])
    headers = {"authorization": f"Bearer {token}"}
    async with open_client(timeout_s=30.0) as client:
        return (await client.request("GET", running.base_url + path, headers)).status


async def break_glass(running: Running, key: SigningKey, person: str) -> int:
    """Ask about a person in an emergency."""
    urgent = {"reason": "CHILD_MISSING", "justification": WORDS}
    return await ask(running, key, f"/plain/v1/person/{person}", break_glass=urgent)


async def rely_on_decision(running: Running, key: SigningKey) -> int:
    """Use the decision that is good for one use."""
    context = {"decision_ref": REFERENCE}
    return await ask(running, key, "/plain/v1/decided", context=context)


async def at_once(*calls: Any) -> Counter[int]:
    """Make calls at once and count how they were answered."""
    return Counter(await asyncio.gather(*calls))


def test_state_is_exact_across_workers_and_survives_them(tmp_path: Path) -> None:
    """Of calls at once on two workers no more pass than may; after a power cut none does."""

    async def play() -> None:
        async with open_stage(tmp_path, Journal()) as key:
            configuration, home, port = tmp_path / "configuration", tmp_path / "home", free_port()
            configure(configuration)
            with running_gateway(home, configuration, port=port, workers=WORKERS) as running:
                first = await break_glass(running, key, PERSON)
                people = [f"person-{number}" for number in range(CALLS_AT_ONCE)]
                urgent = await at_once(*(break_glass(running, key, one) for one in people))
                turns = range(CALLS_AT_ONCE)
                decided = await at_once(*(rely_on_decision(running, key) for _ in turns))
                kill_all(running)

            assert first == 200
            assert urgent == {200: PEOPLE_MAX - 1, 429: CALLS_AT_ONCE - PEOPLE_MAX + 1}
            assert decided == {200: 1, 403: CALLS_AT_ONCE - 1}

            with running_gateway(home, configuration, port=port, workers=WORKERS) as running:
                assert await break_glass(running, key, "somebody-else") == 429
                assert await break_glass(running, key, PERSON) == 200
                assert await rely_on_decision(running, key) == 403

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))
