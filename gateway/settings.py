"""Every setting, read once into one frozen value; nothing else reads the environment."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import yaml
from pydantic import AfterValidator, Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from connectors.secrets import ENVIRONMENT_PREFIX, SecretStore
from gateway.postgres_url import check_postgres_url
from gateway.setting_checks import (
    check_base_url,
    check_duration,
    check_file_reference,
    check_hosts,
    check_listener,
    check_organisation,
    check_reference,
    check_siem_otlp_url,
    check_siem_url,
)

FILE_NAME: Final = "concordat.yaml"
"""The settings file, inside the home directory."""
FILE_BYTES_MAX: Final = 64 * 1024
_PREFIX: Final = "CONCORDAT_"
_WORKERS_MAX: Final = 256


class SettingsInvalid(Exception):
    """Settings cannot be used; `faults` are whole sentences, each naming where the mistake is."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        """Keep every fault, so that all can be mended at once."""
        super().__init__("\n".join(faults))
        self.faults: Final = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingFact:
    """One setting as `concordat config show` presents it; `origin` says where the value is from."""

    name: str
    value: str
    default: str
    origin: str
    description: str


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


def _absolute(path: Path | None) -> Path | None:
    return path.absolute() if path is not None else None


Listener = Annotated[str, AfterValidator(check_listener)]


class Settings(BaseSettings):
    """All settings. The environment goes before the file, an argument before both."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    home: Annotated[Path, AfterValidator(Path.absolute)] = Field(
        default=Path("concordat-home"),
        description="Directory of the settings file, the registry, the audit log and the keys.",
    )
    organisation: Annotated[str, AfterValidator(check_organisation)] = Field(
        description="Reference of the body that runs this gateway, for example ods:X9Z.",
    )
    public_base_url: Annotated[str, AfterValidator(check_base_url)] = Field(
        description="Where consumers reach the data listener; tokens name services beneath it.",
    )
    data_listen: Listener = Field(
        default="127.0.0.1:8080",
        description="Address and port of the data listener, which consumers call.",
    )
    data_hosts: Annotated[str | None, AfterValidator(check_hosts)] = Field(
        default=None,
        description="Further hosts that the data listener answers for, with or without a port and "
        "separated by commas: what a proxy puts into the Host field in place of the public one.",
    )
    control_listen: Listener = Field(
        default="127.0.0.1:8081",
        description="Address and port of the control listener, for administrators and monitoring.",
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=_WORKERS_MAX,
        description="Number of data-plane processes; one per core unless set.",
    )
    registry_url: SecretStr | None = Field(
        default=None,
        description="SQLAlchemy URL of the registry, postgresql+psycopg://user@host/database; "
        "a SQLite file in the home unless set.",
    )
    audit_url: Annotated[SecretStr | None, AfterValidator(check_postgres_url)] = Field(
        default=None,
        description="PostgreSQL URL of the audit log, postgresql://user:password@host/database; "
        "a SQLite file in the home unless set.",
    )
    otlp_endpoint: str | None = Field(
        default=None,
        description="Traces URL of an OpenTelemetry collector; no span is made unless it is set.",
    )
    siem_url: Annotated[str | None, AfterValidator(check_siem_url)] = Field(
        default=None,
        description="Syslog receiver that is told every record, syslog+tls://host:port; nothing is "
        "forwarded unless it is set.",
    )
    siem_otlp_url: Annotated[str | None, AfterValidator(check_siem_otlp_url)] = Field(
        default=None,
        description="The same for a receiver of OTLP logs, https://host:port/v1/logs.",
    )
    siem_ca: Annotated[Path | None, AfterValidator(_absolute)] = Field(
        default=None,
        description="PEM file of those who sign for both receivers; the system's authorities "
        "unless set.",
    )
    siem_certificate: Annotated[str | None, AfterValidator(check_file_reference)] = Field(
        default=None,
        description="PEM file with the certificate that both receivers are shown and its key, "
        "file:NAME in the secrets directory.",
    )
    siem_token: Annotated[str | None, AfterValidator(check_reference)] = Field(
        default=None,
        description="Bearer token for the receiver of OTLP logs, file:NAME in the secrets "
        "directory or env:VARIABLE.",
    )
    siem_personal: bool = Field(
        default=False,
        description="Whether receivers are told who asked, from where and about whom.",
    )

    keep_net_for: Annotated[str, AfterValidator(check_duration)] = Field(
        default="P1Y",
        description="How long the log keeps addresses at most, as an ISO 8601 duration.",
    )
    keep_records_for: Annotated[str, AfterValidator(check_duration)] = Field(
        default="P6Y",
        description="How long the log keeps personal sections of records under no agreement; those "
        "under one are kept as long as it says.",
    )
    secrets_path: Annotated[Path | None, AfterValidator(_absolute)] = Field(
        default=None,
        description="Directory of the secrets for services, named as file:NAME in services.yaml; "
        "secrets in the home unless set.",
    )

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def audit_directory(self) -> Path:
        """Directory of the audit log."""
        return self.home / "audit"

    @property
    def keys_directory(self) -> Path:
        """Directory of the key files."""
        return self.home / "keys"

    @property
    def secrets_directory(self) -> Path:
        """Directory of the secrets for services."""
        return self.secrets_path or self.home / "secrets"

    def secret_store(self) -> SecretStore:
        """Return the places where this host keeps the secrets for services."""
        environment = {
            name: value for name, value in os.environ.items() if name.startswith(ENVIRONMENT_PREFIX)
        }
        return SecretStore(directory=self.secrets_directory, environment=environment)

    @property
    def run_directory(self) -> Path:
        """Directory of what only lives as long as the service runs."""
        return self.home / "run"

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the registry's database, with its password if it has one."""
        if self.registry_url is not None:
            return self.registry_url.get_secret_value()
        return f"sqlite+pysqlite:///{self.home / 'registry.db'}"

    @property
    def database_name(self) -> str:
        """The same without its password: what may be shown."""
        return without_passwords(self.database_url)

    def facts(self) -> tuple[SettingFact, ...]:
        """Return every setting with the value in effect, default, origin and meaning.

        No value holds a password.
        """
        effective: dict[str, object] = {
            "registry_url": self.database_name,
            "secrets_path": self.secrets_directory,
        }
        if self.otlp_endpoint is not None:
            effective["otlp_endpoint"] = without_passwords(self.otlp_endpoint)
        defaults = {
            "registry_url": f"sqlite+pysqlite:///{self.home / 'registry.db'}",
            "secrets_path": self.home / "secrets",
        }
        return tuple(
            SettingFact(
                name=name,
                value=_shown(effective.get(name, getattr(self, name))),
                default=""
                if field.is_required()
                else _shown(
                    defaults.get(
                        name, field.get_default(call_default_factory=True, validated_data={})
                    )
                ),
                origin=self._origins.get(name, "default"),
                description=field.description or "",
            )
            for name, field in type(self).model_fields.items()
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments only: `load_settings` merges the file and the environment itself."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def without_passwords(url: str) -> str:
    """Return a URL with asterisks for the password that it may hold, however badly it is written.

    What stands between the first colon of the authority and the last @ is taken for one, and the
    value of every parameter that speaks of a password.
    """
    shown = re.sub(r"^([^:/]+://[^:/@]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"([?&][^=&]*passw[^=&]*=)[^&]*", r"\1***", shown, flags=re.IGNORECASE)


def shown_address(address: str) -> str:
    """Return the address of a service or an issuer without what may be a password or key in it."""
    without_user = re.sub(r"//.*@", "//***@", address, flags=re.DOTALL)
    return re.sub(r"[?#].*", "?***", without_user, flags=re.DOTALL)


def load_settings(home: Path | None = None, **arguments: object) -> Settings:
    """Read the settings: arguments, then ``CONCORDAT_*`` variables, then the home's file.

    Raises:
        SettingsInvalid: with every fault at once, and the line of those in the file.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    if home is not None:
        given["home"] = home
    environment = EnvSettingsSource(Settings)()
    path = home_of(home) / FILE_NAME
    lines, from_file = _read_file(path)
    origins = {name: f"{path}:{line}" for name, line in lines.items()}
    origins |= {name: f"environment variable {_PREFIX}{name.upper()}" for name in environment}
    origins |= dict.fromkeys(given, "argument")
    try:
        settings = Settings.model_validate({**from_file, **environment, **given})
    except ValidationError as invalid:
        raise SettingsInvalid(_sentences(invalid, origins, path)) from None
    settings._origins.update(origins)  # noqa: SLF001 - the loader is their only writer
    return settings


def home_of(home: Path | None) -> Path:
    """Return the home directory that is meant: as given, else CONCORDAT_HOME, else the default."""
    default: Path = Settings.model_fields["home"].default
    return (home or Path(os.environ.get(f"{_PREFIX}HOME") or default)).absolute()


def _read_file(path: Path) -> tuple[Mapping[str, int], Mapping[str, str]]:
    """Return the lines and values of the settings in a file; there need not be one."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}, {}
    if len(content) > FILE_BYTES_MAX:
        raise SettingsInvalid((f"{path}: a settings file has at most {FILE_BYTES_MAX} bytes.",))
    try:
        root = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise SettingsInvalid((f"{path}: {_one_line(error)}",)) from None
    if root is None:
        return {}, {}
    if not isinstance(root, yaml.MappingNode):
        raise SettingsInvalid((f"{path}:1: write one setting per line, as name: value.",))
    return _read_entries(path, root)


def _read_entries(path: Path, root: yaml.MappingNode) -> tuple[dict[str, int], dict[str, str]]:
    lines: dict[str, int] = {}
    values: dict[str, str] = {}
    faults: list[str] = []
    for key, value in root.value:
        name, line = str(key.value), key.start_mark.line + 1
        where = f"{path}:{line}"
        if name not in Settings.model_fields or name == "home":
            faults.append(f"{where}: there is no setting {name!r} here.{_nearest(name)}")
        elif name in values:
            faults.append(f"{where}: {name} was set before, on line {lines[name]}.")
        elif not isinstance(value, yaml.ScalarNode):
            faults.append(f"{where}: {name} takes one value.")
        elif value.value:
            lines[name], values[name] = line, value.value
    if faults:
        raise SettingsInvalid(tuple(faults))
    return lines, values


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, list(Settings.model_fields), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _sentences(invalid: ValidationError, origins: Mapping[str, str], path: Path) -> tuple[str, ...]:
    """Say each fault in one line, without the value: it may be a password in a URL."""
    faults = []
    for error in invalid.errors(include_input=False, include_url=False, include_context=False):
        name = str(error["loc"][0]) if error["loc"] else "settings"
        if error["type"] == "missing":
            faults.append(f"{name} is not set. Set it in {path} or as {_PREFIX}{name.upper()}.")
        elif error["type"] == "extra_forbidden":
            faults.append(f"there is no setting {name!r}.{_nearest(name)}")
        else:
            message = error["msg"].removeprefix("Value error, ")
            faults.append(f"{origins.get(name, 'default')}: {name}: {message}.")
    return tuple(faults)


def _one_line(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())
