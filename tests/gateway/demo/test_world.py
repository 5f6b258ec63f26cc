"""Starting and stopping; the whole world is tested end to end."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from gateway.demo.listener import listen
from gateway.demo.world import (
    HomeUsed,
    WorldFailed,
    _listen,
    _Processes,
    fresh_home,
    open_listeners,
)


def _say_hello(ready: Connection) -> None:
    ready.send("hello")


def _die(ready: Connection) -> None:
    ready.close()
    raise SystemExit(3)


def test_a_process_says_when_it_is_ready() -> None:
    """What the process sends is what starting returns."""
    with _Processes() as processes:
        assert processes.start("greeter", _say_hello) == "hello"


def test_a_process_that_ends_first_is_a_failure() -> None:
    """A process that never becomes ready is told with its exit code."""
    with _Processes() as processes, pytest.raises(WorldFailed, match="exit code 3"):
        processes.start("mortals", _die)


def test_takes_another_port_where_the_usual_one_is_taken() -> None:
    """A taken port is no obstacle, and a free one is used."""
    with listen() as taken:
        port = taken.getsockname()[1]
        with _listen(port) as other:
            assert other.getsockname()[1] != port
    with _listen(port) as free:
        assert free.getsockname()[1] == port


def test_two_demos_of_one_instant_have_listeners_of_their_own() -> None:
    """What one of them has chosen is taken from then on, before its gateway runs."""
    with open_listeners() as first, open_listeners() as second:
        ports = {listener.getsockname()[1] for listener in (*first, *second)}

    assert len(ports) == 4


def test_a_demo_starts_from_nothing(tmp_path: Path) -> None:
    """A home that holds something is left alone."""
    fresh_home(tmp_path / "new" / "home")
    (tmp_path / "file").touch()
    with pytest.raises(HomeUsed, match="not empty"):
        fresh_home(tmp_path)


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file stands in the way, or where the folder should be."""
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", tmp_path / "file" / "home"):
        with pytest.raises(HomeUsed, match="cannot be made"):
            fresh_home(home)
