"""`token get` and `call`, as they are typed; against a gateway they are tested end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.client import _body
from gateway.cli.output import Stop
from tests.gateway.cli.conftest import Run


def test_a_token_needs_somebody_to_ask(run: Run, tmp_path: Path) -> None:
    """Neither a demo nor an issuer is wrong usage."""
    with pytest.raises(Stop) as stopped:
        run("token", "get", "--client", "app", "--home", tmp_path)
    assert stopped.value.code == 2


def test_nobody_answers_is_exit_2(run: Run) -> None:
    """A call that reaches nobody says so."""
    with pytest.raises(Stop, match=r"127\.0\.0\.1:9"):
        run("call", "GET", "http://127.0.0.1:9/a")


def test_a_path_starts_with_a_slash(run: Run) -> None:
    """Anything else would be glued to the gateway's address; the right form is told."""
    with pytest.raises(Stop, match="starts with /") as stopped:
        run("call", "GET", "open/v1/bins")
    assert (stopped.value.code, stopped.value.mend) == (2, "write it as /open/v1/bins")


def test_a_home_without_a_demo_is_named(run: Run, tmp_path: Path) -> None:
    """With or without a client, the directory that was looked at is told."""
    for words in (("--client", "app"), ()):
        with pytest.raises(Stop, match=str(tmp_path / "nope")):
            run("call", "GET", "/a", "--home", tmp_path / "nope", *words)


def test_a_body_may_come_from_a_file(tmp_path: Path) -> None:
    """@FILE is read; anything else is the body itself."""
    path = tmp_path / "body.json"
    path.write_bytes(b'{"a": 1}')
    assert _body(f"@{path}") == b'{"a": 1}'
    assert _body('{"b": 2}') == b'{"b": 2}'
    assert _body(None) == b""
    with pytest.raises(Stop, match="cannot be read"):
        _body("@/nowhere/at/all")
