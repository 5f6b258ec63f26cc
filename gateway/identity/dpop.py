"""Demonstrating proof of possession at the resource server (RFC 9449, section 4.3)."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from gateway.identity.caller import ProofUse, Refusal
from gateway.identity.claims import ClaimRefused, numeric_date, required
from gateway.identity.jws import NotJws, UnverifiedJws, encode_base64url, is_type, read_jws
from gateway.identity.keys import KeyRefused, VerificationKey, import_key, signature_holds
from policies.decision import ReasonCode

PROOF_BYTES_MAX: Final = 8_192
PROOF_HEADER_BYTES_MAX: Final = 2_048
"""Room for a 4096-bit RSA key in the header's `jwk`, and no more."""
PROOF_AGE_S_MAX: Final = 60
PROOF_AHEAD_S_MAX: Final = 10
URI_CHARACTERS_MAX: Final = 8_192

PROOF_ALGORITHMS: Final = ("ES256", "PS256", "EdDSA", "Ed25519")
"""What a proof may be signed with: FAPI 2.0's algorithms, and RFC 9864's name for one of them."""

_URI: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{0,5}))?"
    r"(?P<path>(?:/[a-z0-9._~!$&'()*+,;=:@%-]*)*)(?:[?#][\x21-\x7e]*)?",
    re.IGNORECASE | re.ASCII,
)
_PERCENT: Final = re.compile(r"%([0-9a-f]{2})?", re.IGNORECASE | re.ASCII)
_DOT_SEGMENT: Final = re.compile(r"/\.\.?(?=/|\Z)")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


class _ProofRefused(Exception):
    """A step does not hold; the message is the refusal's detail."""


def verify_proof(
    unverified_proofs: tuple[bytes, ...],
    *,
    token_hash: bytes,
    confirmation_jkt: str,
    method: str,
    uri: str,
    at_s: int,
) -> ProofUse | Refusal:
    """Verify the proof that came with a verified, DPoP-bound token.

    `unverified_proofs` are the values of all `DPoP` fields; `token_hash` is the SHA-256 of the
    token, `confirmation_jkt` the thumbprint of the key that it is bound to; `uri` is the external
    URI of the request, without query; `at_s` the decision time in whole seconds since 1970. The
    steps are those of RFC 9449, section 4.3:

    1. There is one `DPoP` field.
    2. It is one well-formed JWT, in its canonical spelling.
    3. It has `jti`, `htm`, `htu`, `iat` and `ath`, in their forms.
    4. `typ` is ``dpop+jwt``.
    5. `alg` is one of `PROOF_ALGORITHMS`: asymmetric, never none.
    6. The signature holds under the public key in `jwk`.
    7. `jwk` has no private member, and is a sound key (`import_key`).
    8. `htm` is the request's method, letter for letter.
    9. `htu` is the request's URI without query and fragment, both normalised.
    10. We hand out no nonce, so none is asked for.
    11. `iat` is at most `PROOF_AGE_S_MAX` old and `PROOF_AHEAD_S_MAX` ahead. That `jti` is new is
        for the caller to claim with what is returned, in the same step as the record.
    12. `ath` is the hash of the token, and the token is bound to this key.
    """
    try:
        # 1.
        _check(len(unverified_proofs) == 1, "there must be one DPoP field")
        # 2.
        jws = read_jws(
            unverified_proofs[0], bytes_max=PROOF_BYTES_MAX, header_bytes_max=PROOF_HEADER_BYTES_MAX
        )
        # 3.
        payload = jws.payload
        token_id, htm, ath = (required(payload, name) for name in ("jti", "htm", "ath"))
        issued_at = numeric_date(payload, "iat")
        htu = payload.get("htu")
        # 4. A critical extension would be one that we do not know (RFC 7515, section 4.1.11).
        _check(is_type(jws.header, "dpop+jwt") and "crit" not in jws.header, "typ is not dpop+jwt")
        # 5. to 7.
        key = _signing_key(jws)
        # 8.
        _check(htm == method, "htm is another method")
        # 9.
        normal_htu = normalise_uri(htu) if isinstance(htu, str) else None
        _check(normal_htu is not None and normal_htu == normalise_uri(uri), "htu is another URI")
        # 11. Step 10 asks for nothing.
        _check(-PROOF_AHEAD_S_MAX <= at_s - issued_at <= PROOF_AGE_S_MAX, "iat is not now")
        # 12.
        _check(_same(ath, encode_base64url(token_hash)), "ath is of another token")
        _check(
            _same(key.thumbprint, confirmation_jkt.encode()), "the token is bound to another key"
        )
        # A thumbprint has a fixed length, so that no two pairs read the same.
        use = hashlib.sha256(b"dpop\0" + key.thumbprint.encode() + token_id.encode()).digest()
        return ProofUse(key=use, expires_at=int(issued_at) + PROOF_AGE_S_MAX + 1)
    except (_ProofRefused, NotJws, ClaimRefused, KeyRefused) as error:
        return Refusal(
            reason=ReasonCode.PROOF_INVALID, detail=f"The DPoP proof is not acceptable: {error}."
        )


def normalise_uri(uri: str) -> str | None:
    """Return the http(s) URI without query and fragment, normalised (RFC 3986, section 6.2).

    Scheme and host in lower case, no default port, ``/`` for an empty path, percent-encoding only
    where it is needed and in upper case. None for what is no such URI, for user information, and
    for dot segments, which a canonical path does not have.
    """
    match = _URI.fullmatch(uri) if len(uri) <= URI_CHARACTERS_MAX else None
    if match is None:
        return None
    try:
        path = _PERCENT.sub(_normal_escape, match["path"]) or "/"
    except ValueError:
        return None
    if _DOT_SEGMENT.search(path):
        return None
    scheme, port = match["scheme"].lower(), match["port"]
    suffix = f":{int(port)}" if port and port != _DEFAULT_PORTS[scheme] else ""
    return f"{scheme}://{match['host'].lower()}{suffix}{path}"


def _normal_escape(match: re.Match[str]) -> str:
    """Decode an escaped unreserved character, write another escape in upper case."""
    if match[1] is None:
        raise ValueError("a percent sign that escapes nothing")
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _signing_key(jws: UnverifiedJws) -> VerificationKey:
    """Steps 5 to 7: the key in the header, sound and public, and the signature under it."""
    algorithm = jws.header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in PROOF_ALGORITHMS:
        raise _ProofRefused("alg is not one we accept")
    key = import_key(jws.header.get("jwk"))
    _check(
        signature_holds(key, algorithm, jws.signing_input, jws.signature),
        "the signature does not hold",
    )
    return key


def _same(claimed: str, expected: bytes) -> bool:
    return hmac.compare_digest(claimed.encode(), expected)


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _ProofRefused(otherwise)
