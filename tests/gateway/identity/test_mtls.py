"""The binding of tokens to client certificates."""

from __future__ import annotations

import hashlib

from gateway.identity.jws import encode_base64url
from gateway.identity.mtls import certificate_matches


def test_a_token_is_bound_to_one_certificate() -> None:
    """D-18: the thumbprint of the certificate shown must be the token's, and nothing near it."""
    thumbprint = encode_base64url(hashlib.sha256(b"certificate").digest()).decode()

    assert certificate_matches(thumbprint, b"certificate")
    assert not certificate_matches(thumbprint, b"other certificate")
    assert not certificate_matches(thumbprint, b"")
    assert not certificate_matches(thumbprint + "=", b"certificate")
