"""Addresses are judged, not names."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_network
from typing import Any

import pytest

from connectors.egress import METADATA_SERVICES, EgressDenied, EgressRule, connect
from connectors.scripted import open_scripted

EVERYTHING = EgressRule(allow_loopback=True, networks=(ip_network("0.0.0.0/0"), ip_network("::/0")))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "::1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.1.1",
        "fe80::1", "fe80::1%eth0", "fd00::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1",
        "255.255.255.255", "100.64.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::",
        "64:ff9b::7f00:1", "64:ff9b::a00:1", "192.0.2.1", "240.0.0.1",
    ],
)  # fmt: skip
def test_only_public_addresses_are_allowed_without_a_word(address: str) -> None:
    """Loopback, private, link-local and wrapped forms of them are denied by default (U-09)."""
    assert not EgressRule().allows(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2a00:1450:4009::1", "::ffff:8.8.8.8"])
def test_public_addresses_are_allowed(address: str) -> None:
    """Departments' services may live on the public Internet."""
    assert EgressRule().allows(address)


def test_named_networks_are_allowed_and_no_others() -> None:
    """A private network is reachable once it is listed."""
    rule = EgressRule(networks=(ip_network("10.1.0.0/16"),))
    assert rule.allows("10.1.2.3")
    assert rule.allows("::ffff:10.1.2.3")
    assert not rule.allows("10.2.0.1")
    assert not rule.allows("127.0.0.1")


@pytest.mark.parametrize(
    "address",
    [*sorted(map(str, METADATA_SERVICES)), "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"],
)
def test_metadata_services_are_never_allowed(address: str) -> None:
    """No setting opens the way to a cloud's credentials."""
    assert not EVERYTHING.allows(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1"])
def test_denied_addresses_are_not_even_connected_to(host: str) -> None:
    """Every spelling of loopback is denied before a packet leaves."""

    async def run() -> int:
        async with open_scripted(()) as service:
            with pytest.raises(EgressDenied):
                await connect(host, service.port, EgressRule())
            return service.connections

    assert asyncio.run(run()) == 0


class Resolving(asyncio.SelectorEventLoop):
    """An event loop whose resolver gives one name several addresses, others at each asking."""

    def __init__(self, *answers: list[str]) -> None:
        """Resolve every name to each of `answers` in turn, the last for ever."""
        super().__init__()
        self.answers = list(answers)

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        """Return the addresses of the next answer."""
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        family = socket.AF_INET
        return [(family, socket.SOCK_STREAM, 0, "", (one, port)) for one in addresses]


def resolved(*answers: list[str], rule: EgressRule) -> str:
    """Connect to a name that resolves to `answers`; return the connected address."""

    async def run() -> str:
        async with open_scripted(()) as service:
            with await connect("rebound.test", service.port, rule) as connection:
                return str(connection.getpeername()[0])

    with asyncio.Runner(loop_factory=lambda: Resolving(*answers)) as runner:
        return runner.run(run())


def test_of_several_addresses_only_the_allowed_are_tried() -> None:
    """U-09: a name with a public and an internal address leads to no internal one."""
    rule = EgressRule(allow_loopback=True)
    denied = ["169.254.169.254", "10.0.0.1", "0.0.0.0"]
    assert resolved([*denied, "127.0.0.1"], rule=rule) == "127.0.0.1"
    with pytest.raises(EgressDenied):
        resolved(denied, rule=rule)


def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    """A service with two addresses is reached while one of its hosts is down."""
    assert resolved(["127.0.0.2", "127.0.0.1"], rule=EVERYTHING) == "127.0.0.1"


def test_a_name_that_resolves_to_something_else_later_is_judged_anew() -> None:
    """U-09: DNS rebinding; each connection judges the addresses that it is about to use."""
    rule = EgressRule(allow_loopback=True)

    async def run() -> None:
        async with open_scripted(()) as service:
            (await connect("rebound.test", service.port, rule)).close()
            with pytest.raises(EgressDenied):
                await connect("rebound.test", service.port, rule)

    with asyncio.Runner(loop_factory=lambda: Resolving(["127.0.0.1"], ["10.0.0.1"])) as runner:
        runner.run(run())


def test_a_refused_connection_is_an_os_error() -> None:
    """Nobody listens: the system's own error says so."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            asyncio.run(connect("127.0.0.1", port, EVERYTHING))
