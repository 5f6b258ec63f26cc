"""Addresses are judged, not names."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import pytest
import uvloop

from connectors import egress
from connectors.egress import (
    ADDRESSES_MAX,
    ATTEMPT_DELAY_S,
    METADATA_SERVICES,
    EgressDenied,
    EgressRule,
    connect,
)
from connectors.scripted import open_scripted

EVERYTHING = EgressRule(allow_loopback=True, networks=(ip_network("0.0.0.0/0"), ip_network("::/0")))

PATIENCE_S: Final = 60.0
"""Time for what comes at once, however slow the machine."""


def soon(seconds: float = PATIENCE_S) -> float:
    """Return a time on the event loop's clock."""
    return asyncio.get_running_loop().time() + seconds


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
                await connect(host, service.port, EgressRule(), until_s=soon())
            return service.connections

    assert asyncio.run(run()) == 0


class Resolver:
    """A resolver that gives one name several addresses, others at each asking."""

    answers: list[Sequence[str]]

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        """Return the addresses of the next answer; of a numeric host itself, as uvloop asks."""
        if host[0].isdigit() or ":" in host:
            addresses: Sequence[str] = [host]
        else:
            addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        families = [socket.AF_INET6 if ":" in one else socket.AF_INET for one in addresses]
        return [
            (family, socket.SOCK_STREAM, 0, "", (one, port))
            for family, one in zip(families, addresses, strict=True)
        ]


class PlainLoop(Resolver, asyncio.SelectorEventLoop):
    """The event loop of the command line."""


FastLoop: Final = type("FastLoop", (Resolver, uvloop.Loop), {})
"""The event loop of the data plane."""


def resolving(*answers: Sequence[str], loop: type[Any] = PlainLoop) -> asyncio.Runner:
    """Return a runner whose loop resolves every name to each of `answers`, the last for ever."""

    def make() -> asyncio.AbstractEventLoop:
        made: asyncio.AbstractEventLoop = loop()
        made.answers = list(answers)  # type: ignore[attr-defined]  # it resolves
        return made

    return asyncio.Runner(loop_factory=make)


@contextmanager
def silent(*addresses: str, port: int) -> Iterator[None]:
    """Take no connection at `addresses`, and say nothing: their queues are full."""
    with ExitStack() as held:
        for address in addresses:
            listener = held.enter_context(socket.socket())
            listener.bind((address, port))
            listener.listen(0)
            for _ in range(3):
                client = held.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex((address, port))
        yield


def open_files() -> int:
    """Count what this process holds open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it is so."""
    while not condition():  # noqa: ASYNC110 - the event loop closes sockets without a word
        await asyncio.sleep(0.01)


def resolved(*answers: list[str], rule: EgressRule) -> str:
    """Connect to a name that resolves to `answers`; return the connected address."""

    async def run() -> str:
        async with open_scripted(()) as service:
            with await connect("rebound.test", service.port, rule, until_s=soon()) as connection:
                return str(connection.getpeername()[0])

    with resolving(*answers) as runner:
        return str(runner.run(run()))


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
            (await connect("rebound.test", service.port, rule, until_s=soon())).close()
            with pytest.raises(EgressDenied):
                await connect("rebound.test", service.port, rule, until_s=soon())

    with resolving(["127.0.0.1"], ["10.0.0.1"]) as runner:
        runner.run(run())


class DivertingLoop(PlainLoop):
    """A host whose connections lead to loopback, wherever they were to go."""

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect to the same port of this host."""
        await super().sock_connect(sock, ("127.0.0.1", address[1]))


def test_where_a_connection_has_led_is_judged_too() -> None:
    """An address that is allowed but leads to one that is not gains nothing, not even a byte."""
    rule = EgressRule(networks=(ip_network("10.0.0.0/8"),))

    async def run() -> None:
        async with open_scripted(()) as service:
            before = open_files()
            with pytest.raises(EgressDenied):
                await connect("s.test", service.port, rule, until_s=soon())
            # The service closes its end when it sees that ours is closed.
            await until(lambda: open_files() <= before)
            assert not service.requests

    with resolving(["10.0.0.1"], loop=DivertingLoop) as runner:
        runner.run(asyncio.wait_for(run(), PATIENCE_S))


def test_a_refused_connection_is_an_os_error() -> None:
    """Nobody listens: the system's own error says so."""

    async def run(port: int) -> None:
        await connect("127.0.0.1", port, EVERYTHING, until_s=soon())

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError, match=r"Connection refused \(127\.0\.0\.1\)"):
            asyncio.run(run(held.getsockname()[1]))


