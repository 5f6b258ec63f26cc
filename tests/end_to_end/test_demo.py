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
DEMO_S_MAX = 280


def _urgent_call(name: str, expected: str, **said: object) -> dict[str, object]:
    words = "Looking for the child, need the latest contact now"
    return {
        "id": name,
        "agreement": "DSA-2026-0002",
        "org": "gss:E10999001",
        "client": "exampleshire-edt",
        "issuer": "https://idp.exampleshire.example",
        "sub": "u:91bc",
        "roles": ["edt-social-worker"],
        "purpose": "CHILD_SAFEGUARDING_S47",
        "context": {"no_consent_reason": "CANNOT_BE_GIVEN", "subject_group": "UNDER_18"},
        "at": "2026-11-19T02:45:00Z",
        "path": "/safeguarding/v1/children/9992000066/contacts",
        "break_glass": {"reason": "CHILD_MISSING", "justification": words, **said},
        "expect": _expected(expected, permitted="permit_break_glass"),
        "audit": {"alert": True},
    }


def _decided_call(name: str, expected: str, *, used: bool) -> dict[str, object]:
    return {
        "id": name,
        "agreement": "DSA-2026-0005",
        "org": "urn:ukfdx:org:police:SYN-EXF",
        "client": "exf-disclosure-desk",
        "issuer": "https://idp.exf.example",
        "sub": "u:c0ff",
        "roles": ["disclosure-officer"],
        "purpose": "LE_INVESTIGATION",
        "context": {
            "decision_ref": "LER-2026-0001",
            "operation_ref": "SYN/26/001234",
            "subject_category": "suspect",
        },
        "at": "2026-11-16T15:00:00Z",
        "path": "/housing/v1/properties/999000000501/tenancy",
        "decision_already_used": used,
        "expect": _expected(expected, permitted="permit"),
    }


def _expected(reason: str, *, permitted: str) -> dict[str, object]:
    status = {"OK": 200, "VOLUME_EXCEEDED": 429}.get(reason, 403)
    decision = permitted if reason == "OK" else "deny"
    return {"decision": decision, "status": status, "reason": reason}


STATE_CALLS = [
    _urgent_call("begins", "OK"),
    _urgent_call("spent", "BREAK_GLASS_EXPIRED", started_at="2026-11-19T01:44:00Z"),
    _urgent_call("begins again", "OK"),
    _urgent_call("full", "VOLUME_EXCEEDED", started_at="2026-11-19T02:40:00Z", subjects_so_far=6),
    _urgent_call("room", "OK", started_at="2026-11-19T02:40:00Z", subjects_so_far=5),
    _decided_call("used", "CASE_REFERENCE_NOT_APPROVED", used=True),
    _decided_call("unused", "OK", used=False),
    _decided_call("unused again", "OK", used=False),
    _decided_call("used again", "CASE_REFERENCE_NOT_APPROVED", used=True),
    # More than the rule's rate allows in a minute, and its volume in a day.
    *(_decided_call("one of many", "OK", used=False) for _ in range(21)),
]


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


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("renamed", [False, True], ids=["the pack", "under other names"])
def test_every_call_comes_out_as_expected(tmp_path: Path, renamed: bool, workers: str) -> None:
    """Nothing differs, nothing is left out, and the log verifies."""
    words = ("--pack", str(rename_pack(BUILT_IN, tmp_path / "pack"))) if renamed else ()
    shown = _demo("--workers", workers, *words)
    counts, log = shown["counts"], shown["log"]
    assert isinstance(counts, dict)
    assert isinstance(log, dict)
    assert counts["failed"] == counts["live_only"] == 0
    assert counts["passed"] == 47
    assert counts["not_yet"] == 0
    assert log["verified"]
    assert log["signed_size"] == log["size"]
    assert not Path(str(shown["home"])).exists()


def test_calls_start_from_the_state_that_they_declare(tmp_path: Path) -> None:
    """Grants that are new, spent or used up, and forms used or not, in whatever order they come.

    Rates and daily volumes are unused before each call, also where many are made at one instant.
    """
    defaults = {"acr": "AAL2", "sender_constrained": True, "method": "GET"}
    sheet = tmp_path / "state.yaml"
    sheet.write_text(json.dumps({"defaults": defaults, "calls": STATE_CALLS}))
    shown = _demo("--calls", str(sheet))

    counts = shown["counts"]
    assert isinstance(counts, dict)
    assert (counts["failed"], counts["not_yet"]) == (0, 0)
    assert counts["passed"] == len(STATE_CALLS)


def test_a_call_that_cannot_be_played_fails_alone(tmp_path: Path) -> None:
    """Whatever is odd about it; the calls around it are played, and nothing ends in a traceback."""
    good = _decided_call("good", "OK", used=False)
    odd: list[dict[str, object]] = [
        {"path": "housing/v1"}, {"method": "G T"}, {"at": "9999-12-31T23:59:59Z"},
        {"issuer": None}, {"connector_returns": "nothing.csv"}, {"agreement": "a" * 99_999},
        {"path": "/" + "a" * 99_999}, {"client": ""}, {"issuer": ""},
    ]  # fmt: skip
    told: list[dict[str, object]] = [
        {"issuer": "no address"}, {"client": None}, {"path": "/%zz/é{"},
        {"method": "!"}, {"client": "a" * 300}, {"at": "1700-01-01T00:00:00Z"},
    ]  # fmt: skip
    calls = [good, *({**good, **one, "id": "odd"} for one in odd)]
    calls += [*({**good, **one, "id": "told"} for one in told), good]
    sheet = tmp_path / "odd.yaml"
    defaults = {"acr": "AAL2", "sender_constrained": True, "method": "GET"}
    sheet.write_text(json.dumps({"defaults": defaults, "calls": calls}))
    ended = subprocess.run(
        [PROGRAM, "demo", "--exit", "--json", "--workers", "1", "--calls", str(sheet)],
        capture_output=True, text=True, timeout=DEMO_S_MAX,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    shown = json.loads(ended.stdout)
    for call in shown["calls"]:
        unplayed = [one for one in call["differences"] if one.startswith("it cannot be played: ")]
        assert bool(unplayed) == (call["id"] == "odd"), call
        assert call["standing"] == ("passed" if call["id"] == "good" else "failed")
    assert shown["log"]["verified"]


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
