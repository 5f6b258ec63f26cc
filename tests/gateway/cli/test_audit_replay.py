"""`audit replay`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from sqlalchemy import text

from gateway.database import open_engine
from tests.gateway.cli.conftest import Run
from tests.played import played_home

SUSPEND: Final = """UPDATE configuration_document
SET content = replace(content, '"status":"active"', '"status":"suspended"')"""


def test_replay_holds_until_a_text_is_changed(run: Run, tmp_path: Path) -> None:
    """Exit 0 where every decision is the same; exit 1, with both, where one is not."""
    settings = played_home(tmp_path)
    words = ("audit", "replay", "--home", settings.home)
    held = run(*words)
    assert held.exit_code == 0
    assert "decisions replayed" in held.stdout
    engine = open_engine(settings.database_url)
    with engine.begin() as connection:
        connection.execute(text(SUSPEND))
    engine.dispose()
    differs = run(*words)
    assert differs.exit_code == 1
    assert "decision: permit → deny" in differs.stdout
    report = json.loads(run(*words, "--json").stdout)
    assert not report["ok"]
    first = report["differences"][0]
    assert first["recorded"]["agreement_digest"] != first["replayed"]["agreement_digest"]
