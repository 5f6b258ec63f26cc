"""Receipts in answers: made for those who ask for one, and for nobody else."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Final

from gateway.audit.entry import Kind
from gateway.audit.receipts import ReceiptSigner
from gateway.audit.store import Position
from gateway.exchange.facts import Exchange
from gateway.exchange.messages import Headers, Response
from gateway.exchange.records import digest_text

_PREFERENCE: Final = b"exchange-receipt"
_QUOTED: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def wants_receipt(exchange: Exchange) -> bool:
    """Tell whether agreement or caller ask for a receipt; this is all that it costs others."""
    if exchange.decision.duties.receipt:
        return True
    return _asks(exchange)


def _asks(exchange: Exchange) -> bool:
    for name, value in exchange.request.headers:  # noqa: SIM110 - twice as fast as any()
        if name == b"prefer" and _prefers(value):
            return True
    return False


def with_receipt(
    response: Response,
    exchange: Exchange,
    kind: Kind,
    recorded: Position,
    *,
    released: bytes,
    signer: ReceiptSigner,
) -> Response:
    """Return a response with the receipt of the record that says how its exchange ended.

    `released` is what left of the service's answer. A caller that asked learns by
    ``Preference-Applied`` (RFC 7240, section 3) that its preference was heard.
    """
    receipt = signer.sign(
        exchange.id,
        kind,
        index=recorded.index,
        leaf_hash=recorded.leaf_hash,
        response_digest=_digest(released) if released else None,
        request_digest=_digest(exchange.body) if exchange.body else None,
    )
    fields: Headers = ((b"exchange-receipt", receipt.encode()),)
    if _asks(exchange):
        fields += ((b"preference-applied", _PREFERENCE),)
    return replace(response, headers=response.headers + fields)


def _prefers(value: bytes) -> bool:
    """Look for the preference in a list of them (RFC 7240, section 2); it has no value of its own.

    Commas in quoted strings separate nothing.
    """
    listed = _QUOTED.sub(b'""', value).split(b",")
    return any(one.partition(b";")[0].strip().lower() == _PREFERENCE for one in listed)


def _digest(content: bytes) -> str:
    return digest_text(hashlib.sha256(content).digest())
