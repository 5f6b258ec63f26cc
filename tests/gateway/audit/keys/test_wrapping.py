"""Keys wrapped by a program: what it returns is checked, and nothing of it is repeated."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.audit.keys import wrapping
from gateway.audit.keys.files import KeysUnavailable
from gateway.audit.keys.wrapping import CommandWrapper
from tests.gateway.audit.keeping import Keeper

KEY = bytes(range(32))


def test_a_key_comes_back_under_its_own_name_alone(tmp_path: Path) -> None:
    """The name is part of what is wrapped: one day's key cannot be passed off as another's."""
    wrapper = CommandWrapper(Keeper(tmp_path).program)
    wrapped = wrapper.wrap("log-day-7", KEY)
    assert wrapper.unwrap("log-day-7", wrapped) == KEY
    with pytest.raises(KeysUnavailable, match="exit code"):
        wrapper.unwrap("log-day-8", wrapped)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 3", "exit code 3"),
        ("true", "returned no key"),
        ("head -c 9000 /dev/zero | tr '\\0' a", "returned no key"),
        ("yes AAAA", "returned no key"),
        ("echo AAAA; yes ''", "returned no key"),
        ("printf '\\377\\376'", "returned no key"),
        ("head -c 1000000 /dev/zero >&2; exit 4", "exit code 4"),
        ("echo c2hvcnQ=", "did not return the key"),
        ("echo not-base64!", "did not return the key"),
    ],
)
def test_what_is_no_key_is_not_taken_for_one(tmp_path: Path, script: str, why: str) -> None:
    """The program is named, and what it wrote is not: it could be a key."""
    program = tmp_path / "keeper"
    program.write_text(f"#!/bin/sh\ncat > /dev/null\n{script}\n")
    program.chmod(0o700)
    with pytest.raises(KeysUnavailable, match=why) as failed:
        CommandWrapper(program).unwrap("log-day-7", b"AAAA")
    assert "c2hvcnQ" not in str(failed.value)


def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for a KMS that does not answer, and it leaves nothing running."""
    monkeypatch.setattr(wrapping, "COMMAND_TIMEOUT_S", 3.0)
    program, started = tmp_path / "keeper", tmp_path / "started"
    program.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {started}\nsleep 600\n")
    program.chmod(0o700)
    with pytest.raises(KeysUnavailable, match="failed: TimeoutError"):
        CommandWrapper(program).unwrap("log-day-7", b"AAAA")
    stat = Path(f"/proc/{started.read_text().strip()}/stat")
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)


def test_a_program_need_not_read(tmp_path: Path) -> None:
    """Whether it takes what it is given or not, its answer is its answer."""
    program = tmp_path / "keeper"
    program.write_text("#!/bin/sh\nexec 0<&-\necho AAAA\n")
    program.chmod(0o700)
    for _ in range(20):
        assert CommandWrapper(program).wrap("log-day-7", KEY) == b"AAAA"


def test_a_program_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    """It is told by its name."""
    with pytest.raises(KeysUnavailable, match="nothing unwrap log-day-7 failed"):
        CommandWrapper(tmp_path / "nothing").unwrap("log-day-7", b"AAAA")
