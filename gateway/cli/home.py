"""Makes the home of a gateway: settings file, registry, keys, and the first operator's secret."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.store import LogUnavailable
from gateway.cli.output import Stop
from gateway.data_plane import log_origin
from gateway.database import DatabaseUnsuitable, open_engine, sentence_of, upgrade
from gateway.files import DirectoryUnsafe, make_private
from gateway.registry.store import Registry, RegistryUnavailable
from gateway.settings import FILE_NAME, Settings, SettingsInvalid, load_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHome:
    """A home that was just made. `operator_secret` is shown once and kept nowhere."""

    settings: Settings
    operator_secret: str


def create_home(home: Path, **values: str) -> NewHome:
    """Make `home`, with `values` as its settings file.

    Raises:
        Stop: there is one already, or the registry cannot be made or is another gateway's.
    """
    path = home / FILE_NAME
    if path.exists():
        raise Stop(f"{home} is a home already", mend=f"edit {path}, or choose another --home")
    try:
        settings = load_settings(home, **values)
    except SettingsInvalid as invalid:
        raise Stop("\n".join(invalid.faults), mend="concordat init --help") from None
    try:
        make_private(home)
    except DirectoryUnsafe as unsafe:
        raise Stop(str(unsafe), mend=f"chmod go-w {home}, after a look at what is in it") from None
    except OSError as failure:
        raise Stop(f"{home} cannot be made: {failure.strerror}") from None
    settings.audit_directory.mkdir(mode=0o700, exist_ok=True)
    settings.secrets_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The log's signing key is made now, so that its public half can be handed out before the start.
    try:
        LogKeys(settings.keys_directory).signer(log_origin(settings))
    except LogUnavailable as failure:
        raise Stop(str(failure), mend="set audit_url to a PostgreSQL that answers") from None
    secret = _make_registry(settings)
    lines = [f"{name}: {value}" for name, value in values.items()]
    path.write_text("# Settings of this gateway; `concordat doctor` checks them.\n")
    with path.open("a") as file:
        file.write("\n".join(lines) + "\n")
    return NewHome(settings=load_settings(home), operator_secret=secret)


def _make_registry(settings: Settings) -> str:
    """Make the tables of an empty registry and return the first operator's secret."""
    try:
        engine = open_engine(settings.database_url)
    except DatabaseUnsuitable as unsuitable:
        raise Stop(str(unsuitable)) from None
    try:
        if settings.registry_url is not None:
            _check_unused(engine, settings)
        upgrade(engine)
        return Registry(engine).make_bootstrap_secret()
    except (SQLAlchemyError, RegistryUnavailable, DatabaseUnsuitable) as failure:
        said = (
            sentence_of(failure, settings.database_url)
            if isinstance(failure, SQLAlchemyError)
            else str(failure)
        )
        mend = "mend that, and run the same line again"
        raise Stop(f"{settings.database_name} cannot be made ready: {said}", mend=mend) from None
    finally:
        engine.dispose()


def _check_unused(engine: Engine, settings: Settings) -> None:
    """Refuse a database outside the home that has a registry: two gateways would share one."""
    if inspect(engine).has_table("revision"):
        raise Stop(
            f"{settings.database_name} holds the registry of a gateway already",
            mend="name an empty database; another host of the same gateway gets a copy of its home",
        )
