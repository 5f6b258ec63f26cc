"""What a demo leaves for the commands that are run beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.demo.packs import Pack
from gateway.demo.state import (
    FOLDER,
    DemoState,
    NoDemo,
    examples_of,
    is_demo,
    read_key,
    read_state,
    write_keys,
    write_state,
)
from gateway.demo.token_endpoint import new_key


def test_what_is_written_is_read(tmp_path: Path, pack: Pack) -> None:
    """State and keys come back as they were, in files that only their owner can read."""
    (tmp_path / FOLDER).mkdir()
    state = DemoState(
        gateway_url="http://127.0.0.1:1",
        control_url="http://127.0.0.1:2",
        issuer_port=3,
        issuers=pack.issuers,
        operator_secret="s",
        clients=examples_of(pack),
    )
    key = new_key()
    write_state(tmp_path, state)
    write_keys(tmp_path, {"app": key})
    assert read_state(tmp_path) == state
    assert read_key(tmp_path, "app").as_dict(private=True) == key.as_dict(private=True)
    assert is_demo(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [oct(path.stat().st_mode & 0o777) for path in files] == ["0o600"] * len(files)


def test_a_home_that_is_no_demo_is_told(tmp_path: Path) -> None:
    """Without a demo there is neither state nor key."""
    assert not is_demo(tmp_path)
    with pytest.raises(NoDemo, match="concordat demo"):
        read_state(tmp_path)
    with pytest.raises(NoDemo, match="no client app"):
        read_key(tmp_path, "app")


def test_every_agreed_client_has_an_example(pack: Pack) -> None:
    """A client's example is a permitted call, or at least its own purpose and service."""
    examples = examples_of(pack)
    for call in pack.sheet.calls:
        if call.expect.decision == "permit" and call.token.client is not None:
            example = examples[call.token.client]
            assert example.organisation == call.token.organisation
            assert example.connector in {rule.connector for rule in pack.rules}


def test_a_client_may_have_any_name(tmp_path: Path) -> None:
    """An id may be a URL, or longer than the name of any file."""
    keys = {name: new_key() for name in ("https://app.example/a", "..", "", "a" * 5000)}
    write_keys(tmp_path, keys)
    for name, key in keys.items():
        assert read_key(tmp_path, name).thumbprint() == key.thumbprint()
