"""Which agreements hold their own records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from gateway.database import open_engine
from gateway.registry.retention import agreements_on_hold
from gateway.registry.store import Registry
from tests.homes import apply, apply_pack, make_settings


def test_an_agreement_s_hold_lasts_until_a_newer_text_ends_it(tmp_path: Path) -> None:
    """The newest text counts, also of an agreement that is no longer configured."""
    settings = make_settings(tmp_path)
    applied = apply_pack(settings, "http://127.0.0.1:9")
    key = sorted(applied.agreements)[0]
    engine = open_engine(settings.database_url)
    registry = Registry(engine)
    before = agreements_on_hold(registry)
    document = cast("dict[str, Any]", applied.agreements[key])
    held = {**document, "retention": {**document["retention"], "legal_hold": "SYNTHETIC inquiry"}}
    apply(settings, replace(applied, agreements={**applied.agreements, key: held}))
    assert agreements_on_hold(registry) == before | {key}
    rest = {name: one for name, one in applied.agreements.items() if name != key}
    apply(settings, replace(applied, agreements=rest))
    assert agreements_on_hold(registry) == before | {key}
    ended = {**document, "retention": {**document["retention"], "legal_hold": None}}
    apply(settings, replace(applied, agreements={**applied.agreements, key: ended}))
    assert agreements_on_hold(registry) == before - {key}
    engine.dispose()
