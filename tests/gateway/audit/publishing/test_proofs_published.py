"""What may be proved of a log: what is published, with the key that the log announces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.audit.log import AuditLog
from gateway.audit.note import Policy
from gateway.audit.publishing.proofs import (
    find_announcement,
    prove_announcement,
    prove_exchange,
    receipt_of,
)
from gateway.audit.receipts import announcement
from gateway.audit.tiles import check_proved
from gateway.clock import new_uuid7
from tests.gateway.audit.records import (
    ORIGIN,
    filled,
    integrated,
    intent,
    keys_in,
    outcome,
    using,
)


def test_what_is_not_published_is_not_proved(tmp_path: Path) -> None:
    """A record beyond the published checkpoint has a receipt at once, and its proof later (I6)."""
    place = filled(tmp_path, 1)
    exchange = new_uuid7()

    async def use(log: AuditLog) -> None:
        await log.append(intent(exchange))
        await log.append(outcome(exchange))

    using(tmp_path, use)
    proofs = json.loads(prove_exchange(place, exchange))
    assert [it["proof"] for it in proofs["records"]] == [None, None]
    assert receipt_of(place, exchange, keys_in(tmp_path)) is not None
    integrated(tmp_path)
    policy = Policy(logs=(keys_in(tmp_path).signer(ORIGIN).verifier,))
    assert len(check_proved(prove_exchange(place, exchange), policy)) == 2


def test_a_log_without_the_key_announces_it(tmp_path: Path) -> None:
    """A log that was begun with another receipt key tells the new one in a record of a change."""
    place = filled(tmp_path, 1)
    (tmp_path / "keys" / "log-receipt.key").unlink()
    signer = keys_in(tmp_path).receipt_signer(ORIGIN)
    assert find_announcement(place, signer.public_text) is None
    with pytest.raises(LookupError):
        prove_announcement(place, signer.public_text)

    async def use(log: AuditLog) -> None:
        await log.append(announcement(signer))

    using(tmp_path, use)
    integrated(tmp_path)
    assert find_announcement(place, signer.public_text) == 3
    policy = Policy(logs=(keys_in(tmp_path).signer(ORIGIN).verifier,))
    (shown,) = check_proved(prove_announcement(place, signer.public_text), policy)
    assert shown.sections["core"]["receipt_key"] == signer.public_text
