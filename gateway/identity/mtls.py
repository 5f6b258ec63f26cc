"""Binding of a token to the client's certificate (RFC 8705, section 3)."""

from __future__ import annotations

import hashlib
import hmac

from gateway.identity.jws import encode_base64url


def certificate_matches(thumbprint: str, certificate_der: bytes) -> bool:
    """Tell whether `thumbprint`, a token's ``cnf["x5t#S256"]``, is that of the certificate shown.

    `certificate_der` is the certificate of this very connection, never one from a header field
    (RFC 8705, section 6.5). Compared in constant time.
    """
    shown = encode_base64url(hashlib.sha256(certificate_der).digest())
    return hmac.compare_digest(shown, thumbprint.encode("ascii"))
