"""Changes as people and programs are told them."""

from __future__ import annotations

from gateway.cli.changes import DIFFERENCES_SHOWN_MAX, Comparison, applied_sentences, as_data
from gateway.registry.documents import Configuration, Kind
from gateway.registry.store import Changes

NAME = (Kind.SERVICE, "plain")


def compared(was: dict[str, object], will_be: dict[str, object]) -> Comparison:
    """Compare two states of one service."""
    changes = Changes(revision=3, changed=(NAME,))
    before = Configuration(services={"plain": was})
    return Comparison.of(changes, before, Configuration(services={"plain": will_be}))


def test_what_comes_and_goes_is_told_as_absent() -> None:
    """A member that is not there is another thing than null."""
    found = compared({"gone": None}, {"new": "x" * 100})

    assert list(found.sentences()) == [
        "Against revision 3:",
        "  changed  service plain",
        "    gone: null → absent",
        f'    new: absent → "{"x" * 59}…',
    ]
    ((gone, new),) = (one["differences"] for one in found.as_data()["changed"])
    assert gone == {"at": ["gone"], "was": None}
    assert new == {"at": ["new"], "will_be": "x" * 100}


def test_a_person_is_shown_so_many_differences_and_no_more() -> None:
    """A document that changed all over does not push the others off the screen."""
    was: dict[str, object] = {f"m{number:02}": 0 for number in range(DIFFERENCES_SHOWN_MAX + 5)}
    told = list(compared(was, dict.fromkeys(was, 1)).sentences())

    assert len(told) == 2 + DIFFERENCES_SHOWN_MAX + 1
    assert told[-1] == "    … and 5 places more (--json)"


def test_what_was_applied_is_told_in_words() -> None:
    """How many of each, which, and where it is on record."""
    changes = Changes(revision=4, added=(NAME,), removed=((Kind.AGREEMENT, "DSA-2026-0001"),))

    assert list(applied_sentences(as_data(changes))) == [
        "Revision 4: 1 added, 1 removed.",
        "  added    service plain",
        "  removed  agreement DSA-2026-0001",
        "On record in the audit log: concordat audit search --kind admin.change",
    ]
