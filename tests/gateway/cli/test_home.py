"""A new home."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.home import NewHome, create_home
from gateway.cli.output import Stop
from gateway.database import open_engine
from gateway.registry.store import Registry
from gateway.settings import load_settings


def test_a_new_home_is_complete(new_home: NewHome) -> None:
    """Its settings load, its registry knows the secret, its keys are private."""
    settings = load_settings(new_home.settings.home)
    engine = open_engine(settings.database_url)
    assert settings.organisation == "ods:X9Z"
    assert Registry(engine).is_bootstrap_secret(new_home.operator_secret)
    engine.dispose()
    keys = list(settings.keys_directory.iterdir())
    assert keys
    assert all(key.stat().st_mode & 0o077 == 0 for key in keys)


def test_a_home_is_never_made_over(new_home: NewHome) -> None:
    """A home that is there is refused and left as it is."""
    home = new_home.settings.home
    before = (home / "concordat.yaml").read_text()
    with pytest.raises(Stop, match="is a home already"):
        create_home(home, organisation="ods:R9Z", public_base_url="http://127.0.0.1:1")
    assert (home / "concordat.yaml").read_text() == before


def test_a_home_is_closed_to_others(tmp_path: Path) -> None:
    """A directory that was there and readable is closed; one that others can write is refused."""
    home, shared = tmp_path / "home", tmp_path / "shared"
    for directory, bits in ((home, 0o755), (shared, 0o777)):
        directory.mkdir()
        directory.chmod(bits)

    create_home(home, organisation="ods:R9Z", public_base_url="http://127.0.0.1:1")
    with pytest.raises(Stop, match="others can write"):
        create_home(shared, organisation="ods:R9Z", public_base_url="http://127.0.0.1:1")
    assert home.stat().st_mode & 0o777 == 0o700
    assert list(shared.iterdir()) == []


def test_wrong_values_make_no_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Settings that do not hold are told before anything is written."""
    home = tmp_path_factory.mktemp("x") / "home"
    with pytest.raises(Stop, match="ods:, gss:, govuk: or urn:"):
        create_home(home, organisation="somebody", public_base_url="http://127.0.0.1:1")
    assert not home.exists()
