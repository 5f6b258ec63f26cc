"""Starts and stops the demo's world: departments, issuers and a gateway, all real processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Final

from gateway.administration import apply_configuration
from gateway.clock import SystemClock
from gateway.demo.channel import Channel
from gateway.demo.clock import DemoClock
from gateway.demo.departments import Replacements, serve_departments
from gateway.demo.issuers import IssuerAddresses, serve_issuers
from gateway.demo.listener import LOOPBACK, listen, stop_with_parent
from gateway.demo.packs import Pack
from gateway.demo.play import Stage
from gateway.demo.rates import DemoRates
from gateway.demo.state import (
    FOLDER,
    DemoState,
    clock_path,
    examples_of,
    write_keys,
    write_state,
)
from gateway.demo.token_endpoint import new_key
from gateway.processes import run_gateway
from gateway.registry.configuration import read_directory
from gateway.registry.documents import Overlay
from gateway.settings import Settings

START_S_MAX: Final = 60.0
"""Seconds in which a process of the demo must be ready."""
STOP_S_MAX: Final = 10.0
"""Seconds in which a process must stop when asked, before it is ended."""

PREFERRED_PORTS: Final = (8080, 8081)
"""The data and control listeners' ports, if nobody else has them."""

_BY: Final = "demo"
_REPLACEMENTS_FILE: Final = "departments-note.json"


class WorldFailed(Exception):
    """A process of the demo did not start; what it said is on standard error."""


class HomeUsed(Exception):
    """The directory that a demo was given holds something already, or cannot be one."""


Listeners = tuple[socket.socket, socket.socket]
"""The gateway's listeners, for data and for control."""


@contextmanager
def open_listeners() -> Iterator[Listeners]:
    """Listen on the usual ports, or on two free ones.

    They listen from here on, so that of two demos that start in the same instant each has its own.
    """
    data_port, control_port = PREFERRED_PORTS
    with _listen(data_port) as data, _listen(control_port) as control:
        yield data, control


@contextmanager
def open_world(
    pack: Pack, settings: Settings, operator_secret: str, listeners: Listeners | None = None
) -> Iterator[Stage]:
    """Start everything for `pack` in a home that was just made, and stop it in the end.

    `listeners` go over to the gateway; without them it opens those that the settings name.

    Raises:
        WorldFailed: a process did not become ready.
    """
    home = settings.home
    (home / FOLDER).mkdir(mode=0o700)
    calls = pack.sheet.calls
    clock = DemoClock.create(clock_path(home), calls[0].at if calls else SystemClock().now())
    keys = {client: new_key() for client in pack.clients}
    write_keys(home, keys)
    replacements = Replacements(home / FOLDER / _REPLACEMENTS_FILE)
    with _Processes() as processes, Channel() as channel:
        _, departments_port = processes.start(
            "departments", serve_departments, pack=pack.directory, replacements=replacements
        )
        _, issuers_port = processes.start(
            "issuers",
            serve_issuers,
            issuers=pack.issuers,
            clients={client: key.as_dict(private=False) for client, key in keys.items()},
            clock=clock,
        )
        issuers = IssuerAddresses(port=issuers_port, issuers=pack.issuers)
        _apply(pack, settings, issuers, f"http://{LOOPBACK}:{departments_port}")
        ready: Mapping[str, Any] = processes.start(
            "gateway",
            serve_gateway,
            settings=settings,
            clock=clock,
            listeners=listeners,
        )
        for listener in listeners or ():
            listener.close()  # the gateway's own copies alone tell callers whether it is there
        stage = Stage(
            settings=settings,
            channel=channel,
            gateway_url=settings.public_base_url,
            control_url=_url(ready["control"]),
            operator_secret=operator_secret,
            clock=clock,
            issuers=issuers,
            client_keys=keys,
            replacements=replacements,
        )
        write_state(home, _state_of(stage, pack))
        yield stage


def serve_gateway(
    settings: Settings, clock: DemoClock, listeners: Listeners | None, ready: Connection
) -> None:
    """Process body: run the gateway, with the demo's clock and rates, and send its addresses."""
    stop_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    run_gateway(
        settings,
        clock=clock,
        new_rates=partial(DemoRates, clock),
        allow_loopback_http=True,
        ready=ready,
        listeners=listeners,
    )


def _listen(preferred: int) -> socket.socket:
    for port in (preferred, 0):
        with suppress(OSError):
            return listen(port)
    raise WorldFailed("no port is free on loopback")


def _apply(pack: Pack, settings: Settings, issuers: IssuerAddresses, base_url: str) -> None:
    overlay = Overlay(
        base_urls=dict.fromkeys(pack.configuration.services, base_url),
        metadata_urls={
            issuer: issuers.metadata_url(issuer) for issuer in pack.configuration.issuers
        },
    )
    apply_configuration(read_directory(pack.directory, overlay=overlay), settings, by=_BY)


def _state_of(stage: Stage, pack: Pack) -> DemoState:
    return DemoState(
        gateway_url=stage.gateway_url,
        control_url=stage.control_url,
        issuer_port=stage.issuers.port,
        issuers=stage.issuers.issuers,
        operator_secret=stage.operator_secret,
        clients=examples_of(pack),
    )


def _url(address: tuple[str, int]) -> str:
    return f"http://{address[0]}:{address[1]}"


class _Processes:
    """The processes that were started; the last one stops first."""

    def __init__(self) -> None:
        # Spawned, not forked: each starts clean, as `concordat serve` would.
        self._context: Final = multiprocessing.get_context("spawn")
        self._started: Final[list[SpawnProcess]] = []

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            process.terminate()
            process.join(STOP_S_MAX)
            if process.is_alive():
                process.kill()
                process.join()

    def start(self, name: str, body: Callable[..., object], **arguments: object) -> Any:
        """Start `body` in a process and return what it sends when it is ready."""
        receiver, sender = self._context.Pipe(duplex=False)
        arguments["ready"] = sender
        process = self._context.Process(target=body, kwargs=arguments, name=f"demo-{name}")
        process.start()
        self._started.append(process)
        sender.close()
        with receiver:
            if not wait([receiver, process.sentinel], START_S_MAX):
                raise WorldFailed(f"the {name} were not ready in {START_S_MAX:.0f} s")
            try:
                return receiver.recv()
            except EOFError:
                process.join(STOP_S_MAX)
                code = process.exitcode
                raise WorldFailed(f"the {name} stopped with exit code {code}") from None


def fresh_home(home: Path) -> None:
    """Make the directory of a demo's home.

    Raises:
        HomeUsed: it is there and holds something, or cannot be a directory.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        used = any(home.iterdir())
    except OSError as failure:
        raise HomeUsed(f"{home} cannot be made: {failure.strerror}") from None
    if used:
        raise HomeUsed(f"{home} is not empty; a demo starts from nothing")
