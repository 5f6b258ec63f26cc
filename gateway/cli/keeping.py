"""What a home's log keeps and until when, and the keys by which people of a year are found."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from gateway.audit.entry import Kind as EntryKind
from gateway.audit.entry import Record
from gateway.audit.keys.day_keys import OtherKeeper
from gateway.audit.keys.files import KeyFileUnusable, KeysUnavailable
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.people import year_of
from gateway.audit.privacy.erase import year_destroyed
from gateway.audit.store import LogUnavailable
from gateway.cli.audit_log import console_reader, record_now
from gateway.cli.configuration import open_registry
from gateway.cli.output import Exit, Stop
from gateway.clock import new_uuid7, system_time_us
from gateway.presence import who_runs
from gateway.registry.documents import Kind
from gateway.registry.retention import agreements_on_hold, kept_for
from gateway.settings import Settings

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def retention_of(settings: Settings) -> Mapping[str, Any]:
    """Return how long each class is kept, by agreement where one says it, and the oldest day."""
    with open_registry(settings) as registry:
        held = agreements_on_hold(registry)
        states = registry.newest(Kind.AGREEMENT)
        agreements = [
            {
                "agreement": key,
                "kept_for": kept_for(state.document),
                "net": settings.keep_net_for,
                "on_hold": key in held,
            }
            for key, state in sorted(states.items())
        ]
    days = LogKeys(settings.keys_directory).days()
    return {
        "classes": {
            "core": None,
            "peer": None,
            "net": settings.keep_net_for,
            "actor": settings.keep_records_for,
            "payload": settings.keep_records_for,
            "subject": settings.keep_records_for,
        },
        "agreements": agreements,
        "days_with_keys": len(days),
        "oldest_day": _date(days[0]) if days else None,
    }


def keys_of(settings: Settings) -> Mapping[str, Any]:
    """Return which keys of personal data there are; no key is shown."""
    keys = LogKeys(settings.keys_directory)
    return {
        "days": [_date(day) for day in keys.days()],
        "years": list(keys.subject_years()),
    }


def wrap_keys(settings: Settings, program: Path) -> int:
    """Have a program wrap the day keys, those there are and all to come; return how many there are.

    Raises Stop where it cannot be trusted with them, or a gateway runs that would not know.
    """
    running = who_runs(settings.run_directory)
    if running:
        pids = ", ".join(str(one.pid) for one in running)
        raise Stop(f"this home's gateway runs (pids {pids})", mend="end it, then start it again")
    who = console_reader()
    record = Record(
        record_id=new_uuid7(),
        kind=EntryKind.CHANGE,
        exchange=None,
        at_us=system_time_us(),
        sections={
            "core": {"verb": "wrap-keys", "what": "day-keys", "program": program.name},
            "actor": {"principal": who.principal, "via": who.via.value},
        },
    )
    try:
        record_now(settings, record)
        return LogKeys(settings.keys_directory).wrap_days(program.absolute())
    except LogUnavailable as failure:
        unchanged = f"nothing was changed: {failure}"
        raise Stop(unchanged, mend="concordat doctor", code=Exit.FAILED) from None
    except OtherKeeper as failure:
        mend = "give the path of that program: it may go on where it was"
        raise Stop(str(failure), mend=mend, code=Exit.FAILED) from None
    except KeyFileUnusable as failure:
        raise Stop(str(failure), mend="concordat doctor", code=Exit.FAILED) from None
    except KeysUnavailable as failure:
        mend = f"{program} wrap NAME gets a key in base64 on its standard input; see its messages"
        raise Stop(str(failure), mend=mend, code=Exit.FAILED) from None


def destroy_year(settings: Settings, year: int, *, reason: str, authority: str) -> None:
    """Destroy the key by which people of a past year are found; that it goes is recorded first.

    Raises Stop where it is this year's, or is not there, or it cannot be recorded.
    """
    keys = LogKeys(settings.keys_directory)
    if year >= year_of(system_time_us()):
        raise Stop(f"{year} is not over: its key is in use", mend="concordat audit keys list")
    if year not in keys.subject_years():
        there_is = "there is no key of the people of that year"
        raise Stop(there_is, mend="concordat audit keys list", code=Exit.FAILED)
    who = console_reader()
    sealed = {
        "actor": {"principal": who.principal, "via": who.via.value},
        "payload": {"authority": authority},
    }

    try:
        record_now(settings, year_destroyed(sealed, year, reason=reason))
    except LogUnavailable as failure:
        unchanged = f"nothing was destroyed: {failure}"
        raise Stop(unchanged, mend="concordat doctor", code=Exit.FAILED) from None
    keys.destroy_year(year)


def _date(day: int) -> str:
    return f"{_EPOCH + timedelta(days=day):%Y-%m-%d}"
