"""Exchanges as people see them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from gateway.cli.audit_table import exchange_table, exchanges_table, fact, instant, wrapped

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


def _text(table: object, width: int = 120) -> str:
    written = io.StringIO()
    Console(width=width, file=written).print(table)
    return written.getvalue()


def test_a_list_shows_who_what_and_how_it_ended() -> None:
    """One row an exchange, its id whole, its time in UTC."""
    text = _text(exchanges_table([VIEW]))
    for part in ("0199a3c4-7f21-7abc-8def-0123456789ab", "gss:E06999001", "403", "2026-11-20"):
        assert part in text


def test_nothing_breaks_inside_a_word() -> None:
    """At 120 columns a long path breaks behind a slash, a reason behind an underscore."""
    path = "/eligibility/v1/fuel-poverty/households/{household}/assessments/{assessment}"
    reason = "BREAK_GLASS_JUSTIFICATION_MISSING"
    text = _text(exchanges_table([{**VIEW, "route": path, "reason": reason}]))
    pieces = [piece for line in text.splitlines() for piece in line.split()]

    assert all(len(line) <= 120 for line in text.splitlines())
    assert "".join(one for one in pieces if one.strip("/_") in path) == path
    assert "".join(one for one in pieces if one.strip("_") in reason) == reason
    assert VIEW["exchange_id"] in pieces


def test_a_narrow_terminal_cuts_nothing_off() -> None:
    """At 80 columns the id can still be copied, and every other word is there to its end."""
    reason = "BREAK_GLASS_JUSTIFICATION_MISSING"
    view = {**VIEW, "reason": reason, "consumer": "urn:ukfdx:org:police:SYN-EXF"}
    text = _text(exchanges_table([view]), 80)

    assert all(len(line) <= 80 for line in text.splitlines())
    assert "…" not in text
    assert VIEW["exchange_id"] in text.split()
    for word in (reason, "urn:ukfdx:org:police:SYN-EXF"):
        assert all(piece in text for piece in (word[:6], word[-3:]))


def test_a_record_of_no_exchange_has_its_own_id() -> None:
    """A reading of the log is listed by what `audit show` takes, and by what was done."""
    entry = {"index": 1, "kind": "log.access", "leaf_hash": "00", "record_id": "0199a3c4-aa"}
    view = {"exchange_id": None, "kind": "log.access", "verb": "find", "entries": [entry]}
    text = _text(exchanges_table([view]))
    assert "0199a3c4-aa" in text
    assert "find" in text


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("GET /a/b", ["GET /a/b"]),
        ("GET /spl/v1/people", ["GET /spl/", "v1/people"]),
        ("RATE_LIMITED", ["RATE_", "LIMITED"]),
        ("indivisiblyyy/long", ["indivisiblyyy/", "long"]),
    ],
)
def test_lines_break_at_joints(text: str, lines: list[str]) -> None:
    """Behind a slash, an underscore or a space."""
    assert wrapped(text, 10).splitlines() == [line for line in lines if line or text]


def test_one_exchange_shows_all_its_facts() -> None:
    """Sections and records are there; an erased section says so."""
    text = _text(exchange_table(VIEW))
    for part in ("a, b", "actor.client", "erased", "record 7", "00ff"):
        assert part in text


def test_facts_are_told_as_people_write_them() -> None:
    """Neither a program's words for yes and no, nor its marks for a structure or a time."""
    assert [fact("alert", True), fact("opt_out", False), fact("reason", None)] == ["yes", "no", ""]
    context = {"case_reference": "SYNTHETIC-1", "at": 1_795_412_698_061_488, "urgent": True}
    said = "case_reference SYNTHETIC-1, at 2026-11-23 05:44:58Z, urgent yes"
    assert fact("context", context) == said
    assert fact("steps", [True, "x"]) == "yes, x"


def test_a_reading_of_the_log_shows_its_declared_use() -> None:
    """In the list already: who it was is opened by its own id."""
    entry = {"index": 1, "kind": "log.access", "leaf_hash": "00", "record_id": "0199a3c4-aa"}
    seen = {"kind": "log.access", "verb": "find", "use": "self_monitoring", "entries": [entry]}
    assert "self_monitoring" in _text(exchanges_table([seen]))


def test_no_time_is_nothing() -> None:
    """What is no time does not become one."""
    assert instant(None) == ""
    assert instant("soon") == ""


def test_an_administrator_s_change_is_told_with_what_it_changed() -> None:
    """Which revision, or which agreement; the name of a client is not in a list."""
    entry = {"index": 1, "kind": "admin.change", "leaf_hash": "00", "record_id": "0199a3c4-aa"}
    seen = {"kind": "admin.change", "entries": [entry]}
    applied = {**seen, "verb": "apply", "revision": 7}
    stopped = {**seen, "verb": "stop", "what": "agreement", "agreement": "DSA-2026-0003"}
    text = _text(exchanges_table([applied, stopped, {**seen, "verb": "stop", "what": "client"}]))

    for part in ("apply: revision 7", "stop agreement DSA-2026-0003", "stop client"):
        assert part in text
