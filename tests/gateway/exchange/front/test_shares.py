"""Connections of a listener, divided among sources."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.front.shares import Shares


def taken(shares: Shares, source: str) -> int:
    """Take as many connections as a source may have; return how many that is."""
    count = 0
    while shares.take(source):
        count += 1
    return count


def test_one_source_has_a_half_and_leaves_the_others_theirs() -> None:
    """However much somebody takes, whoever comes next finds room."""
    shares = Shares(1_000)
    assert taken(shares, "192.0.2.1") == 500
    assert taken(shares, "192.0.2.2") == 250
    assert taken(shares, "192.0.2.3") == 125
    assert not shares.take("192.0.2.1")


def test_what_is_given_back_is_there_for_everybody() -> None:
    """A source that has left may come again, and nothing is kept of it meanwhile."""
    shares = Shares(4)
    assert taken(shares, "192.0.2.1") == 2
    shares.give_back("192.0.2.1")
    assert taken(shares, "192.0.2.2") == 2
    for source in ("192.0.2.1", "192.0.2.2", "192.0.2.2"):
        shares.give_back(source)
    assert not shares._held
    assert taken(shares, "192.0.2.3") == 2


def test_a_network_of_ipv6_is_one_source() -> None:
    """One host has billions of addresses; an IPv4 address in IPv6's clothes stays itself."""
    shares = Shares(8)
    assert taken(shares, "2001:db8::1") == 4
    assert not shares.take("2001:db8::ffff:2")
    assert shares.take("2001:db8:0:1::1")
    assert shares.take("::ffff:192.0.2.1")
    assert shares.take("::ffff:192.0.2.2")


@given(
    cap=st.integers(1, 12),
    steps=st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=60),
)
def test_the_cap_holds_and_a_newcomer_is_refused_only_at_the_cap(
    cap: int, steps: list[tuple[str, bool]]
) -> None:
    """Whatever comes and goes, no more than the cap is taken, and nobody who has none is late."""
    shares, held = Shares(cap), Counter[str]()
    for source, leaves in steps:
        if leaves:
            if held[source]:
                shares.give_back(source)
                held[source] -= 1
            continue
        free = cap - held.total()
        admitted = shares.take(source)
        assert admitted == (held[source] < free)
        held[source] += admitted
        assert held.total() <= cap
