"""`demo`, as far as it can be told without playing; the rest is end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.demo import _home_of
from gateway.cli.output import Stop
from gateway.demo.packs import BUILT_IN, read_pack
from gateway.demo.world import open_listeners
from tests.gateway.cli.conftest import Run


def test_a_temporary_home_is_removed() -> None:
    """Without --home nothing is left behind; with it everything is kept."""
    with (
        open_listeners() as listeners,
        _home_of(read_pack(BUILT_IN), None, 1, listeners) as made,
    ):
        home = made.settings.home
        assert (home / "concordat.yaml").is_file()
    assert not home.exists()


def test_a_chosen_home_is_kept(tmp_path: Path) -> None:
    """A home that somebody chose stays."""
    with (
        open_listeners() as listeners,
        _home_of(read_pack(BUILT_IN), tmp_path / "kept", 1, listeners) as made,
    ):
        ports = [int(it.getsockname()[1]) for it in listeners]
        assert made.settings.data_listen == f"127.0.0.1:{ports[0]}"
        assert made.settings.control_listen == f"127.0.0.1:{ports[1]}"
    assert (tmp_path / "kept" / "registry.db").is_file()


def test_a_home_in_use_is_left_alone(run: Run, tmp_path: Path) -> None:
    """A directory that holds something is refused."""
    (tmp_path / "file").touch()
    with pytest.raises(Stop, match="is not empty") as stopped:
        run("demo", "--exit", "--home", tmp_path)
    assert stopped.value.mend == "give --home a new or empty directory, or leave it out"
