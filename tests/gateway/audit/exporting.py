"""A small log for the tests of exports: exchanges of two agreements, refusals, a change."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gateway.audit.entry import Kind
from gateway.audit.log import AuditLog
from gateway.clock import new_uuid7
from tests.gateway.audit.records import ORIGIN, integrated, keys_in, outcome, record, using

AGREEMENTS = ("DSA-2026-0003", "DSA-2026-0004")
EXCHANGES = 20
"""Of each agreement; each is refused a fifth of the time."""
RECORDS = 1 + 1 + 2 * (16 * 2 + 4)
PERSON = "9990000018"


def text_of(agreement: str) -> bytes:
    """Return the text of an agreement that its exchanges were decided under."""
    return f'{{"id":"{agreement}","purpose":"SHIELDING_SUPPORT"}}'.encode()


def digest_of(agreement: str) -> str:
    """Return its digest, as records have it."""
    return f"sha256:{hashlib.sha256(text_of(agreement)).hexdigest()}"


def export_log(directory: Path) -> Path:
    """Make the log, integrated and published; return its file."""

    async def use(log: AuditLog) -> None:
        await log.append(record(Kind.CHANGE, None, core={"verb": "apply", "by": "tests"}))
        for agreement in AGREEMENTS:
            for number in range(EXCHANGES):
                exchange = new_uuid7()
                core: dict[str, object] = {
                    "agreement": agreement, "agreement_version": 1,
                    "agreement_digest": digest_of(agreement), "consumer": "gss:E06999001",
                    "provider": "ods:X9Z", "purpose": "SHIELDING_SUPPORT", "method": "GET",
                    "route": "/spl/v1/people", "service": "nhse-spl", "rule": "R1",
                }  # fmt: skip
                refused = number % 5 == 0
                core["decision"] = "deny" if refused else "permit"
                core["reason"] = "PURPOSE_NOT_PERMITTED" if refused else "OK"
                position = await log.append(
                    record(
                        Kind.DENY if refused else Kind.INTENT,
                        exchange,
                        core={**core, "status": 403} if refused else core,
                        actor={"client": "council-app", "subject": "SYNTHETIC-USER"},
                        net={"source": "192.0.2.7"},
                        subject={"type": "nhs_number", "ids": [PERSON]},
                    )
                )
                if not refused:
                    await log.append(outcome(exchange, intent=position.index, records=1))

    using(directory, use)
    return integrated(directory)


def vkey_of(directory: Path) -> str:
    """Return the public key of the log in a directory."""
    return keys_in(directory).signer(ORIGIN).verifier.vkey()
