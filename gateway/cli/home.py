"""Makes the home of a gateway: settings file, registry, keys, and the first operator's secret."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.audit.keys import LogKeys
from gateway.cli.output import Stop
from gateway.data_plane import log_origin
from gateway.database import open_engine, upgrade
from gateway.files import DirectoryUnsafe, make_private
from gateway.registry.store import Registry
from gateway.settings import FILE_NAME, Settings, SettingsInvalid, load_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHome:
    """A home that was just made. `operator_secret` is shown once and kept nowhere."""

    settings: Settings
    operator_secret: str


def create_home(home: Path, **values: str) -> NewHome:
    """Make `home`, with `values` as its settings file; raises Stop where there is one already."""
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
    LogKeys(settings.keys_directory).signer(log_origin(settings))
    engine = open_engine(settings.database_url)
    try:
        upgrade(engine)
        secret = Registry(engine).make_bootstrap_secret()
    finally:
        engine.dispose()
    lines = [f"{name}: {value}" for name, value in values.items()]
    path.write_text("# Settings of this gateway; `concordat doctor` checks them.\n")
    with path.open("a") as file:
        file.write("\n".join(lines) + "\n")
    return NewHome(settings=load_settings(home), operator_secret=secret)
