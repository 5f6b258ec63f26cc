"""Files of keys: for their owner alone, whole, and never made over."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.keys.files import (
    KeyFileUnusable,
    create_key_file,
    read_key_file,
    remove_key_files,
)
from gateway.audit.log import AuditLog
from gateway.audit.search.follow import Follower
from gateway.audit.search.query import show
from gateway.audit.store import LogUnavailable
from gateway.clock import new_uuid7
from tests.gateway.audit.erasing import ANN, with_exchanges
from tests.gateway.audit.records import intent, keys_in, using


def test_the_first_one_made_stands(tmp_path: Path) -> None:
    """Of two processes at once both use the first one's; nothing else is left behind."""
    path = tmp_path / "one.key"
    create_key_file(path, b"first")
    create_key_file(path, b"second")
    assert read_key_file(path, 32) == b"first"
    assert [file.name for file in tmp_path.iterdir()] == ["one.key"]
    assert path.stat().st_mode & 0o777 == 0o600
    remove_key_files(path, tmp_path / "never")
    assert read_key_file(path, 32) is None


def test_an_exposed_or_long_file_is_refused(tmp_path: Path) -> None:
    """What others can read, or is no key, is not used; nor is a link."""
    path = tmp_path / "one.key"
    create_key_file(path, b"first")
    with pytest.raises(KeyFileUnusable, match="longer than 4"):
        read_key_file(path, 4)
    path.chmod(0o640)
    with pytest.raises(KeyFileUnusable, match="chmod 600"):
        read_key_file(path, 32)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError, match="symbolic"):
        read_key_file(tmp_path / "link", 32)


def test_a_key_file_that_cannot_be_used_is_an_outage(tmp_path: Path) -> None:
    """I10: nothing is recorded without the day's key, and whoever reads is told which file it is.

    None of them ends: once the file is mended all go on.
    """
    path, (exchange,) = with_exchanges(tmp_path, [ANN])
    keys = keys_in(tmp_path)
    (day_key,) = (tmp_path / "keys").glob("log-day-*.key")
    told = f"{day_key.name} can be read by others"
    follower = Follower(path, keys=keys)

    async def refused(log: AuditLog) -> None:
        with pytest.raises(LogUnavailable, match=told):
            await log.append(intent(new_uuid7()))

    async def taken(log: AuditLog) -> None:
        await log.append(intent(new_uuid7()))

    day_key.chmod(0o644)
    using(tmp_path, refused)
    with pytest.raises(LogUnavailable, match=told):
        show(path, exchange, keys=keys)
    with pytest.raises(LogUnavailable, match=told):
        follower.step()
    day_key.chmod(0o600)
    using(tmp_path, taken)
    assert show(path, exchange, keys=keys) is not None
    assert not follower.step()
    follower.close()
