"""A real gateway in processes of its own, with one service behind it, for tests and bench."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import secrets
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.database import open_engine, upgrade
from gateway.processes import run_gateway
from gateway.registry.configuration import read_directory
from gateway.registry.store import Registry
from gateway.settings import Settings, load_settings
from gateway.stop_figures import WorkerFigures
from gateway.telemetry import live_workers
from tests.tokens import SigningKey, make_token

PACK: Final = Path(__file__).parents[1] / "gateway" / "demo" / "pack"
ISSUER: Final = "https://idp.northvale.example"
CONSUMER: Final = "gss:E06999001"
CLIENT: Final = "northvale-public-health"
PROVIDER: Final = "ods:R9Z"
SERVICE: Final = "plain"
ITEM: Final = "/plain/v1/item"
AGREEMENT: Final = "DSA-2026-1000"
PURPOSE: Final = "POPULATION_HEALTH_PLANNING"
FIELDS: Final = tuple(f"field_{number:02}" for number in range(19))
START_S_MAX: Final = 60.0
STOP_S_MAX: Final = 50.0
PLAY_S_MAX: Final = 280.0
"""How long a test may play before it is taken to hang: much, for the machine may be busy."""

PORTS: Final = range(20_000, 32_768)
"""Ports below those that Linux chooses by itself (`ip_local_port_range`)."""

_SPAWN: Final = multiprocessing.get_context("spawn")


@dataclass
class Running:
    """A gateway that runs: where it listens, and its processes."""

    base_url: str
    control_url: str
    workers: list[int]
    process: BaseProcess
    home: Path
    registry_url: str | None = None

    @property
    def pids(self) -> list[int]:
        """Return all processes of the gateway."""
        assert self.process.pid is not None
        return [self.process.pid, *self.workers]

    def token(
        self, key: SigningKey, *, service: str = SERVICE, agreement: str = AGREEMENT, **claims: Any
    ) -> str:
        """Make a bearer token, issued now; unless told, for the one agreement that matters."""
        return item_token(key, self.base_url, service=service, agreement=agreement, **claims)

    @property
    def settings(self) -> Settings:
        """Return the settings, as a command on the same home would read them."""
        return load_settings(
            self.home,
            organisation=PROVIDER,
            public_base_url=self.base_url,
            registry_url=self.registry_url,
        )

    @property
    def figures(self) -> dict[int, WorkerFigures]:
        """Return what each worker that lives enforces, by its process id."""
        found = live_workers(self.settings.run_directory)
        return {worker.pid: worker for worker in found}


def item_token(
    key: SigningKey,
    base_url: str,
    client: str = CLIENT,
    *,
    service: str = SERVICE,
    agreement: str = AGREEMENT,
    **claims: Any,
) -> str:
    """Make a client's bearer token at a gateway, issued now; unless told, for its one agreement."""
    details = {"type": "data_exchange", "agreement": agreement, "purpose": PURPOSE}
    said = {
        "iss": ISSUER,
        "org": CONSUMER,
        "client_id": client,
        "sub": client,
        "aud": f"{base_url}/{service}",
        "authorization_details": [details],
        **claims,
    }
    return make_token(key, at=datetime.now(UTC), **said).decode()


@contextmanager
def running_gateway(
    home: Path,
    configuration: Path,
    *,
    port: int,
    workers: int = 1,
    core: int | None = None,
    registry_url: str | None = None,
    open_files: tuple[int, int] | None = None,
) -> Iterator[Running]:
    """Run a gateway on `home` until the block ends; `core` pins its processes to one core.

    Its registry is a file in the home unless `registry_url` names an empty database. `open_files`
    are the files that its processes may open, and the most that they may ask for.
    """
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(
        target=_run,
        args=(home, configuration, port, workers, core, registry_url, open_files, theirs),
        name="gateway",
    )
    process.start()
    theirs.close()
    try:
        if not ours.poll(START_S_MAX):
            raise RuntimeError("the gateway did not start")
        ready = ours.recv()
        yield Running(
            base_url=f"http://127.0.0.1:{port}",
            control_url=f"http://127.0.0.1:{ready['control'][1]}",
            workers=ready["workers"],
            process=process,
            home=home,
            registry_url=registry_url,
        )
    finally:
        process.terminate()
        process.join(STOP_S_MAX)
        if process.is_alive():
            process.kill()


def kill_all(running: Running) -> None:
    """End every process of a gateway as a power cut would."""
    for pid in running.pids:
        os.kill(pid, signal.SIGKILL)
    running.process.join(STOP_S_MAX)


def _run(
    home: Path,
    configuration: Path,
    port: int,
    workers: int,
    core: int | None,
    registry_url: str | None,
    open_files: tuple[int, int] | None,
    ready: Connection,
) -> None:
    if open_files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, open_files)
    if core is not None:
        os.sched_setaffinity(0, {core})
    home.mkdir(exist_ok=True)
    settings = load_settings(
        home,
        organisation=PROVIDER,
        public_base_url=f"http://127.0.0.1:{port}",
        data_listen=f"127.0.0.1:{port}",
        control_listen="127.0.0.1:0",
        workers=workers,
        registry_url=registry_url,
    )
    engine = open_engine(settings.database_url)
    upgrade(engine)
    Registry(engine).apply(read_directory(configuration), by="tests")
    engine.dispose()
    run_gateway(settings, allow_loopback_http=True, ready=ready)


def free_port() -> int:
    """Return a port of loopback that nobody listens on.

    It is one that the kernel gives to nobody who leaves the choice to it: until it is listened on
    some seconds later, neither a test that runs beside this one nor a connection takes it.
    """
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def write_configuration(
    directory: Path, *, service_url: str, metadata_url: str, agreements: int = 1
) -> None:
    """Write parties, one service and agreements; the first of them is the one that is used."""
    shutil.copytree(PACK / "legal", directory / "legal")
    parties = yaml.safe_load((PACK / "parties.yaml").read_text())["parties"]
    for party in parties:
        party["issuer"] = ISSUER if party["ref"] == CONSUMER else None
    _write(directory / "parties.yaml", {"parties": parties})
    issuer = {"issuer": ISSUER, "metadata_url": metadata_url}
    _write(directory / "issuers.yaml", {"issuers": [issuer]})
    service = {
        "connector": SERVICE,
        "owner": PROVIDER,
        "kind": "http",
        "title": "Plain",
        "datasets": ["admissions-monthly"],
        "base_url": service_url,
    }
    _write(directory / "services.yaml", {"services": [service]})
    model = yaml.safe_load(next((PACK / "agreements").glob("*0004.yaml")).read_text())
    for number in range(agreements):
        _write(directory / "agreements" / f"{number:04}.yaml", _agreement(model, number))


def _agreement(model: dict[str, Any], number: int) -> dict[str, Any]:
    rule = {
        "id": "R1",
        "party": CONSUMER,
        "connector": SERVICE,
        "dataset": "admissions-monthly",
        "methods": ["GET"],
        "path": ITEM if number == 0 else f"/plain/v1/other-{number:04}",
        "purposes": [PURPOSE],
        "action": "consultation",
        "actor": {"mode": "application"},
        "fields_allowed": list(FIELDS),
    }
    dataset = model["data"][0] | {
        "identifiability": "anonymous",
        "fields": [{"name": name, "class": "operational"} for name in FIELDS],
    }
    return model | {
        "agreement_id": f"DSA-2026-{number + 1000:04}",
        "data": [dataset],
        "access": {"rules": [rule], "break_glass": {"enabled": False}},
    }


def _write(path: Path, document: object) -> None:
    """Write a document; JSON is YAML too, and written a hundred times as fast."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
