"""Exchanges as people see them."""

from __future__ import annotations

import io

from rich.console import Console

from gateway.cli.audit_table import exchange_table, exchanges_table, instant

VIEW = {
    "exchange_id": "0199a3c4-7f21-7abc-8def-0123456789ab",
    "decided_at": 1_795_142_400_000_000,
    "consumer": "gss:E06999001",
    "method": "GET",
    "route": "/spl/v1/people",
    "purpose": "SHIELDING_SUPPORT",
    "status": 403,
    "reason": "TIME_WINDOW_CLOSED",
    "fields_sent": ["a", "b"],
    "sections": {"actor": {"client": "app"}, "subject": None},
    "entries": [{"index": 7, "kind": "decision.deny", "leaf_hash": "00ff"}],
}


def _text(table: object) -> str:
    written = io.StringIO()
    Console(width=120, file=written).print(table)
    return written.getvalue()


def test_a_list_shows_who_what_and_how_it_ended() -> None:
    """One row an exchange, its id whole, its time in UTC."""
    text = _text(exchanges_table([VIEW]))
    for fact in ("0199a3c4-7f21-7abc-8def-0123456789ab", "gss:E06999001", "403", "2026-11-20"):
        assert fact in text


def test_one_exchange_shows_all_its_facts() -> None:
    """Sections and records are there; an erased section says so."""
    text = _text(exchange_table(VIEW))
    for fact in ("a, b", "actor.client", "erased", "record 7", "00ff"):
        assert fact in text


def test_no_time_is_nothing() -> None:
    """What is no time does not become one."""
    assert instant(None) == ""
    assert instant("soon") == ""
