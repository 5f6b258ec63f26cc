"""Who gets how many of a listener's connections: nobody so many that others find none."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address
from typing import Final

_NETWORK_BITS: Final = 64
"""One host of IPv6 has all the addresses of a network like this (RFC 4291, section 2.5.4)."""


class Shares:
    """Divides a number of connections among sources: each may have as many as are left free.

    One source alone gets a half of them and two get a third each, so that there is always room for
    another, who needs only one. It is the dynamic threshold of Choudhury and Hahne (IEEE/ACM
    Transactions on Networking 6(2), 1998) with the factor 1: no number per source has to be set,
    which would be too small for a front proxy or too large for a flood.
    """

    __slots__ = ("_connections_max", "_held", "_taken")

    def __init__(self, connections_max: int) -> None:
        """Divide `connections_max`, of which none is taken yet."""
        self._connections_max = connections_max
        self._taken = 0
        self._held: Counter[str | int] = Counter()

    def take(self, address: str) -> bool:
        """Take one for a source, by its IP address; False where it has its share already."""
        source = _source(address)
        if self._held[source] >= self._connections_max - self._taken:
            if not self._held[source]:
                del self._held[source]
            return False
        self._held[source] += 1
        self._taken += 1
        return True

    def give_back(self, address: str) -> None:
        """Give back one that `take` has given to this address."""
        source = _source(address)
        self._held[source] -= 1
        self._taken -= 1
        if not self._held[source]:
            del self._held[source]


def _source(address: str) -> str | int:
    """Return what an address is counted as: itself, or its network."""
    if ":" not in address:
        return address
    numbered = IPv6Address(address)
    return str(numbered.ipv4_mapped or int(numbered) >> _NETWORK_BITS)
