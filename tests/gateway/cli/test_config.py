"""`config check|show|export` and `diff`, as they are typed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.cli.home import NewHome, create_home
from gateway.cli.output import Stop
from tests.configured import pack_configuration, postgresql_url
from tests.gateway.cli.configuring import configure, write_folder
from tests.gateway.cli.conftest import Run


def test_an_export_applied_elsewhere_is_the_same(
    run: Run, new_home: NewHome, tmp_path: Path
) -> None:
    """Export, apply to another home, compare: nothing differs, and nothing is changed twice."""
    configure(new_home.settings)
    here, exported = new_home.settings.home, tmp_path / "exported"
    told = run("config", "export", exported, "--home", here)
    assert "without comments or secrets" in told.stdout

    there = create_home(
        tmp_path / "there", organisation="ods:X9Z", public_base_url="http://127.0.0.1:8080"
    ).settings.home
    assert run("diff", exported, "--home", there).exit_code == 1
    assert run("apply", exported, "--home", there).exit_code == 0
    for home in (here, there):
        same = run("diff", exported, "--home", home)
        assert (same.exit_code, "Nothing would change" in same.stdout) == (0, True)
    again = run("apply", exported, "--home", there).stdout
    assert again == "Nothing was changed: revision 1 says the same already.\n"

    digests = {
        json.loads(run("config", "show", "--home", home, "--json").stdout)["configuration"][
            "digest"
        ]
        for home in (here, there)
    }
    assert len(digests) == 1


def test_an_export_holds_no_secret(run: Run, new_home: NewHome, tmp_path: Path) -> None:
    """Neither the operator's secret, nor its hash, nor a key of the home."""
    configure(new_home.settings)
    run("config", "export", tmp_path / "exported", "--home", new_home.settings.home)
    written = b"".join(path.read_bytes() for path in (tmp_path / "exported").rglob("*.yaml"))

    assert new_home.operator_secret.encode() not in written
    for key in new_home.settings.keys_directory.iterdir():
        assert key.read_bytes() not in written
        assert key.read_bytes().hex().encode() not in written


def test_a_service_s_secret_is_exported_by_its_reference(
    run: Run, new_home: NewHome, tmp_path: Path
) -> None:
    """The folder names the file of the secret, which stays where it is."""
    secret = new_home.settings.secrets_directory / "housing-key"
    secret.write_text("SYNTHETIC-s3cret")
    configuration = pack_configuration()
    credentials = {"kind": "api-key", "header": "x-api-key", "secret": "file:housing-key"}
    service = {**configuration.services["nv-housing"], "credentials": credentials}
    services = {**configuration.services, "nv-housing": service}
    configure(new_home.settings, replace(configuration, services=services))
    run("config", "export", tmp_path / "exported", "--home", new_home.settings.home)
    written = "".join(path.read_text() for path in (tmp_path / "exported").rglob("*.yaml"))

    assert "file:housing-key" in written
    assert "SYNTHETIC-s3cret" not in written
    assert run("diff", tmp_path / "exported", "--home", new_home.settings.home).exit_code == 0


def test_an_export_overwrites_nothing(run: Run, new_home: NewHome, tmp_path: Path) -> None:
    """A folder that holds something already is refused."""
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "notes.txt").touch()
    with pytest.raises(Stop, match="is not empty"):
        run("config", "export", tmp_path / "exported", "--home", new_home.settings.home)


def test_a_difference_is_told_where_it_is(run: Run, new_home: NewHome, tmp_path: Path) -> None:
    """Each changed member with what it was and will be; nothing is changed by telling."""
    configure(new_home.settings)
    folder = write_folder(tmp_path / "folder")
    services = folder / "services.yaml"
    services.write_text(
        services.read_text().replace("https://service.example", "https://s.example", 1)
    )
    (folder / "agreements" / "DSA-2026-0003.yaml").unlink()
    words = ("diff", folder, "--home", new_home.settings.home)
    told = run(*words)

    assert told.exit_code == 1
    assert '    base_url: "https://service.example" → "https://s.example"' in told.stdout
    assert "  removed  agreement DSA-2026-0003" in told.stdout
    found = json.loads(run(*words, "--json").stdout)
    ((difference,),) = (one["differences"] for one in found["changed"])
    assert difference["at"] == ["base_url"]
    assert found["revision"] == 1


def test_a_folder_that_cannot_be_applied_cannot_be_compared(
    run: Run, new_home: NewHome, tmp_path: Path
) -> None:
    """That is neither same nor different: exit 2."""
    folder = write_folder(tmp_path / "folder")
    (folder / "services.yaml").write_text("services: {}\n")
    with pytest.raises(Stop) as stopped:
        run("diff", folder, "--home", new_home.settings.home)
    assert stopped.value.code == 2


def test_check_tells_whether_all_is_in_order(run: Run, new_home: NewHome, tmp_path: Path) -> None:
    """What the gateway has, or a folder; a fault is exit 1."""
    home = new_home.settings.home
    configure(new_home.settings)
    assert "of revision 1 are in order" in run("config", "check", "--home", home).stdout

    folder = write_folder(tmp_path / "folder")
    assert json.loads(run("config", "check", folder, "--home", home, "--json").stdout)["ok"]
    (folder / "services.yaml").write_text("services: {}\n")
    with pytest.raises(Stop, match=r"services\.yaml:1:") as stopped:
        run("config", "check", folder, "--home", home)
    assert stopped.value.code == 1


def test_show_tells_settings_with_their_origin_and_no_password(
    run: Run, new_home: NewHome, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    """Each value is the one in effect; a registry's URL may hold a password."""
    home = new_home.settings.home
    shown = json.loads(run("config", "show", "--home", home, "--json").stdout)
    registry, secrets = shown["settings"]["registry_url"], shown["settings"]["secrets_path"]
    assert registry["value"] == registry["default"] == f"sqlite+pysqlite:///{home}/registry.db"
    assert secrets["value"] == secrets["default"] == str(home / "secrets")
    assert registry["origin"] == secrets["origin"] == "default"
    assert shown["settings"]["organisation"]["value"] == "ods:X9Z"
    assert shown["settings"]["organisation"]["origin"].endswith("concordat.yaml:2")
    assert shown["configuration"]["revision"] == 0

    url = f"{postgresql_url(postgres_url)}?sslpassword=hunter2"
    monkeypatch.setenv("CONCORDAT_REGISTRY_URL", url)
    run("db", "upgrade", "--home", home)
    told = run("config", "show", "--home", home).stdout
    assert "hunter2" not in told
    assert (urlsplit(url).password or "hunter2") not in told
    assert "postgresql+psycopg://postgres:***@" in told
