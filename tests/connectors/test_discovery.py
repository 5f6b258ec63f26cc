"""Kinds are found by entry point."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from connectors.base import Call, CallFailed, Failure
from connectors.discovery import UnknownKind, kinds, open_connector
from connectors.http import HttpSettings


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution that offers the kind `broken`."""
    information = tmp_path / "plug_in-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: plug-in\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[concordat.connectors]\nbroken = broken_plug_in:open_broken\n"
    )
    (tmp_path / "broken_plug_in.py").write_text(
        "class Broken:\n"
        "    async def call(self, call): raise LookupError\n"
        "from contextlib import asynccontextmanager\n"
        "@asynccontextmanager\n"
        "async def open_broken(settings): yield Broken()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_a_plug_in_is_found_and_guarded(plug_in: None) -> None:
    """An installed package's kind is opened, and its stray exceptions become CallFailed."""

    async def run() -> None:
        async with open_connector("broken", None) as connector:
            await connector.call(Call(method="GET", target=b"/"))

    assert "broken" in kinds()
    with pytest.raises(CallFailed) as caught:
        asyncio.run(run())
    assert caught.value.failure is Failure.MALFORMED


def test_an_unknown_kind_is_refused_with_the_known_ones(plug_in: None) -> None:
    """The message lists what is installed."""

    async def run() -> None:
        async with open_connector("fax", None):
            pass

    with pytest.raises(UnknownKind, match=r"no connector of kind 'fax'; installed kinds: .*broken"):
        asyncio.run(run())


def test_the_http_kind_is_there() -> None:
    """Concordat's own kind is registered like any other."""

    async def run() -> bool:
        settings = HttpSettings(base_url="http://127.0.0.1:1", allow_loopback=True)
        async with open_connector("http", settings) as connector:
            return (await connector.probe()).healthy

    assert not asyncio.run(run())
