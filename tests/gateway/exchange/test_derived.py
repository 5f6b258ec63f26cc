"""What follows from a shared value is worked out once for it, and for no other."""

from __future__ import annotations

from gateway.exchange.derived import SOURCES_MAX, Derived


def test_each_source_is_worked_out_once_and_by_itself() -> None:
    """Two equal values are two sources; one value is one."""
    first, second = [1], [1]
    asked: list[list[int]] = []

    def derive(source: list[int]) -> int:
        asked.append(source)
        return len(asked)

    derived = Derived(derive)
    assert [derived.of(first), derived.of(second), derived.of(first)] == [1, 2, 1]
    assert asked[0] is first
    assert asked[1] is second


def test_values_that_have_gone_never_lend_their_place() -> None:
    """However many sources come and go, each gets its own; the memory stays bounded."""
    derived: Derived[tuple[int], int] = Derived(lambda source: source[0])
    for number in range(3 * SOURCES_MAX):
        assert derived.of((number,)) == number
