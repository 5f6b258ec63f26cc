"""Receipts: a log's signed promise that a record of an exchange has its place (audit-log.md, 2.12).

The key is in every worker, and so not the one that signs checkpoints. The log itself announces it:
in its first record, or in an administrative one where the log was begun before it had such a key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.entry import Kind, Record, commitment_text
from gateway.audit.merkle import RECEIPT_TYPE, Receipt, key_thumbprint
from gateway.clock import new_uuid7, system_time_us, uuid_text

MERGE_DELAY_S: Final = 60
"""How long after a receipt a published checkpoint covers its record at the latest (I6)."""
RECEIPT_KEY: Final = "receipt_key"
"""The member of `core` in which a record announces the key, as the x of its JWK."""

_ALGORITHM: Final = "Ed25519"  # RFC 9864


class ReceiptSigner:
    """The key with which a gateway signs the receipts of one log."""

    def __init__(self, origin: str, private_key: Ed25519PrivateKey) -> None:
        """Bind the key to the log's origin."""
        self.origin = origin
        self.public_text = commitment_text(private_key.public_key().public_bytes_raw())
        self._private_key = private_key
        self._key_id = key_thumbprint(private_key.public_key().public_bytes_raw())
        header = {"alg": _ALGORITHM, "kid": self._key_id, "typ": RECEIPT_TYPE}
        self._header = commitment_text(json.dumps(header, separators=(",", ":")).encode())

    def jwk(self) -> dict[str, str]:
        """Return the public key (RFC 7517, RFC 8037); its name is its thumbprint (RFC 7638)."""
        return {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": self.public_text,
            "kid": self._key_id,
            "alg": _ALGORITHM,
            "use": "sig",
        }

    def announced(self) -> dict[str, object]:
        """Return what the `core` of a record has that announces the key."""
        return {RECEIPT_KEY: self.public_text}

    def sign(
        self,
        exchange: bytes,
        kind: Kind,
        *,
        index: int,
        leaf_hash: bytes,
        response_digest: str | None = None,
        request_digest: str | None = None,
    ) -> str:
        """Return the receipt of a durable record, as a compact JWS (RFC 7515)."""
        receipt = Receipt(
            self.origin,
            exchange,
            kind,
            index,
            leaf_hash,
            system_time_us() // 1_000_000,
            MERGE_DELAY_S,
            response_digest,
            request_digest,
        )
        signed = f"{self._header}.{commitment_text(_payload(receipt))}"
        return f"{signed}.{commitment_text(self._private_key.sign(signed.encode()))}"


def _payload(receipt: Receipt) -> bytes:
    claims = {
        "iss": receipt.origin,
        "x": uuid_text(receipt.exchange),
        "k": receipt.kind.value,
        "i": receipt.place,
        "lh": commitment_text(receipt.leaf_hash),
        "iat": receipt.issued_at_s,
        "mmd": receipt.delay_s,
        "rd": receipt.response_digest,
        "qd": receipt.request_digest,
    }
    known = {name: value for name, value in claims.items() if value is not None}
    return json.dumps(known, separators=(",", ":")).encode()


def announcement(signer: ReceiptSigner) -> Record:
    """Return the record by which a log that does not announce its receipt key does so."""
    core: Mapping[str, object] = {"verb": "announce", **signer.announced()}
    return Record(
        record_id=new_uuid7(),
        kind=Kind.CHANGE,
        exchange=None,
        at_us=system_time_us(),
        sections={"core": core},
    )
