"""Replays a home's recorded decisions, and tells what came out otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.privacy.decided import decided
from gateway.audit.privacy.keyed import Opener
from gateway.audit.reading.reader import find_log, snapshot
from gateway.audit.search.access import look_record
from gateway.audit.store import LogUnavailable
from gateway.cli.audit_log import console_reader, record_now
from gateway.cli.audit_options import microseconds
from gateway.cli.configuration import open_registry
from gateway.cli.output import Stop
from gateway.clock import system_time_us, uuid_text
from gateway.data_plane import log_home
from gateway.replay import Replayed, Replayer, Result, Tally
from gateway.settings import Settings


def replay_range(
    settings: Settings,
    *,
    from_: str | None,
    until: str | None,
    agreement: str | None,
    tell: Callable[[Replayed], None],
) -> Tally:
    """Replay the decisions of a time, telling each that differs; the reading is recorded first.

    Raises Stop where the log, the keys or the registry cannot be read.
    """
    from_us = 0 if from_ is None else microseconds(from_)
    until_us = system_time_us() if until is None else microseconds(until)
    asked: dict[str, object] = {"from": from_us, "until": until_us}
    if agreement is not None:
        asked["agreement"] = agreement
    look = look_record(console_reader(), "replay", asked)
    tally = Tally()
    try:
        path = find_log(log_home(settings))
        record_now(settings, look)
        with open_registry(settings) as registry, snapshot(path) as db:
            opener = Opener(db, LogKeys(settings.keys_directory))
            records = decided(db, opener, from_us=from_us, until_us=until_us)
            for one in Replayer(registry).replay(records, agreement=agreement):
                tally.results[one.result] += 1
                if one.result is Result.DIFFERENT:
                    tell(one)
    except LogUnavailable as failure:
        mend = "run the gateway once: concordat serve, or see: concordat doctor"
        raise Stop(str(failure), mend=mend) from None
    return tally


def difference_data(one: Replayed) -> Mapping[str, Any]:
    """Return a difference with both decisions as plain values; nothing of it is personal."""
    return {
        "index": one.decided.leaf_index,
        "exchange_id": _exchange_id(one),
        "at": one.decided.at_us,
        "recorded": dict(one.recorded),
        "replayed": None if one.replayed is None else dict(one.replayed),
        "why": one.why,
    }


def difference_sentences(one: Replayed) -> list[str]:
    """Return a difference for a person: the record, and each member that differs."""
    head = f"index {one.decided.leaf_index}, exchange {_exchange_id(one) or 'unknown'}"
    if one.replayed is None:
        return [f"{head}: {one.why}"]
    told = [f"{head}: decided otherwise now"]
    was, now = one.recorded, one.replayed
    return told + [f"  {name}: {was.get(name)} → {now.get(name)}" for name in one.differs_in]


def _exchange_id(one: Replayed) -> str | None:
    return None if one.decided.exchange is None else uuid_text(one.decided.exchange)
