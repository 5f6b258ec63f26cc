"""`audit outages`, as it is typed."""

from __future__ import annotations

import asyncio
import json

from gateway.audit.entry import Kind, Record
from gateway.audit.reading.reader import find_log
from gateway.cli.home import NewHome
from gateway.clock import new_uuid7, system_time_us
from gateway.data_plane import open_audit_log
from gateway.settings import Settings
from tests.gateway.audit.records import tampered
from tests.gateway.cli.conftest import Run


def left_open(settings: Settings) -> None:
    """Record an exchange that never ended, and its closing as indeterminate; another stays open."""

    def record(kind: Kind, exchange: bytes, **core: object) -> Record:
        return Record(
            record_id=new_uuid7(),
            kind=kind,
            exchange=exchange,
            at_us=system_time_us(),
            sections={"core": core},
        )

    async def append() -> None:
        log = open_audit_log(settings, instance="test")
        await log.start()
        lost, waiting, withheld = new_uuid7(), new_uuid7(), new_uuid7()
        for exchange in (lost, waiting, withheld):
            await log.append(record(Kind.INTENT, exchange, decision="permit"))
        await log.append(record(Kind.INDETERMINATE, lost, reason="INSTANCE_DIED"))
        await log.append(record(Kind.OUTCOME, withheld, status=503, problem="audit-unavailable"))
        await log.stop()

    asyncio.run(append())


def test_unknown_ends_and_missing_records_are_told(run: Run, new_home: NewHome) -> None:
    """Exit 1 for each; a withheld answer went to nobody (I2, I8, I10)."""
    home = new_home.settings.home
    left_open(new_home.settings)
    ended = run("audit", "outages", "--home", home)
    assert ended.exit_code == 1
    lines = ended.stdout.splitlines()
    assert lines[0] == "7 records, 0 missing; 1 exchange under way"
    assert lines[1].startswith("end unknown: ")
    assert lines[1].endswith(" INSTANCE_DIED")
    assert lines[2].startswith("withheld: ")
    tampered(
        find_log(new_home.settings.audit_directory), "DELETE FROM audit_record WHERE leaf_index = 2"
    )
    told = json.loads(run("audit", "outages", "--json", "--home", home).stdout)
    assert told["missing"] == 1


def test_a_range_of_time_without_them_is_well(run: Run, new_home: NewHome) -> None:
    """Exit 0 for the time before."""
    left_open(new_home.settings)
    words = ("audit", "outages", "--until", "2020-01-01", "--home", new_home.settings.home)
    assert run(*words).exit_code == 0
