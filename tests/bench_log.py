"""`make bench-log`: what a large audit log costs to write, to prove and to verify.

Appends records of real size to a log on this disk, integrates them as they come, and measures CPU
time, for rates of a shared machine are noise: the first tenth of the appends against the last, the
slowest of many proofs, the full verification, and the memory that each of them needed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from gateway.audit.entry import Kind, Record
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.publishing.proofs import prove_index
from gateway.audit.reading.reader import verify_log
from gateway.clock import new_uuid7
from tests.gateway.audit.records import ORIGIN, keys_in, opened, record

GROUP: Final = 64
"""Exchanges under way at once."""
GROUPS_PER_STEP: Final = 40
RECORDS_PER_STEP: Final = 2 * GROUP * GROUPS_PER_STEP
"""Records between two checkpoints: what a busy gateway writes in a few seconds."""
PROOFS: Final = 300

INTENT: Final[dict[str, object]] = {
    "action": "disclosure", "agreement": "DSA-2026-0003", "agreement_version": 4,
    "agreement_digest": f"sha256:{'ab' * 32}", "alert": False, "article6": ["UKGDPR-6-1-c"],
    "article9": ["UKGDPR-9-2-h", "UKGDPR-9-2-i"], "confidentiality": "COPI-REG3-4-NOTICE",
    "consumer": "gss:E06999001", "consumer_article6": ["UKGDPR-6-1-e"], "decision": "permit",
    "data_classes": ["identifier", "personal", "special_category"], "dataset": "spl",
    "decided_at": 1_795_399_698_275_943, "fields_requested": [], "filters": ["lad_code"],
    "gateway": "worker-b4aae84dbda5", "inputs_digest": f"sha256:{'cd' * 32}",
    "instrument": "COPI-NOTICE-GENERAL@2", "kept_for": "P8Y", "method": "GET",
    "obligations": ["redact_restricted_address"], "provider": "ods:X9Z",
    "purpose": "SHIELDING_SUPPORT", "reason": "OK", "revision": 1, "route": "/spl/v1/people",
    "rule": "R1", "service": "nhse-spl", "software": "0.1.0", "subject_view": "visible",
    "trace_id": "01a2062946d37f0f9dbda6cdc3431b80", "vocabulary": "2026-11-draft1",
}  # fmt: skip
OUTCOME: Final[dict[str, object]] = {
    "bytes": 1853, "duration_us": 2871, "fields_sent": ["address_line_1", "family_name", "uprn"],
    "gateway": "worker-b4aae84dbda5", "intent_leaf": "PUorSz5xU_UPJi9yH5qp8m403znez3RKV5S43WWWq5g",
    "reason": "OK", "records": 8, "records_dropped": 0, "redacted_subjects": 1,
    "service_status": 200, "status": 200, "subjects": 8,
}  # fmt: skip
ACTOR: Final[dict[str, object]] = {
    "client": "council-app", "issuer": "https://idp.exampleshire.example", "bound": True,
    "subject": "SYNTHETIC-USER", "roles": ["caseworker"], "token_id_digest": f"sha256:{'ef' * 32}",
}  # fmt: skip
PEOPLE: Final[dict[str, object]] = {"type": "nhs_number", "ids": ["9990000018", "9990000026"]}


def main() -> int:
    """Run the benchmark and print one table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--records", type=int, default=1_000_000, help="size of the log")
    arguments.add_argument("--json", action="store_true", help="figures as JSON")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="concordat-bench-log-") as name:
        figures = measure(Path(name), options.records, quiet=options.json)
    if options.json:
        print(json.dumps(figures))
    else:
        for label, value in figures.items():
            print(f"{label:44} {value:>14,.2f}")
    return 0


def measure(directory: Path, records: int, *, quiet: bool) -> dict[str, float]:
    """Write a log of about so many records, and return every figure."""
    appended = asyncio.run(_append(directory, records, quiet=quiet))
    tenth = max(1, len(appended) // 10)
    first, last = sum(appended[:tenth]) / tenth, sum(appended[-tenth:]) / tenth
    path = next((directory / "audit").glob("audit-*.db"))
    written_mib = _peak_mib()
    figures = {
        "records": float(len(appended) * RECORDS_PER_STEP),
        "file, MiB": path.stat().st_size / 2**20,
        "append, first tenth, CPU us per record": first,
        "append, last tenth, CPU us per record": last,
        "append, last tenth / first tenth": last / first,
        "peak memory after appending, MiB": written_mib,
    }
    proofs = _timed_proofs(path, len(appended) * RECORDS_PER_STEP)
    figures["proof, median, ms"] = statistics.median(wall for wall, _ in proofs)
    figures["proof, slowest, ms"] = max(wall for wall, _ in proofs)
    figures["proof, slowest, CPU ms"] = max(cpu for _, cpu in proofs)
    vkey = keys_in(directory).signer(ORIGIN).verifier.vkey()
    for label, jobs in (("one process", 1), ("two processes", 2)):
        cpu, wall = time.process_time(), time.monotonic()
        report = verify_log(path, vkey=vkey, jobs=jobs)
        assert report.ok, report.faults
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
        figures[f"verify, {label}, records per second"] = report.size / wall
        if jobs == 1:
            figures["verify, records per CPU second"] = report.size / cpu
    figures["peak memory after verifying, MiB"] = _peak_mib()
    return figures


async def _append(directory: Path, records: int, *, quiet: bool) -> list[float]:
    """Append and integrate; return the CPU microseconds per record of each step's appends."""
    log = opened(directory)
    await log.start()
    integrator = Integrator(directory / "audit", origin=ORIGIN, keys=keys_in(directory))
    costs: list[float] = []
    try:
        for step in range(max(1, records // RECORDS_PER_STEP)):
            begun = time.process_time()
            for _ in range(GROUPS_PER_STEP):
                ids = [new_uuid7() for _ in range(GROUP)]
                await asyncio.gather(*[log.append(_intent(one)) for one in ids])
                await asyncio.gather(*[log.append(_outcome(one)) for one in ids])
            costs.append((time.process_time() - begun) / RECORDS_PER_STEP * 1_000_000)
            integrator.step()
            if not quiet and sys.stderr.isatty():
                print(f"\r{(step + 1) * RECORDS_PER_STEP:,} records", end="", file=sys.stderr)
    finally:
        integrator.close()
        await log.stop()
    return costs


def _intent(exchange: bytes) -> Record:
    net: dict[str, object] = {"source": "192.0.2.7"}
    return record(Kind.INTENT, exchange, core=dict(INTENT), actor=ACTOR, subject=PEOPLE, net=net)


def _outcome(exchange: bytes) -> Record:
    payload: dict[str, object] = {"response_digest": f"sha-256=:{'A' * 43}=:"}
    return record(Kind.OUTCOME, exchange, core=dict(OUTCOME), payload=payload, subject=PEOPLE)


def _timed_proofs(path: Path, size: int) -> list[tuple[float, float]]:
    """Return the milliseconds of proofs of records anywhere, opening the log too: wall, CPU."""
    chance = random.Random(5)  # noqa: S311 - the same indices in every run
    times = []
    for _ in range(PROOFS):
        wall, cpu = time.monotonic(), time.process_time()
        prove_index(path, chance.randrange(size))
        times.append(((time.monotonic() - wall) * 1_000, (time.process_time() - cpu) * 1_000))
    return times


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
