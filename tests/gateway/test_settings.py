"""Tests of the settings: where they come from, and what is said of mistakes."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from gateway.settings import FILE_NAME, Settings, SettingsInvalid, load_settings, without_passwords

GOOD = "organisation: ods:X9Z\npublic_base_url: https://gateway.example\n"


def write(home: Path, text: str) -> Path:
    """Write the settings file of `home`."""
    (home / FILE_NAME).write_text(text)
    return home


def faults_of(home: Path, **arguments: object) -> tuple[str, ...]:
    """Return the faults of settings that must be refused."""
    with pytest.raises(SettingsInvalid) as refused:
        load_settings(home, **arguments)
    return refused.value.faults


def test_the_file_gives_values_and_the_rest_has_defaults(tmp_path: Path) -> None:
    """A file with what has no default is enough."""
    settings = load_settings(write(tmp_path, GOOD))

    assert settings.organisation == "ods:X9Z"
    assert settings.data_listen == "127.0.0.1:8080"
    assert settings.workers >= 1
    assert settings.database_url == f"sqlite+pysqlite:///{tmp_path / 'registry.db'}"


def test_arguments_go_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each setting tells where its value is from."""
    write(tmp_path, f"{GOOD}workers: 2\ndata_listen: 127.0.0.1:1\ncontrol_listen: 127.0.0.1:2\n")
    monkeypatch.setenv("CONCORDAT_WORKERS", "3")
    monkeypatch.setenv("CONCORDAT_DATA_LISTEN", "127.0.0.1:9")

    settings = load_settings(tmp_path, workers=4)
    origins = {fact.name: fact.origin for fact in settings.facts()}

    assert (settings.workers, settings.data_listen) == (4, "127.0.0.1:9")
    assert settings.control_listen == "127.0.0.1:2"
    assert origins["workers"] == "argument"
    assert origins["data_listen"] == "environment variable CONCORDAT_DATA_LISTEN"
    assert origins["control_listen"] == f"{tmp_path / FILE_NAME}:5"
    assert origins["otlp_endpoint"] == "default"


def test_the_environment_names_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument the home comes from the environment."""
    monkeypatch.setenv("CONCORDAT_HOME", str(write(tmp_path, GOOD)))

    assert load_settings().home == tmp_path


def test_an_unknown_key_is_told_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    """A misspelt setting never falls back to its default."""
    faults = faults_of(write(tmp_path, f"{GOOD}\nworkes: 2\norganisation: ods:A\n"))

    assert faults == (
        f"{tmp_path / FILE_NAME}:4: there is no setting 'workes' here. Did you mean 'workers'?",
        f"{tmp_path / FILE_NAME}:5: organisation was set before, on line 1.",
    )


def test_what_is_missing_or_malformed_is_told_all_at_once(tmp_path: Path) -> None:
    """Every fault is there, with its place, and without the value."""
    faults = faults_of(
        write(tmp_path, "public_base_url: https://gateway.example/path\ndata_listen: localhost\n")
    )

    assert len(faults) == 3
    assert faults[0].startswith("organisation is not set.")
    assert faults[1].startswith(f"{tmp_path / FILE_NAME}:1: public_base_url: ")
    assert faults[2].startswith(f"{tmp_path / FILE_NAME}:2: data_listen: ")


@pytest.mark.parametrize("text", ["- a\n", "a: [1]\n", "a: {\n", "organisation: [ods:X9Z]\n"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    """Only one name and value per line is read."""
    assert faults_of(write(tmp_path, text))


@pytest.mark.parametrize(
    "url", ["ftp://x.example", "https://", "https://u@x.example", "https://x.example/", "x"]
)
def test_a_base_url_is_scheme_and_host_alone(tmp_path: Path, url: str) -> None:
    """Audiences are made from it, so there is one spelling."""
    assert faults_of(write(tmp_path, GOOD), public_base_url=url)


def test_a_database_password_is_not_shown(tmp_path: Path) -> None:
    """Neither the facts nor the value's own text tell a URL that may hold a password."""
    url = "postgresql+psycopg://u:marker-password@db/registry"
    settings = load_settings(write(tmp_path, GOOD), registry_url=url)

    assert "marker-password" not in f"{settings!r} {settings.facts()}"
    assert settings.database_url == url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://gw:marker%zz@db/audit",
        "postgresql:/gw:marker@db/audit",
        "postgresql://gw:p@marker@db/audit",
        "postgresql://gw:5432/marker@db/audit",
        "postgresql://gw:p?marker@db/audit",
        "postgresql://gw:p#marker@db/audit",
        "postgresql://gw:p[marker@db/audit",
        "postgresql://gw:p@db/audit?marker=1",
        "mysql://gw:marker@db/audit",
    ],
)
def test_a_malformed_audit_url_is_refused_and_not_told(tmp_path: Path, url: str) -> None:
    """What libpq could take for a host, or quote in an error, never gets as far as libpq."""
    (fault,) = faults_of(write(tmp_path, GOOD), audit_url=url)

    assert "postgresql://user:password@host" in fault
    assert "marker" not in fault


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://gw:p%40ss%2f@db:5432/audit?sslmode=verify-full",
        "postgresql:///audit?host=/run/postgresql",
        "postgresql://gw@one:1,two:2/audit",
        "postgresql://gw@[::1]:5432/audit",
    ],
)
def test_an_audit_url_as_libpq_reads_it_is_accepted(tmp_path: Path, url: str) -> None:
    """Sockets, several hosts and quoted passwords included."""
    settings = load_settings(write(tmp_path, GOOD), audit_url=url)

    assert settings.audit_url is not None
    assert settings.audit_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://u@db/registry", "postgresql+psycopg://u@db/registry"),
        (
            "postgresql+psycopg://u:p@db:5432/registry",
            "postgresql+psycopg://u:***@db:5432/registry",
        ),
        ("postgresql+psycopg://u:a/b@c:d@db/registry", "postgresql+psycopg://u:***@db/registry"),
        (
            "postgresql+psycopg:///r?host=/run&password=p",
            "postgresql+psycopg:///r?host=/run&password=***",
        ),
        ("sqlite+pysqlite:////srv/registry.db", "sqlite+pysqlite:////srv/registry.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    """However badly it is written: what could be part of a password is not shown."""
    assert without_passwords(url) == shown


def test_settings_go_to_another_process_whole(tmp_path: Path) -> None:
    """Workers get the settings by pickling."""
    settings = load_settings(write(tmp_path, GOOD))

    restored = pickle.loads(pickle.dumps(settings))  # noqa: S301 - our own bytes

    assert restored == settings


def test_every_setting_is_described() -> None:
    """Nobody has to read the source to learn what a setting does."""
    assert all(field.description for field in Settings.model_fields.values())
