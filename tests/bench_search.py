"""How long a search takes on a large log: `python -m tests.bench_search [RECORDS]`.

Fills a log with whole exchanges, indexes it, and asks every filter for its first page and its last;
words that nearly every exchange has are combined with words that none of those has. Then counts by
each dimension. Prints a table.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from gateway.audit.entry import Kind
from gateway.audit.log import AuditLog
from gateway.audit.search.count import count, known_dimensions
from gateway.audit.search.follow import Follower
from gateway.audit.search.index import index_path
from gateway.audit.search.query import Filters, find, seek_person
from gateway.audit.sqlite import database_path
from gateway.clock import monotonic_s, new_uuid7, system_time_us
from tests.gateway.audit.records import ORIGIN, keys_in, record, using

RECORDS: Final = 1_000_000
EXCHANGES_AT_ONCE: Final = 1_000
SPAN_US: Final = 90 * 86_400_000_000


def beginning(number: int, total: int, started_us: int) -> Any:
    """Return the intent of one exchange; halves, thirds and rarities of every word."""
    core: dict[str, object] = {
        "decision": "permit",
        "reason": "OK",
        "agreement": f"DSA-2026-{number % 40:04}",
        "agreement_version": 1 + number % 2,
        "rule": f"R{number % 7}",
        "purpose": "CARE" if number % 2 else "FUEL",
        "consumer": f"gss:E{number % 300}",
        "provider": "ods:X9Z",
        "service": "spl",
        "method": "GET",
        "route": "/spl/v1/people/{nhs_number}",
        "instrument": "COPI-2020@3" if number % 2 == 0 else None,
        "trace_id": f"{number:032x}",
        "alert": number % 10_000 == 0,
        "decided_at": started_us,
    }
    sealed: dict[str, dict[str, object]] = {
        "actor": {"client": f"client-{number % 500}", "subject": f"user-{number % 5_000}"},
        "net": {"source": f"192.0.2.{number % 200}"},
        "payload": {"context": {"case_reference": f"CASE-{number}"}},
        "subject": {"type": "nhs_number", "ids": [f"999{number % 200_000:07}"]},
    }
    known = {name: value for name, value in core.items() if value is not None}
    made = record(Kind.INTENT, new_uuid7(), core=known, **sealed)
    return replace(made, at_us=started_us - SPAN_US + SPAN_US * number // total)


def ending(begun: Any, number: int) -> Any:
    """Return the outcome of an exchange."""
    core: dict[str, object] = {"status": 502 if number % 1_000 == 0 else 200, "reason": "OK"}
    made = record(Kind.OUTCOME, begun.exchange, core=core | {"records": 1, "subjects": 1})
    return replace(made, at_us=begun.at_us + 1_000)


def fill(directory: Path, records: int) -> None:
    """Append so many records."""
    total, now_us = records // 2, system_time_us()

    async def use(log: AuditLog) -> None:
        for start in range(0, total, EXCHANGES_AT_ONCE):
            numbers = range(start, min(total, start + EXCHANGES_AT_ONCE))
            begun = [beginning(number, total, now_us) for number in numbers]
            await asyncio.gather(*map(log.append, begun))
            ended = [ending(one, number) for one, number in zip(begun, numbers, strict=True)]
            await asyncio.gather(*map(log.append, ended))

    using(directory, use)


def searches(directory: Path, now_us: int) -> dict[str, Filters]:
    """Return what is searched: each filter, common and rare, and combinations that meet nowhere."""
    month_us = 30 * 86_400_000_000
    person = seek_person("nhs_number:9990000018", keys_in(directory))
    each = {
        "organisation": "ods:X9Z", "client": "client-7", "actor": "user-7", "source": "192.0.2.9",
        "case": "CASE-77", "agreement": "DSA-2026-0007", "version": "1", "rule": "R3",
        "instrument": "COPI-2020@3", "purpose": "CARE", "decision": "permit", "reason": "OK",
        "status": 502, "operation": "GET /spl/v1/people/{nhs_number}", "trace": f"{77:032x}",
        "alert": True, "person": person, "token": "none", "break_glass": True,
    }  # fmt: skip
    found = {name: Filters(**{name: value}) for name, value in each.items()}  # type: ignore[arg-type]  # values fit names
    found["nothing asked"] = Filters()
    found["one month"] = Filters(from_us=now_us - 2 * month_us, until_us=now_us - month_us)
    found["a person in one month"] = replace(found["one month"], person=person)
    found["two halves that do not meet"] = Filters(purpose="CARE", instrument="COPI-2020@3")
    found["not an alert, of a client"] = Filters(alert=False, client="client-7")
    found["four common words"] = Filters(
        purpose="CARE", version="2", organisation="ods:X9Z", reason="OK", status=502
    )
    return found


def main(records: int) -> None:
    """Fill, index, search, and print."""
    with tempfile.TemporaryDirectory(prefix="concordat-bench-") as name:
        directory = Path(name)
        began_s = monotonic_s()
        fill(directory, records)
        path, keys = database_path(directory / "audit", ORIGIN), keys_in(directory)
        filled_s = monotonic_s()
        follower = Follower(path, keys=keys)
        while follower.step():
            pass
        follower.close()
        indexed_s = monotonic_s()
        out = sys.stdout.write
        out(f"{records} records appended in {filled_s - began_s:.0f} s\n")
        out(f"indexed at {records / (indexed_s - filled_s):.0f} records/s\n")
        out(f"index {index_path(path).stat().st_size / records:.0f} octets a record\n")
        for label, filters in searches(directory, system_time_us()).items():
            cursor, pages, slowest_ms, items = None, 0, 0.0, 0
            while pages < 8 and (cursor is not None or pages == 0):
                start_s = monotonic_s()
                page = find(path, filters, keys=keys, cursor=cursor, opened=False)
                slowest_ms = max(slowest_ms, (monotonic_s() - start_s) * 1_000)
                cursor, pages, items = page.cursor, pages + 1, items + len(page.items)
            out(f"{label:32} {slowest_ms:8.1f} ms at most, {items} in {pages} pages\n")
        for by in known_dimensions():
            start_s = monotonic_s()
            counted = count(path.parent, Filters(), (by,), keys=keys)
            took_s = monotonic_s() - start_s
            out(f"count by {by:23} {took_s * 1_000:8.1f} ms, {len(counted.rows)} rows\n")
        out(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB at most\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS)
