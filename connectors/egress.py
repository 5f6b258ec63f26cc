"""Which addresses may be reached, judged on the address itself and never on a name."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from itertools import zip_longest
from typing import Any, Final

METADATA_SERVICES: Final = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)
"""Cloud metadata services, which hand out credentials to whoever asks: never reachable."""

_TRANSLATED: Final = ip_network("64:ff9b::/96")
"""IPv4 addresses behind NAT64 (RFC 6052, 2.1)."""

ATTEMPT_DELAY_S: Final = 0.25
"""Seconds for which an address may be silent before the next is tried as well: the Connection
Attempt Delay that RFC 8305, section 5, recommends."""
ADDRESSES_MAX: Final = 12
"""Addresses of a name that are tried: as many as begin within 3 s, if all of them are silent."""

_Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
"""One address as `getaddrinfo` tells it."""


class EgressDenied(Exception):
    """The rule does not let this address be reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRule:
    """Public addresses are allowed; others only as told.

    `networks` lists private or link-local networks that may be reached. Metadata services,
    multicast and the unspecified address are denied whatever is listed.
    """

    allow_loopback: bool = False
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def allows(self, address_text: str) -> bool:
        """Tell whether the numeric address may be reached."""
        address = _address_meant(address_text)
        if address in METADATA_SERVICES or address.is_multicast or address.is_unspecified:
            return False
        if address.is_loopback:
            return self.allow_loopback
        if any(address in network for network in self.networks):
            return True
        return address.is_global and not address.is_link_local and not address.is_private

    def check(self, address_text: str) -> None:
        """Raise EgressDenied unless the numeric address may be reached."""
        if not self.allows(address_text):
            raise EgressDenied("the service's address is not allowed by the egress rule")


async def connect(host: str, port: int, rule: EgressRule, *, until_s: float) -> socket.socket:
    """Return a non-blocking TCP connection to the address of `host` that answers first.

    The addresses are tried in the order of RFC 8305, section 4, each `ATTEMPT_DELAY_S` after the
    one before, or at once where that one has failed: one that is silent costs the others no more.
    Each is judged before anything is sent to it, and the connected socket's peer again after, so
    that a name that resolves differently the second time gains nothing. `until_s` is on the event
    loop's clock.

    Raises:
        EgressDenied: every address is denied by `rule`.
        TimeoutError: the name is not resolved, or no allowed address has answered, by `until_s`.
        OSError: the name does not resolve, or every allowed address has failed. Like that of a
            TimeoutError, its `strerror` names each address and what came of it, for operators.
    """
    async with asyncio.timeout_at(until_s):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    allowed = [entry for entry in found if rule.allows(str(entry[4][0]))]
    if not allowed:
        raise EgressDenied("the service's address is not allowed by the egress rule")
    return await _first_connected(_interleaved(allowed)[:ADDRESSES_MAX], rule, until_s)


def _interleaved(found: Sequence[_Found]) -> list[_Found]:
    """Return the addresses by turns of their family, the resolver's first choice first."""
    preferred = [entry for entry in found if entry[0] == found[0][0]]
    others = [entry for entry in found if entry[0] != found[0][0]]
    turns = zip_longest(preferred, others)
    return [entry for turn in turns for entry in turn if entry is not None]


async def _first_connected(
    addresses: Sequence[_Found], rule: EgressRule, until_s: float
) -> socket.socket:
    """Return the first connection that stands; whatever else was begun is closed."""
    loop = asyncio.get_running_loop()
    untried, tried, code = deque(addresses), list[str](), errno.ETIMEDOUT
    attempts: dict[asyncio.Task[socket.socket], str] = {}
    try:
        while (untried or attempts) and (left_s := until_s - loop.time()) > 0:
            if untried:
                entry = untried.popleft()
                attempts[loop.create_task(_connected(entry, rule))] = str(entry[4][0])
            pause_s = min(ATTEMPT_DELAY_S, left_s) if untried else left_s
            done, _ = await asyncio.wait(
                attempts, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                address = attempts.pop(attempt)
                try:
                    return attempt.result()
                except OSError as error:
                    code = error.errno or errno.ETIMEDOUT
                    tried.append(f"{os.strerror(code)} ({address})")
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close)
    if not (untried or attempts):
        raise OSError(code, "; ".join(tried))
    tried += [f"no answer ({address})" for address in attempts.values()]
    tried += [f"not tried ({entry[4][0]})" for entry in untried]
    raise TimeoutError(errno.ETIMEDOUT, f"no connection in time: {'; '.join(tried)}")


async def _connected(entry: _Found, rule: EgressRule) -> socket.socket:
    family, kind, protocol, _, address = entry
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, address)
        rule.check(str(connection.getpeername()[0]))
    except BaseException:
        connection.close()
        raise
    return connection


def _close(attempt: asyncio.Task[socket.socket]) -> None:
    """Close a connection that came too late: another was first, or nobody waits any more."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


def _address_meant(address_text: str) -> IPv4Address | IPv6Address:
    """Return the IPv4 address inside an IPv6 one that only wraps it, else the address itself."""
    address = ip_address(address_text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
