"""Opening a log: a host that joins, and one whose head is ahead of the store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.audit.lifecycle.opened import open_log
from gateway.audit.lifecycle.start import check_start
from gateway.audit.place import PostgresHome, PostgresLog, directory_of, place_of
from gateway.audit.reading.reader import shard_name
from gateway.audit.store import LogFrozen, LogUnavailable
from gateway.audit.tree import SEALED_HEAD_NAME
from tests.gateway.audit.records import (
    ORIGIN,
    each_store,
    filled,
    home_of,
    keys_in,
    opened,
    place_in,
    tampered,
)  # fmt: skip


@each_store
def test_a_store_that_is_behind_the_sealed_head_is_frozen(tmp_path: Path) -> None:
    """F11: a restored backup is older than what this host has published (I5)."""
    place = filled(tmp_path, 3)
    for statement in (
        "DELETE FROM audit_record WHERE leaf_index > 0", "DELETE FROM audit_checkpoint",
        "UPDATE audit_head SET next_index = 1",
        "UPDATE audit_tree SET size = 0, published_size = 0",
    ):  # fmt: skip
        tampered(place, statement)
    with pytest.raises(LogFrozen):
        opened(tmp_path)


@each_store
def test_only_a_log_of_several_hosts_is_joined(tmp_path: Path) -> None:
    """A host without a head may be new to PostgreSQL, unless it has sealed one (F11, I5).

    A file was never anywhere else.
    """
    filled(tmp_path, 3)
    filled(tmp_path, 1)  # what was published is known to the store a step later
    place = place_in(tmp_path)
    (directory_of(place) / SEALED_HEAD_NAME).unlink()
    if isinstance(place, PostgresLog):
        joining = PostgresHome(place.url, tmp_path / "joining")
        verifier = keys_in(tmp_path).signer(ORIGIN).verifier
        check_start(place_of(joining, shard_name(place)), verifier, begun=True)
    with pytest.raises(LogFrozen, match="missing"):
        opened(tmp_path)


def test_a_server_that_is_away_is_said(tmp_path: Path) -> None:
    """Whoever starts the gateway learns why it does not start, without a password."""
    home = PostgresHome("postgresql://u:secret@127.0.0.1:1/none", tmp_path)
    assert home_of(tmp_path) != home
    with pytest.raises(LogUnavailable, match="cannot be opened") as failure:
        open_log(home, origin=ORIGIN, instance="x", keys=keys_in(tmp_path))
    assert "secret" not in str(failure.value)


def test_a_folder_that_is_in_the_way_is_said(tmp_path: Path) -> None:
    """Whatever of its files cannot be made, it is the log that cannot be opened (I10)."""
    filled(tmp_path, 1)
    instances = tmp_path / "audit" / "instances"
    shutil.rmtree(instances)
    instances.write_text("a file where a folder must be")
    with pytest.raises(LogUnavailable, match="cannot be opened"):
        opened(tmp_path)
