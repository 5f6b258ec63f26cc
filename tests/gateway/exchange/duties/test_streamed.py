"""An answer without duties passes as it is."""

from __future__ import annotations

from gateway.exchange.duties.applied import Shape, not_applicable
from gateway.exchange.duties.streamed import NoDuties, Unfit


def test_without_duties_every_octet_passes() -> None:
    """Nothing is read; the people whom the request names are counted all the same."""
    duties = NoDuties(Shape(known_subjects=frozenset({"a"})))
    assert duties.feed(b"\xff\x00") + duties.finish() == b"\xff\x00"
    assert duties.applied().subjects == frozenset({"a"})
    assert duties.applied().subjects_counted == 1


def test_what_is_unfit_says_why() -> None:
    """The reason goes on record."""
    withheld = not_applicable("Cannot be read.")
    assert Unfit(withheld).withheld is withheld