@pytest.mark.parametrize("loop", [PlainLoop, FastLoop])
def test_silent_addresses_hold_up_nobody(loop: type[Any]) -> None:
    """A service is reached at the one of its hosts that lives, and nothing else stays open."""
    dead = ("127.0.0.2", "127.0.0.3")

    async def run(port: int) -> None:
        before, began_s = open_files(), asyncio.get_running_loop().time()
        with await connect("s.test", port, EVERYTHING, until_s=soon()) as connected:
            # Not at once either: a preferred address has its time to answer.
            assert asyncio.get_running_loop().time() - began_s > ATTEMPT_DELAY_S
            assert connected.getpeername()[0] == "127.0.0.1"
            await until(lambda: open_files() <= before + 1)
        assert open_files() == before

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with silent(*dead, port=port), resolving([*dead, "127.0.0.1"], loop=loop) as runner:
            runner.run(asyncio.wait_for(run(port), PATIENCE_S))


@pytest.mark.parametrize("loop", [PlainLoop, FastLoop])
def test_of_those_that_connect_at_once_one_stays_open(
    monkeypatch: pytest.MonkeyPatch, loop: type[Any]
) -> None:
    """A connection that comes too late is closed, not forgotten."""
    monkeypatch.setattr(egress, "ATTEMPT_DELAY_S", 0.0)

    async def run(port: int) -> None:
        before = open_files()
        with await connect("s.test", port, EVERYTHING, until_s=soon()):
            await until(lambda: open_files() <= before + 1)
        assert open_files() == before

    with (
        socket.create_server(("0.0.0.0", 0), backlog=64) as listener,
        resolving([f"127.0.0.{number}" for number in range(1, 9)], loop=loop) as runner,
    ):
        runner.run(asyncio.wait_for(run(listener.getsockname()[1]), PATIENCE_S))


def test_who_gives_up_leaves_nothing_open() -> None:
    """A caller who leaves while addresses are tried takes all attempts along."""

    async def run(port: int) -> None:
        before = open_files()
        waiting = asyncio.create_task(connect("s.test", port, EVERYTHING, until_s=soon()))
        await until(lambda: open_files() >= before + 2)  # both are being tried
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await until(lambda: open_files() <= before)

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        dead = ["127.0.0.2", "127.0.0.3"]
        with silent(*dead, port=port), resolving(dead) as runner:
            runner.run(asyncio.wait_for(run(port), PATIENCE_S))


def test_families_take_turns_and_each_failure_is_named() -> None:
    """RFC 8305, section 4: one family that leads nowhere does not come first throughout."""
    answer = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "::1", "10.0.0.1"]

    async def run(port: int) -> None:
        await connect("s.test", port, EgressRule(allow_loopback=True), until_s=soon())

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with resolving(answer) as runner, pytest.raises(OSError, match="refused") as failed:
            runner.run(run(held.getsockname()[1]))
    said = str(failed.value.strerror).split("; ")
    assert [one.rpartition("(")[2] for one in said] == [
        "127.0.0.2)", "::1)", "127.0.0.3)", "127.0.0.4)",
    ]  # fmt: skip


def test_the_time_is_up_at_all_addresses_together() -> None:
    """What was tried, what was silent and what there was no time for is told apart."""
    dead = ["127.0.0.2", *(f"127.0.1.{number}" for number in range(20))]

    async def run(port: int) -> None:
        await connect("s.test", port, EVERYTHING, until_s=soon(0.1))

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        with (
            silent("127.0.0.2", port=port),
            resolving(dead) as runner,
            pytest.raises(TimeoutError) as failed,
        ):
            runner.run(run(port))
    said = str(failed.value.strerror)
    assert said.startswith("no connection in time: no answer (127.0.0.2); not tried (127.0.1.0)")
    assert said.count(";") == ADDRESSES_MAX - 1
