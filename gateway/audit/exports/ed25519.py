"""Ed25519 signatures checked in plain Python (RFC 8032, section 5.1.7).

For evidence packs, which run where there is only Python; everything else uses `cryptography`, and
tests hold the two to the same verdicts. It checks public data only, so that its time may differ.
"""

from __future__ import annotations

import hashlib
from typing import Final

_P: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, _P - 2, _P) % _P
_SQRT_MINUS_1: Final = pow(2, (_P - 1) // 4, _P)

# A point in extended homogeneous coordinates: X, Y, Z, T (RFC 8032, section 5.1.4).
_Point = tuple[int, int, int, int]


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether the key made the signature over the message."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key, scalar = _decode(public_key), int.from_bytes(signature[32:], "little")
    if key is None or scalar >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    x, y, z, t = _multiply(challenge, key)
    found = _add(_multiply(scalar, _BASE), (_P - x, y, z, _P - t))
    return _encode(found) == signature[:32]


def _decode(encoded: bytes) -> _Point | None:
    """Return the point of an encoding, None where it is of none (RFC 8032, section 5.1.3)."""
    number = int.from_bytes(encoded, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _SQRT_MINUS_1 % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _encode(point: _Point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, _P - 2, _P)
    x, y = x * inverse % _P, y * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _add(left: _Point, right: _Point) -> _Point:
    x1, y1, z1, t1 = left
    x2, y2, z2, t2 = right
    a, b = (y1 - x1) * (y2 - x2) % _P, (y1 + x1) * (y2 + x2) % _P
    c, d = 2 * t1 * t2 * _D % _P, 2 * z1 * z2 % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(scalar: int, point: _Point) -> _Point:
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _base() -> _Point:
    found = _decode((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))
    if found is None:
        raise AssertionError("the base point is on the curve")
    return found


_BASE: Final = _base()
