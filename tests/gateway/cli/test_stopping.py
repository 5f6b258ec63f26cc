"""A command that stops something waits until every worker goes by it, and says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.cli.stop import show_effect
from gateway.cli.stopping import EFFECT_WAIT_S, resume_now, stop_now, stops_of
from gateway.database import open_engine
from gateway.refresh import StopListReader
from gateway.registry.store import Registry, StopKind
from gateway.telemetry import Counters


@pytest.fixture
def counters(new_home: NewHome) -> Iterator[Counters]:
    """Return the counters of a worker that lives."""
    opened = Counters.open(new_home.settings.run_directory, "worker")
    yield opened
    opened.close()


def test_a_stop_is_told_to_be_in_force_once_it_is(new_home: NewHome, counters: Counters) -> None:
    """The worker has asked for the list since the commit; what was so already is told as such."""
    settings = new_home.settings
    engine = open_engine(settings.database_url)
    reader = StopListReader(
        Registry(engine),
        on_read=lambda: counters.stop_list_read(int(reader.current.read_at_s * 1_000_000)),
        on_effect=counters.stop_took_effect,
    )
    reader.start()
    try:
        done = stop_now(settings, StopKind.KEY, "k1", "lost")
        entries = reader.current.entries
        again = stop_now(settings, StopKind.KEY, "k1", "lost")
        ended = resume_now(settings, StopKind.KEY, "k1", "found")
    finally:
        reader.stop()
        engine.dispose()

    assert entries == {("key", "k1")}
    assert (done.changed, len(done.workers), done.behind) == (True, 1, ())
    assert done.waited_s < EFFECT_WAIT_S
    assert done.sentences()[1] == f"In force on 1 of 1 workers after {done.waited_s:.2f} s."
    assert again.sentences()[0] == "key k1 was stopped already; nothing was changed."
    assert ended.sentences()[0] == "key k1 is no longer stopped."


def test_ending_a_stop_that_there_is_not_is_told(new_home: NewHome) -> None:
    """What nothing is called was mistyped; what was not stopped is said to be so."""
    with pytest.raises(Stop, match="no agreement 'DSA-9999-0001'"):
        resume_now(new_home.settings, StopKind.AGREEMENT, "DSA-9999-0001", "found")
    ended = resume_now(new_home.settings, StopKind.KEY, "k1", "found")
    assert ended.sentences()[0] == "key k1 was not stopped; nothing was changed."


def test_a_worker_that_does_not_take_it_up_is_named(new_home: NewHome, counters: Counters) -> None:
    """The stop is made all the same; the command fails, and says what mends it."""
    counters.stop_list_read(asked_us=1)
    effect = stop_now(new_home.settings, StopKind.KEY, "k1", "lost")

    assert (effect.workers, len(effect.behind)) == ((), 1)
    with pytest.raises(Stop, match="refuse everything") as stopped:
        show_effect(effect, as_json=True)
    assert stopped.value.mend.startswith(f"kill {effect.behind[0]};")
    assert [stop.key for stop in stops_of(new_home.settings)] == ["k1"]


def test_without_a_gateway_it_holds_from_the_next_start_on(new_home: NewHome) -> None:
    """Nobody is waited for."""
    effect = stop_now(new_home.settings, StopKind.TOKEN, "t1", "lost")

    assert effect.waited_s < EFFECT_WAIT_S
    assert effect.sentences()[1].startswith("No gateway of this home runs")
    assert effect.as_data()["workers"] == []
