"""Which addresses may be reached, judged on the address itself and never on a name."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

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


async def connect(host: str, port: int, rule: EgressRule) -> socket.socket:
    """Return a non-blocking TCP connection to the first address of `host` that answers.

    Each address is judged before anything is sent to it, and the connected socket's peer again
    after, so that a name that resolves differently the second time gains nothing.

    Raises:
        EgressDenied: every address is denied by `rule`.
        OSError: the name does not resolve, or no allowed address answers.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    allowed = [entry for entry in found if rule.allows(str(entry[4][0]))]
    if not allowed:
        raise EgressDenied("the service's address is not allowed by the egress rule")
    failure = OSError("no address")
    for family, kind, protocol, _, address in allowed:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.setblocking(False)
            await loop.sock_connect(connection, address)
            rule.check(str(connection.getpeername()[0]))
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failure


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
