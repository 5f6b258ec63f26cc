"""Public keys that may verify a signature: imported once, and only if they are sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from gateway.identity.jws import NotJws, decode_base64url

RSA_BITS_MIN: Final = 2048
RSA_BITS_MAX: Final = 8192
RSA_EXPONENT_MIN: Final = 65_537
RSA_EXPONENT_BITS_MAX: Final = 256
KEY_ID_CHARACTERS_MAX: Final = 256

RSA_ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
EDWARDS_ALGORITHMS: Final = frozenset({"EdDSA", "Ed25519"})
"""RFC 8037's name and the fully specified one of RFC 9864, for the same signature."""

_CURVES: Final[Mapping[str, tuple[str, int]]] = {
    "P-256": ("ES256", 32),
    "P-384": ("ES384", 48),
    "P-521": ("ES512", 66),
}
"""Algorithm and coordinate length in bytes of each curve (RFC 7518, sections 3.4 and 6.2.1)."""

_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

_ROCA_PRIMES: Final = (
    *(3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89),
    *(97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167),
)
_ROCA_GENERATOR: Final = 65_537


class KeyRefused(Exception):
    """A JWK that must not verify anything; the message names the fault, never the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A public key and the algorithms that it may be used with.

    `thumbprint` is RFC 7638's, with SHA-256: two keys are the same key if theirs are equal.
    """

    key_id: str | None
    algorithms: frozenset[str]
    thumbprint: str
    native: Key = field(repr=False)


def import_key(jwk: object) -> VerificationKey:
    """Import a public JWK for verifying signatures (RFC 7517, RFC 7518 section 6, RFC 8037).

    1. It is an object without a private or symmetric member.
    2. `use`, `key_ops` and `alg`, where present, allow verifying (RFC 7517, sections 4.2 to 4.4).
    3. `kid`, where present, is a string of at most `KEY_ID_CHARACTERS_MAX` characters.
    4. The key material is sound: RSA of 2048 to 8192 bits with an exponent as in FIPS 186-5,
       section 5.4, and not made by the generator of CVE-2017-15361 (ROCA); EC points on P-256,
       P-384 or P-521, coordinates of full length; Ed25519.

    Raises:
        KeyRefused: for any other value.
    """
    # 1.
    if not isinstance(jwk, Mapping):
        raise KeyRefused("not an object")
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise KeyRefused("private or symmetric")
    # 2.
    if jwk.get("use", "sig") != "sig":
        raise KeyRefused("not for signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise KeyRefused("not for verifying")
    # 3.
    key_id = jwk.get("kid")
    if key_id is not None and not (
        isinstance(key_id, str) and len(key_id) <= KEY_ID_CHARACTERS_MAX
    ):
        raise KeyRefused("kid is no short string")
    # 4.
    algorithms, native = _native_key(jwk)
    if "alg" in jwk:
        algorithms = algorithms & {jwk["alg"]} if isinstance(jwk["alg"], str) else frozenset()
    if not algorithms:
        raise KeyRefused("alg does not fit the key")
    return VerificationKey(
        key_id=key_id, algorithms=algorithms, thumbprint=native.thumbprint(), native=native
    )


def signature_holds(
    key: VerificationKey, algorithm: str, signing_input: bytes, signature: bytes
) -> bool:
    """Tell whether `signature` over `signing_input` holds under `key` with `algorithm`.

    The algorithm is the caller's choice and must be one of the key's (RFC 8725, section 3.1).
    """
    if algorithm not in key.algorithms:
        return False
    try:
        return JWSRegistry.algorithms[algorithm].verify(signing_input, signature, key.native)
    except (JoseError, ValueError):
        return False


def _native_key(jwk: Mapping[str, Any]) -> tuple[frozenset[str], Key]:
    """Check the key material and import it, without any of the JWK's other members."""
    try:
        match jwk.get("kty"):
            case "RSA":
                return RSA_ALGORITHMS, _rsa_key(jwk)
            case "EC":
                return _ec_key(jwk)
            case "OKP":
                return EDWARDS_ALGORITHMS, _edwards_key(jwk)
    except NotJws:
        raise KeyRefused("a member is not canonical base64url") from None
    except (JoseError, ValueError):
        # cryptography raises ValueError for a point off its curve.
        raise KeyRefused("not a valid public key") from None
    raise KeyRefused("kty is not RSA, EC or OKP")


def _rsa_key(jwk: Mapping[str, Any]) -> RSAKey:
    modulus = int.from_bytes(_member(jwk, "n"), "big")
    exponent = int.from_bytes(_member(jwk, "e"), "big")
    if not RSA_BITS_MIN <= modulus.bit_length() <= RSA_BITS_MAX:
        raise KeyRefused(f"RSA modulus is not of {RSA_BITS_MIN} to {RSA_BITS_MAX} bits")
    if exponent < RSA_EXPONENT_MIN or exponent.bit_length() > RSA_EXPONENT_BITS_MAX:
        raise KeyRefused("RSA exponent is too small or too large")
    if modulus % 2 == 0 or exponent % 2 == 0:
        raise KeyRefused("RSA modulus or exponent is even")
    if _made_by_roca_generator(modulus):
        raise KeyRefused("RSA modulus has the ROCA fingerprint")
    return RSAKey.import_key({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]})


def _ec_key(jwk: Mapping[str, Any]) -> tuple[frozenset[str], ECKey]:
    curve = jwk.get("crv")
    if not isinstance(curve, str) or curve not in _CURVES:
        raise KeyRefused("curve is not P-256, P-384 or P-521")
    algorithm, coordinate_bytes = _CURVES[curve]
    if not len(_member(jwk, "x")) == len(_member(jwk, "y")) == coordinate_bytes:
        raise KeyRefused("a coordinate has not its curve's length")
    native = ECKey.import_key({"kty": "EC", "crv": curve, "x": jwk["x"], "y": jwk["y"]})
    return frozenset({algorithm}), native


def _edwards_key(jwk: Mapping[str, Any]) -> OKPKey:
    if jwk.get("crv") != "Ed25519":
        raise KeyRefused("curve is not Ed25519")
    _member(jwk, "x")
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": jwk["x"]})


def _member(jwk: Mapping[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str) or not value.isascii():
        raise KeyRefused(f"{name} is missing or no string")
    return decode_base64url(value.encode("ascii"))


def _made_by_roca_generator(modulus: int) -> bool:
    """Tell whether `modulus` is a power of 65537 modulo each small prime (CVE-2017-15361).

    About one sound key in 2^27 is refused by mistake.
    """
    return all(_is_power(modulus % prime, prime) for prime in _ROCA_PRIMES)


def _is_power(residue: int, prime: int) -> bool:
    power = 1
    for _ in range(prime):
        if power == residue:
            return True
        power = power * _ROCA_GENERATOR % prime
    return False
