"""What a running demo leaves in its home, so that `token get` and `call` find it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from joserfc.jwk import ECKey

from gateway.demo.clock import DemoClock
from gateway.demo.issuers import IssuerAddresses
from gateway.demo.packs import Pack, seats

FOLDER: Final = "demo"
"""The folder of the demo's own files inside its home."""

_STATE_FILE: Final = "state.json"
_CLOCK_FILE: Final = "clock"
_KEYS_FOLDER: Final = "clients"
_PRIVATE: Final = 0o600


class NoDemo(Exception):
    """The home is not that of a demo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientExample:
    """What a client of the pack asks for when nothing else is said: its first call that counts."""

    organisation: str
    issuer: str
    agreement: str | None
    purpose: str | None
    connector: str
    subject: str | None
    roles: tuple[str, ...]
    acr: str | None
    context: Mapping[str, str]
    bound: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoState:
    """Addresses and clients of a demo, and the operator's secret."""

    gateway_url: str
    control_url: str
    issuer_port: int
    issuers: tuple[str, ...]
    operator_secret: str
    clients: Mapping[str, ClientExample]

    @property
    def issuer_addresses(self) -> IssuerAddresses:
        """Where the demo's issuers answer."""
        return IssuerAddresses(port=self.issuer_port, issuers=self.issuers)


def write_state(home: Path, state: DemoState) -> None:
    """Keep `state` in `home`, readable by its owner alone."""
    path = home / FOLDER / _STATE_FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _PRIVATE)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(state), file, indent=1)


def read_state(home: Path) -> DemoState:
    """Return the state of the demo in `home`.

    Raises:
        NoDemo: there is none.
    """
    try:
        kept = json.loads((home / FOLDER / _STATE_FILE).read_text())
    except OSError:
        raise NoDemo(f"{home} is not the home of a demo; start one with: concordat demo") from None
    clients = {
        name: ClientExample(**{**example, "roles": tuple(example["roles"])})
        for name, example in kept["clients"].items()
    }
    return DemoState(**{**kept, "issuers": tuple(kept["issuers"]), "clients": clients})


def is_demo(home: Path) -> bool:
    """Whether `home` is that of a demo."""
    return (home / FOLDER / _STATE_FILE).is_file()


def clock_path(home: Path) -> Path:
    """Return the path of the demo's clock."""
    return home / FOLDER / _CLOCK_FILE


def open_clock(home: Path) -> DemoClock:
    """Return the clock of the demo in `home`."""
    return DemoClock(clock_path(home))


def write_keys(home: Path, keys: Mapping[str, ECKey]) -> None:
    """Keep the clients' private keys, one file each, readable by their owner alone."""
    folder = home / FOLDER / _KEYS_FOLDER
    folder.mkdir(mode=0o700, parents=True)
    for client, key in keys.items():
        path = folder / _key_file(client)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
        with os.fdopen(descriptor, "w") as file:
            json.dump(key.as_dict(private=True), file)


def _key_file(client: str) -> str:
    """Return the name of a client's file; its id may be a URL, or longer than a file's name."""
    return f"{hashlib.sha256(client.encode()).hexdigest()}.jwk"


def read_key(home: Path, client: str) -> ECKey:
    """Return the private key of one of the demo's clients.

    Raises:
        NoDemo: the demo has no such client.
    """
    try:
        kept = json.loads((home / FOLDER / _KEYS_FOLDER / _key_file(client)).read_text())
    except OSError:
        raise NoDemo(f"the demo in {home} has no client {client}") from None
    return ECKey.import_key(kept)


def examples_of(pack: Pack) -> dict[str, ClientExample]:
    """Return what each client of the pack asks for by example.

    A permitted call of the pack is the best example; a client without one gets the first purpose
    that its agreement gives its organisation.
    """
    found: dict[str, ClientExample] = {}
    for call in pack.sheet.calls:
        facts = call.token
        if facts.client is None or facts.issuer is None or call.expect.decision == "deny":
            continue
        example = ClientExample(
            organisation=facts.organisation,
            issuer=facts.issuer,
            agreement=facts.agreement,
            purpose=facts.purpose,
            connector=pack.connector_of(call.path),
            subject=facts.subject,
            roles=facts.roles,
            acr=facts.acr,
            context=facts.context,
            bound=facts.bound,
        )
        found.setdefault(facts.client, example)
    for seat in seats(pack.configuration):
        issuer = _issuer_of(pack, seat.organisation)
        if issuer is None or not seat.purposes:
            continue
        for client in seat.clients:
            example = ClientExample(
                organisation=seat.organisation,
                issuer=issuer,
                agreement=seat.agreement,
                purpose=seat.purposes[0],
                connector=seat.connectors[0],
                subject=None,
                roles=(),
                acr=None,
                context={},
                bound=seat.bound,
            )
            found.setdefault(client, example)
    return found


def _issuer_of(pack: Pack, organisation: str) -> str | None:
    for issuer, document in pack.configuration.issuers.items():
        spoken_for = document.get("organisations")
        if isinstance(spoken_for, list) and organisation in spoken_for:
            return issuer
    return None
