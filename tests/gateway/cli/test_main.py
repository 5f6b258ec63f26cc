"""The program as a shell starts it: its name, its files' modes, a start after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.clock import monotonic_s
from gateway.presence import Role, who_runs
from tests.running import free_port
from tests.test_tidy import ROOT

PROGRAM = (sys.executable, "-m", "gateway")
END_S_MAX = 40.0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Return a home that `init` made under the umask of most machines."""
    directory = tmp_path / "home"
    words = ("--organisation", "ods:X9Z", "--public-base-url", "http://127.0.0.1:8080")
    done = concordat("init", *words, "--home", str(directory))
    assert done.returncode == 0, done.stderr
    yield directory
    for process in who_runs(directory / "run"):
        os.kill(process.pid, signal.SIGKILL)


def concordat(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    return subprocess.run(
        [*PROGRAM, *words], cwd=ROOT, capture_output=True, text=True, timeout=60, umask=0o022,
        env={**os.environ, **environment},
    )  # fmt: skip


def exposed(home: Path) -> list[Path]:
    """Return what others may read, the home itself included."""
    return [path for path in [home, *home.rglob("*")] if path.stat().st_mode & 0o077]


def test_the_program_has_its_name() -> None:
    """Usage lines name the command, however it was started."""
    assert "Usage: concordat call" in concordat("call", "--help").stdout


def test_a_key_that_cannot_be_used_is_told_with_what_mends_it(home: Path) -> None:
    """Whichever command comes upon it, it says so in a sentence and ends with exit 2."""
    key = next((home / "keys").glob("log-signing*.key"))
    key.chmod(0o644)
    listen = {
        f"CONCORDAT_{name}_LISTEN": f"127.0.0.1:{free_port()}" for name in ("DATA", "CONTROL")
    }
    done = concordat("serve", "--workers", "1", "--home", str(home), **listen)
    assert done.returncode == 2, done.stderr
    assert f"{key.name} can be read by others; chmod 600 it" in done.stderr
    assert "Traceback" not in done.stderr


def test_init_makes_the_home_that_serve_uses(tmp_path: Path) -> None:
    """CONCORDAT_HOME names it for every command."""
    words = ("init", "--organisation", "ods:X9Z", "--public-base-url", "http://127.0.0.1:8080")
    made = concordat(*words, CONCORDAT_HOME=str(tmp_path / "home"))
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "home" / "concordat.yaml").is_file()


def test_a_killed_gateway_s_workers_are_named_and_ended(home: Path) -> None:
    """Files are private while it runs; after kill -9 the mending line of a new start mends it."""
    addresses = {
        "CONCORDAT_DATA_LISTEN": f"127.0.0.1:{free_port()}",
        "CONCORDAT_CONTROL_LISTEN": "127.0.0.1:0",
    }
    serving = subprocess.Popen(
        [*PROGRAM, "serve", "--workers", "2", "--home", str(home)], cwd=ROOT, text=True,
        stderr=subprocess.PIPE, umask=0o022, env={**os.environ, **addresses},
    )  # fmt: skip
    with serving:
        assert serving.stderr is not None
        started = json.loads(next(line for line in serving.stderr if line.startswith("{")))
        assert (started["event"], started["workers"]) == ("started", 2)
        assert exposed(home) == []
        serving.kill()
    workers = [process.pid for process in who_runs(home / "run")]
    assert {process.role for process in who_runs(home / "run")} == {Role.WORKER}

    again = concordat("serve", "--home", str(home), **addresses)
    assert again.returncode == 2
    assert f"(pids {', '.join(map(str, workers))})" in again.stderr
    mend = again.stderr.split("To mend it: ")[1].split(",")[0]
    assert mend == f"kill {' '.join(map(str, workers))}"

    subprocess.run(mend.split(), check=True)
    deadline_s = monotonic_s() + END_S_MAX
    while who_runs(home / "run") and monotonic_s() < deadline_s:
        time.sleep(0.1)  # nobody's child any more: nothing tells us when it ends
    assert who_runs(home / "run") == ()


def test_a_strangers_listener_is_no_worker_of_ours(home: Path) -> None:
    """What cannot be ours is not named as ours; the line that finds it is told."""
    with subprocess.Popen(
        [sys.executable, "-c", _LISTENER], stdout=subprocess.PIPE, text=True
    ) as stranger:
        assert stranger.stdout is not None
        port = stranger.stdout.readline().strip()
        done = concordat("serve", "--home", str(home), CONCORDAT_DATA_LISTEN=f"127.0.0.1:{port}")
        stranger.kill()
    assert done.returncode == 2
    assert f"127.0.0.1:{port} is in use by another program" in done.stderr
    assert f"ss -ltnp 'sport = :{port}'" in done.stderr


_LISTENER = """
import socket, time
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
time.sleep(60)
"""
