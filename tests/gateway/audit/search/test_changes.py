"""Every change in the log, by the index as far as it goes and without it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from gateway.administration import stop
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.reading.reader import find_log
from gateway.audit.search.changes import changes
from gateway.audit.search.follow import catch_up
from gateway.audit.search.index import index_path
from gateway.audit.sqlite import open_database
from gateway.audit.store import LogUnavailable
from gateway.registry.store import StopKind
from gateway.settings import Settings
from tests.homes import apply_pack, make_settings

KEYS = ("k1", "k2", "k3")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the settings of a home whose log has three stops, the last behind the index."""
    settings = make_settings(tmp_path)
    apply_pack(settings, "http://127.0.0.1:9")
    for key in KEYS[:-1]:
        stop(settings, StopKind.CLIENT, key, reason="test", by="tests")
    catch_up(find_log(settings.audit_directory), LogKeys(settings.keys_directory))
    stop(settings, StopKind.CLIENT, KEYS[-1], reason="test", by="tests")
    return settings


def _clients(settings: Settings, keys: LogKeys | None) -> list[object]:
    found = list(changes(settings.audit_directory, keys))
    assert [change.core["verb"] for change in found] == ["stop"] * 3
    return [change.payload and change.payload["client"] for change in found]


def test_all_are_found_in_order_with_the_index_and_behind_it(settings: Settings) -> None:
    """Nothing is written; and where there is no index, or one of another log, none is missed."""
    keys, path = LogKeys(settings.keys_directory), find_log(settings.audit_directory)
    mark = index_path(path).read_bytes()
    assert _clients(settings, keys) == list(KEYS)
    assert index_path(path).read_bytes() == mark
    with closing(open_database(index_path(path))) as index:
        index.execute("UPDATE search_mark SET leaf_hash = zeroblob(32)")
    assert _clients(settings, keys) == list(KEYS)
    for file in path.parent.glob("index-*"):
        file.unlink()
    assert _clients(settings, keys) == list(KEYS)


def test_without_keys_nothing_sealed_is_opened(settings: Settings) -> None:
    """What stands in clear is still told."""
    assert _clients(settings, None) == [None] * 3


def test_a_home_without_a_log_has_none(tmp_path: Path) -> None:
    """And one that cannot be read is told."""
    assert list(changes(tmp_path, None)) == []
    (tmp_path / "audit-2026.db").write_bytes(b"no database any more" * 300)
    with pytest.raises(LogUnavailable):
        list(changes(tmp_path, None))
