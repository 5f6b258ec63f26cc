"""What is under way, and what is no more."""

from __future__ import annotations

import pytest

from gateway.audit import under_way
from gateway.audit.entry import Kind
from gateway.audit.under_way import UnderWay
from tests.gateway.audit.records import record


def test_what_has_begun_counts_until_it_ends() -> None:
    """Once each, however often it is said."""
    exchanges = UnderWay()
    for exchange in (b"a", b"b", b"a"):
        exchanges.begin(exchange)
    assert len(exchanges) == 2
    for exchange in (b"a", b"a", b"none"):
        exchanges.end(exchange)
    assert len(exchanges) == 1
    exchanges.forget_lost()
    assert len(exchanges) == 1


@pytest.mark.parametrize(
    ("kind", "stored", "left"),
    [
        (Kind.INTENT, True, 1),
        (Kind.INTENT, False, 0),
        (Kind.PROGRESS, True, 1),
        (Kind.OUTCOME, True, 0),
        (Kind.OUTCOME, False, 0),
        (Kind.INDETERMINATE, True, 0),
    ],
)
def test_what_is_answered_tells_whether_it_goes_on(kind: Kind, stored: bool, left: int) -> None:
    """A commit waits for ends that may come, and for no others."""
    exchanges = UnderWay()
    exchanges.begin(b"a")
    exchanges.answered(record(kind, b"a", core={}), stored=stored)
    assert len(exchanges) == left


def test_what_has_lost_its_end_counts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody tells the process that began it: commits would wait for it as long as it lives."""
    exchanges = UnderWay()
    exchanges.begin(b"a")
    monkeypatch.setattr(under_way, "UNDER_WAY_S", -1.0)
    exchanges.forget_lost()
    assert len(exchanges) == 0
