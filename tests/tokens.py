"""Real keys, access tokens and DPoP proofs for tests, right by default and wrong where asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from gateway.clock import random_bytes
from gateway.identity.caller import IssuerProfile
from gateway.identity.jws import encode_base64url

NOW: Final = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
NOW_S: Final = int(NOW.timestamp())
ISSUER: Final = "https://idp.northvale.example"
ORGANISATION: Final = "gss:E06999001"
AUDIENCE: Final = "https://gateway.example/fuel-poverty"
TOKEN_LIFETIME_S: Final = 300
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """A private key, the algorithm it signs with, and its `kid`."""

    key_id: str
    algorithm: str
    native: Key

    @property
    def jwk(self) -> dict[str, Any]:
        """The public JWK as an issuer would publish it."""
        return self.public_jwk | {"kid": self.key_id, "alg": self.algorithm, "use": "sig"}

    @property
    def public_jwk(self) -> dict[str, Any]:
        """The bare public JWK, as in the header of a DPoP proof."""
        return dict(self.native.as_dict(private=False))

    @property
    def thumbprint(self) -> str:
        """The RFC 7638 thumbprint: `cnf.jkt` of a token that is bound to this key."""
        return self.native.thumbprint()


def make_key(
    algorithm: str = "ES256", key_id: str = "key-1", *, rsa_bits: int = 2048
) -> SigningKey:
    """Make a key for `algorithm`; RSA keys are slow to make and shared by size."""
    native: Key
    if algorithm in _CURVES:
        native = ECKey.generate_key(_CURVES[algorithm])
    elif algorithm in ("EdDSA", "Ed25519"):
        native = OKPKey.generate_key("Ed25519")
    else:
        native = _rsa_key(rsa_bits)
    return SigningKey(key_id=key_id, algorithm=algorithm, native=native)


def make_profile(issuer: str = ISSUER, **members: Any) -> IssuerProfile:
    """Make an issuer's profile; `members` replace the defaults."""
    return IssuerProfile(issuer=issuer, **{"organisations": frozenset({ORGANISATION}), **members})


def key_set(*keys: SigningKey) -> dict[str, Any]:
    """The JWK set that an issuer with these keys publishes."""
    return {"keys": [key.jwk for key in keys]}


def make_claims(
    *, at: datetime = NOW, remove: Collection[str] = (), **claims: Any
) -> dict[str, Any]:
    """The claims of a good token issued at `at`, with `claims` in their place, less `remove`."""
    issued_at = int(at.timestamp())
    full = {
        "iss": ISSUER,
        "sub": "northvale-warm-homes",
        "client_id": "northvale-warm-homes",
        "aud": AUDIENCE,
        "exp": issued_at + TOKEN_LIFETIME_S,
        "iat": issued_at,
        "jti": random_bytes(12).hex(),
        "org": ORGANISATION,
        **claims,
    }
    return {name: value for name, value in full.items() if name not in remove}


def make_token(
    key: SigningKey,
    *,
    at: datetime = NOW,
    header: Mapping[str, Any] | None = None,
    remove: Collection[str] = (),
    bound_to: SigningKey | None = None,
    **claims: Any,
) -> bytes:
    """Make an access token signed with `key`.

    `header` adds or replaces header parameters (None as a value removes one); `remove` and `claims`
    shape the claims as in `make_claims`; `bound_to` adds `cnf.jkt`.
    """
    if bound_to is not None:
        claims = {"cnf": {"jkt": bound_to.thumbprint}, **claims}
    protected = {"typ": "at+jwt", "alg": key.algorithm, "kid": key.key_id, **(header or {})}
    protected = {name: value for name, value in protected.items() if value is not None}
    return sign(protected, make_claims(at=at, remove=remove, **claims), key)


def make_proof(
    key: SigningKey,
    method: str,
    uri: str,
    token: bytes,
    *,
    at: datetime = NOW,
    header: Mapping[str, Any] | None = None,
    remove: Collection[str] = (),
    **claims: Any,
) -> bytes:
    """Make a DPoP proof for `method` and `uri` with `token`; the rest as in `make_token`.

    `remove` takes names of header parameters and of claims.
    """
    protected = {
        "typ": "dpop+jwt",
        "alg": key.algorithm,
        "jwk": key.public_jwk,
        **(header or {}),
    }
    payload = {
        "jti": random_bytes(12).hex(),
        "htm": method,
        "htu": uri,
        "iat": int(at.timestamp()),
        "ath": encode_base64url(hashlib.sha256(token).digest()).decode(),
        **claims,
    }
    kept, kept_claims = (
        {name: value for name, value in members.items() if name not in remove}
        for members in (protected, payload)
    )
    return sign(kept, kept_claims, key)


def sign(header: object, payload: object, key: SigningKey) -> bytes:
    """Sign any header and payload; bytes are taken as they are, all else is written as JSON."""
    signing_input = b".".join(
        encode_base64url(part if isinstance(part, bytes) else json.dumps(part).encode())
        for part in (header, payload)
    )
    signature = JWSRegistry.algorithms[key.algorithm].sign(signing_input, key.native)
    return signing_input + b"." + encode_base64url(signature)


@cache
def _rsa_key(bits: int) -> RSAKey:
    return RSAKey.generate_key(bits)
