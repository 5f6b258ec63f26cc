"""Legal holds: what must not be erased nor expire, whatever its retention says.

A hold is on an exchange, on everything under an agreement, or on a person. It lies beside the
records and is changed in the transaction of the `admin.change` record that tells of it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.audit.people import Person
from gateway.audit.store import HoldAdded, HoldReleased, HoldsUnchanged, LogUnavailable
from gateway.clock import new_uuid7, random_bytes, system_time_us

Connection = Any

HOLD_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS audit_hold (
    hold BLOB PRIMARY KEY, kind TEXT NOT NULL, target BLOB NOT NULL, reason TEXT NOT NULL,
    since INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS audit_hold_version (
    one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL)""",
    "INSERT INTO audit_hold_version VALUES (1, 0) ON CONFLICT DO NOTHING",
)

_NONCE_BYTES: Final = 12


class HoldKind(StrEnum):
    """What a hold is on."""

    EXCHANGE = "exchange"
    AGREEMENT = "agreement"
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One legal hold; `target` is the exchange's 16 bytes, an agreement's id, or a person.

    `reason` is a code, and `since_us` system time in microseconds.
    """

    id: bytes
    target: bytes | str | Person
    reason: str
    since_us: int

    @property
    def kind(self) -> HoldKind:
        """What the hold is on."""
        if isinstance(self.target, Person):
            return HoldKind.PERSON
        return HoldKind.EXCHANGE if isinstance(self.target, bytes) else HoldKind.AGREEMENT


@dataclass(frozen=True, slots=True)
class Holds:
    """All holds of one moment; a change planned by them is refused once there are others."""

    version: int
    holds: tuple[Hold, ...]

    def unchanged(self) -> HoldsUnchanged:
        """Return what refuses a change if a hold was added or released since."""
        return HoldsUnchanged(self.version)

    @property
    def exchanges(self) -> frozenset[bytes]:
        """The exchanges that are held."""
        return frozenset(one.target for one in self.holds if isinstance(one.target, bytes))

    @property
    def agreements(self) -> frozenset[str]:
        """The agreements all of whose records are held."""
        return frozenset(one.target for one in self.holds if isinstance(one.target, str))

    @property
    def people(self) -> frozenset[Person]:
        """The people all of whose exchanges are held."""
        return frozenset(one.target for one in self.holds if isinstance(one.target, Person))


def read_holds(db: Connection, state_key: bytes) -> Holds:
    """Return the holds of the log; raises LogUnavailable where one does not open."""
    version = db.execute("SELECT version FROM audit_hold_version").fetchone()[0]
    rows = db.execute("SELECT hold, kind, target, reason, since FROM audit_hold ORDER BY hold")
    return Holds(version, tuple([_read(row, state_key) for row in rows]))


def new_hold(target: bytes | str | Person, reason: str) -> Hold:
    """Return a hold that begins now."""
    return Hold(id=new_uuid7(), target=target, reason=reason, since_us=system_time_us())


def adding(hold: Hold, state_key: bytes) -> tuple[HoldAdded]:
    """Return what puts a hold in force; a person is sealed with a key of the log's own."""
    target = hold.target
    if isinstance(target, Person):
        nonce = random_bytes(_NONCE_BYTES)
        named = f"{target.id_type}\n{target.normalised_id}".encode()
        stored = nonce + _cipher(state_key).encrypt(nonce, named, hold.id)
    else:
        stored = target if isinstance(target, bytes) else target.encode()
    return (HoldAdded(hold.id, hold.kind.value, stored, hold.reason, hold.since_us),)


def releasing(hold: Hold) -> tuple[HoldReleased]:
    """Return what ends a hold; refused where somebody else has ended it."""
    return (HoldReleased(hold.id),)


def _read(row: tuple[bytes, str, bytes, str, int], state_key: bytes) -> Hold:
    hold_id, kind, stored, reason, since_us = row
    target: bytes | str | Person = stored
    if kind == HoldKind.AGREEMENT:
        target = stored.decode()
    elif kind == HoldKind.PERSON:
        nonce, sealed = stored[:_NONCE_BYTES], stored[_NONCE_BYTES:]
        try:
            named = _cipher(state_key).decrypt(nonce, sealed, hold_id).decode()
        except InvalidTag as changed:
            raise LogUnavailable("a legal hold does not open with the log's state key") from changed
        id_type, _, identifier = named.partition("\n")
        target = Person(id_type, identifier)
    return Hold(id=hold_id, target=target, reason=reason, since_us=since_us)


def _cipher(state_key: bytes) -> AESGCM:
    return AESGCM(hmac.digest(state_key, b"audit-hold/v1", "sha256"))
