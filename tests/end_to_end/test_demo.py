"""The demo as a newcomer runs it: every process real, every call over HTTP."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.demo.packs import BUILT_IN
from tests.renaming import rename_pack

PROGRAM = str(Path(sys.executable).with_name("concordat"))
DEMO_S_MAX = 100


def _demo(*words: str) -> dict[str, object]:
    ended = subprocess.run(
        [PROGRAM, "demo", "--exit", "--json", *words],
        capture_output=True, text=True, timeout=DEMO_S_MAX,
    )  # fmt: skip
    assert ended.returncode in (0, 1), ended.stderr
    shown: dict[str, object] = json.loads(ended.stdout)
    calls = shown["calls"]
    assert isinstance(calls, list)
    assert [(c["id"], c["differences"]) for c in calls if c["differences"]] == []
    assert ended.returncode == 0, ended.stderr
    return shown


@pytest.mark.parametrize("renamed", [False, True], ids=["the pack", "under other names"])
def test_every_call_comes_out_as_expected(tmp_path: Path, renamed: bool) -> None:
    """Nothing differs, the log verifies, and only what is named as missing is not yet there."""
    words = ("--pack", str(rename_pack(BUILT_IN, tmp_path / "pack"))) if renamed else ()
    shown = _demo(*words)
    counts, log = shown["counts"], shown["log"]
    assert isinstance(counts, dict)
    assert isinstance(log, dict)
    assert counts["failed"] == counts["live_only"] == 0
    assert counts["passed"] >= 30
    assert log["verified"]
    assert log["signed_size"] == log["size"]
    assert not Path(str(shown["home"])).exists()


def test_serves_on_until_it_is_stopped(tmp_path: Path) -> None:
    """A running demo gives tokens, answers calls, is searched, and ends with nothing left."""
    home = str(tmp_path / "home")
    sheet = str(BUILT_IN / "calls" / "s4.yaml")
    process = subprocess.Popen(
        [PROGRAM, "demo", "--json", "--home", home, "--calls", sheet],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        for said in process.stderr:
            if said.startswith("Serving."):
                break
        _try_everything(home)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert _alive_in_group(process.pid) == []


def _alive_in_group(group: int) -> list[int]:
    """Return the processes of a group that still run; one that only waits to be reaped does not."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                alive.append(int(stat.parent.name))
    return alive


def _try_everything(home: str) -> None:
    client = ("--client", "icb-population-health", "--home", home)
    token = _run("token", "get", *client)
    assert token.returncode == 0, token.stderr
    assert token.stdout.count(".") == 2
    called = _run("call", "GET", "/fhir/R4/MeasureReport", *client)
    assert called.returncode == 0, called.stderr
    assert len(json.loads(called.stdout)["entry"]) == 10
    refused = _run("call", "GET", "/fhir/R4/Encounter", *client)
    assert refused.returncode == 1
    public = _run("call", "GET", "/open/v1/admissions-monthly.csv", "--home", home)
    assert public.returncode == 0, public.stderr
    found = _run("audit", "search", "--reason", "ENDPOINT_NOT_PERMITTED", "--json", "--home", home)
    exchanges = json.loads(found.stdout)["exchanges"]
    assert len(exchanges) == 2
    assert _run("audit", "show", exchanges[0]["exchange_id"], "--home", home).returncode == 0
    assert _run("audit", "verify", "--home", home).returncode == 0
    doctor = _run("doctor", "--home", home)
    assert doctor.returncode == 0, doctor.stdout


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60)
