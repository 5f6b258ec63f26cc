"""What a home can lose, as its operator meets it: every line that the program gives leads on."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.gateway.cli.test_main import concordat
from tests.running import free_port

CLIENT = "council-app"
ORGANISATION = ("--organisation", "ods:X9Z", "--public-base-url", "http://127.0.0.1:8080")


def _home(directory: Path) -> Path:
    assert concordat("init", *ORGANISATION, "--home", str(directory)).returncode == 0
    return directory


def _findings(home: Path) -> dict[str, dict[str, str]]:
    done = concordat("doctor", "--json", "--home", str(home))
    return {finding["check"]: finding for finding in json.loads(done.stdout)}


def _follow(mend: str, *, copy: Path | None = None) -> None:
    """Give the first command of a line that mends, or the one for who has no copy."""
    chosen = mend if copy else mend.partition("where there is none: ")[2]
    command = chosen.partition(",")[0].replace("COPY", str(copy)).replace("TEXT", "lost")
    done = concordat(*shlex.split(command)[1:])
    assert done.returncode == 0, done.stderr


def test_a_lost_registry_frees_nothing_that_was_stopped(tmp_path: Path) -> None:
    """By a copy, which is older than the stop, or with none: the stop is in force in the end."""
    home = _home(tmp_path / "home")
    at = ("--home", str(home))
    assert concordat("db", "backup", str(tmp_path / "copy"), *at).returncode == 0
    concordat("stop", "add", "client", CLIENT, "--reason", "test", *at)
    for content, copy in ((None, None), (b"no database any more" * 300, tmp_path / "copy")):
        for file in home.glob("registry.db*"):
            file.unlink()
        if content is not None:
            (home / "registry.db").write_bytes(content)
        refused = concordat("db", "upgrade", *at)
        assert (refused.returncode, "nothing was changed" in refused.stderr) == (1, True)
        _follow(_findings(home)["registry"]["mend"], copy=copy)
        found = _findings(home)
        assert found["registry"]["state"] == "ok"
        if copy is not None:
            assert CLIENT in found["stops"]["detail"]
            _follow(found["stops"]["mend"].partition(";")[0], copy=copy)
        assert _findings(home)["stops"]["state"] == "ok"
        stopped = json.loads(concordat("stop", "list", "--json", *at).stdout)["stops"]
        assert [one["key"] for one in stopped] == [CLIENT]


def test_a_lost_log_is_not_begun_anew_in_silence(tmp_path: Path) -> None:
    """The first start of a home makes one; later ones do not, until it is said to be lost."""
    home = _home(tmp_path / "home")
    at = ("--home", str(home))
    assert concordat("stop", "add", "client", CLIENT, "--reason", "test", *at).returncode == 0
    assert concordat("db", "backup", str(tmp_path / "copy"), *at).returncode == 0
    for copy in (tmp_path / "copy", None):
        shutil.rmtree(home / "audit")
        served = _serve(home)
        assert served.returncode != 0
        assert "the log is gone, though this gateway has had one" in served.stderr
        assert "concordat doctor" in served.stderr
        assert not list(home.glob("audit/audit-*.db"))
        found = _findings(home)["audit log"]
        assert found["state"] == "failed"
        _follow(found["mend"], copy=copy)
        assert _findings(home)["audit log"]["state"] == "ok"
    assert concordat("audit", "verify", *at).returncode == 0
    stopped = json.loads(concordat("stop", "list", "--json", *at).stdout)["stops"]
    assert [one["key"] for one in stopped] == [CLIENT]


def _serve(home: Path) -> subprocess.CompletedProcess[str]:
    """Start a gateway that is to refuse."""
    listen = {
        f"CONCORDAT_{name}_LISTEN": f"127.0.0.1:{free_port()}" for name in ("DATA", "CONTROL")
    }
    return concordat("serve", "--workers", "1", "--home", str(home), **listen)
