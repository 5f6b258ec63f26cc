"""The connection that appends: what it says of a failed statement, and that it is kept alive."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from gateway.audit.place import PostgresFailed, PostgresLog
from gateway.audit.postgresql.link import LinkLost, is_rolled_back, open_link


@pytest.fixture
def place(shared_database: str, tmp_path: Path) -> PostgresLog:
    """A schema without tables."""
    return PostgresLog(shared_database, "audit_none", tmp_path)


def test_a_failed_statement_is_rolled_back_or_in_doubt(place: PostgresLog) -> None:
    """An error is an answer; an end of the connection, or a warning at commit, is none (I3)."""

    async def use() -> None:
        link = await open_link(place)
        with pytest.raises(PostgresFailed) as failure:
            await link.fetch("SELECT 1/0")
        assert failure.value.sqlstate == "22012"
        warning = "DO $$ BEGIN RAISE WARNING USING ERRCODE = '01000', MESSAGE = 'so'; END $$"
        with pytest.raises(LinkLost, match="standby"):
            await link.fetch(warning)
        assert (await link.fetch("SELECT 1"))[0][0] == 1
        with pytest.raises(LinkLost):
            await link.fetch("SELECT pg_terminate_backend(pg_backend_pid())")
        with pytest.raises(LinkLost):
            await link.fetch("SELECT 1")
        assert not link.is_open

    asyncio.run(use())


def test_a_dead_network_is_noticed(place: PostgresLog) -> None:
    """The kernel asks after the server: a commit itself is never given up on a timer."""

    async def use() -> None:
        link = await open_link(place)
        known = link._connection._transport.get_extra_info("socket")
        with socket.socket(fileno=os.dup(known.fileno())) as same:
            assert same.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        link.close()

    asyncio.run(use())


def test_a_server_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    """And its URL is not told."""
    nowhere = PostgresLog("postgresql://u:secret@127.0.0.1:1/none", "audit_2026", tmp_path)
    with pytest.raises(PostgresFailed, match="does not answer") as failure:
        asyncio.run(open_link(nowhere))
    assert "secret" not in str(failure.value)


def test_a_malformed_url_is_a_failure_and_not_told(tmp_path: Path) -> None:
    """Whatever reads it would quote it."""
    malformed = PostgresLog("postgresql://u:p@127.0.0.1:secret/none", "audit_2026", tmp_path)
    with pytest.raises(PostgresFailed, match="malformed") as failure:
        asyncio.run(open_link(malformed))
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [("55P03", True), ("53100", True), ("25006", True), ("XX000", False), ("42501", False)],
)
def test_a_full_disk_passes_and_a_missing_right_does_not(sqlstate: str, expected: bool) -> None:
    """After what is rolled back a later append may succeed (I10)."""
    assert is_rolled_back(sqlstate) is expected
