"""A bounded memory of tokens that were verified, so that a signature is checked once."""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.identity.caller import Authenticated

ENTRIES_MAX: Final = 10_000
CACHED_FIELD_BYTES_MAX: Final = 4_096
"""A longer field is judged from the beginning every time: the memory is bounded in bytes too."""


class Verified(NamedTuple):
    """What an Authorization field was found to say, before any proof.

    `authenticated` has the token's claims and issuer, `dpop` tells the field's scheme, and
    `verified_at_s` is the decision time of the verification, in seconds since 1970.
    """

    authenticated: Authenticated
    dpop: bool
    verified_at_s: int


class TokenCache:
    """Verified tokens by the Authorization field that carried them, byte for byte.

    An entry says that a signature held, nothing about the request at hand: whoever takes it out
    judges time, audience, issuer and proof again. Python's seeded hash of the field is the index,
    since a digest of our own would double the cost of a hit. When full, the oldest entry goes.
    """

    def __init__(self, *, entries_max: int = ENTRIES_MAX) -> None:
        """Keep at most `entries_max` tokens, one or more."""
        self._entries_max = entries_max
        self._entries: dict[bytes, Verified] = {}
        self.get = self._entries.get

    def put(self, field: bytes, verified: Verified) -> None:
        """Remember the token of a field that has just been verified."""
        if len(field) > CACHED_FIELD_BYTES_MAX:
            return
        self._entries.pop(field, None)
        while len(self._entries) >= self._entries_max:
            del self._entries[next(iter(self._entries))]
        self._entries[field] = verified

    def forget_key(self, issuer: str, key_id: str) -> None:
        """Forget every token that was verified with a key that `issuer` has withdrawn."""
        for field in [
            field
            for field, verified in self._entries.items()
            if verified.authenticated.claims.key_id == key_id
            and verified.authenticated.claims.issuer == issuer
        ]:
            del self._entries[field]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
