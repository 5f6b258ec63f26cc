"""From header fields to a caller whose possession of a key or certificate is proved."""

from __future__ import annotations

import hashlib
from typing import Final

from gateway.identity.caller import Authenticated, ProofUse
from gateway.identity.jws import encode_base64url
from tests.authenticating import CLIENT, World, bearer, dpop, play, refused
from tests.tokens import make_key

CERTIFICATE: Final = b"a certificate in DER"
CERTIFICATE_THUMBPRINT: Final = encode_base64url(hashlib.sha256(CERTIFICATE).digest()).decode()
ALGORITHMS: Final = 'algs="ES256 PS256 EdDSA Ed25519"'


def test_dpop_both_ways() -> None:
    """A bound token is accepted with a fresh proof each time, and each proof has its own use."""

    async def scene(world: World) -> None:
        token = world.token(bound_to=CLIENT)
        first = await world.ask(*dpop(token))
        second = world.ask_cached(*dpop(token))
        assert isinstance(first, Authenticated)
        assert isinstance(second, Authenticated)
        assert first.bound
        assert second.bound
        assert isinstance(first.proof, ProofUse)
        assert isinstance(second.proof, ProofUse)
        assert first.proof.key != second.proof.key
        assert first.claims is second.claims

    play(scene)


def test_a_spoiled_proof_is_refused_both_ways() -> None:
    """D-06, D-07: another key's proof, or one for another method, is an invalid proof."""

    async def scene(world: World) -> None:
        token = world.token(bound_to=CLIENT)
        expected = (401, "proof-invalid", f'DPoP error="invalid_dpop_proof", {ALGORITHMS}')
        assert refused(await world.ask(*dpop(token, make_key()))) == expected
        assert refused(world.ask_cached(*dpop(token, make_key()))) == expected
        assert refused(world.ask_cached(*dpop(token, method="GET"))) == expected
        assert refused(world.ask_cached(*dpop(token), (b"dpop", b"x"))) == expected

    play(scene)


def test_a_bound_token_needs_its_proof() -> None:
    """T-33: a token with `cnf.jkt` is no bearer token, and useless without a proof."""

    async def scene(world: World) -> None:
        token = world.token(bound_to=CLIENT)
        expected = (401, "proof-required", f'DPoP error="invalid_token", {ALGORITHMS}')
        assert refused(await world.ask(bearer(token))) == expected
        assert refused(world.ask_cached(bearer(token))) == expected
        assert refused(await world.ask(bearer(token, b"DPoP"))) == expected
        assert refused(world.ask_cached(bearer(token), dpop(token)[1])) == expected

    play(scene)


def test_an_unbound_token_under_dpop() -> None:
    """D-17: under the scheme DPoP an unbound token is refused; a DPoP field beside Bearer is not.

    Such a field proves nothing about the token, and the caller counts as unbound.
    """

    async def scene(world: World) -> None:
        token = world.token()
        expected = (401, "proof-invalid", f'DPoP error="invalid_token", {ALGORITHMS}')
        assert refused(await world.ask(*dpop(token))) == expected
        verdict = await world.ask(bearer(token), dpop(token)[1])
        assert isinstance(verdict, Authenticated)
        assert not verdict.bound

    play(scene)


def test_mutual_tls_both_ways() -> None:
    """T-33, D-18: a token bound to a certificate is accepted over a connection with it only."""

    async def scene(world: World) -> None:
        field = bearer(world.token(cnf={"x5t#S256": CERTIFICATE_THUMBPRINT}))
        challenge = 'Bearer error="invalid_token"'
        assert refused(await world.ask(field)) == (401, "proof-required", challenge)
        verdict = world.ask_cached(field, certificate_der=CERTIFICATE)
        assert isinstance(verdict, Authenticated)
        assert verdict.bound
        assert verdict.proof is None
        other = world.ask_cached(field, certificate_der=b"another")
        assert refused(other) == (401, "proof-invalid", challenge)

    play(scene)


def test_d_19_a_certificate_in_a_header_is_not_believed() -> None:
    """D-19, D-20: only the certificate of the connection counts, whatever a header says."""

    async def scene(world: World) -> None:
        field = bearer(world.token(cnf={"x5t#S256": CERTIFICATE_THUMBPRINT}))
        claimed = (b"client-cert", b":" + encode_base64url(CERTIFICATE) + b":")
        assert refused(await world.ask(field, claimed))[1] == "proof-required"

    play(scene)


def test_t_34_both_bindings_must_hold() -> None:
    """T-34: a token bound to a key and to a certificate needs both proofs."""

    async def scene(world: World) -> None:
        both = {"jkt": CLIENT.thumbprint, "x5t#S256": CERTIFICATE_THUMBPRINT}
        token = world.token(cnf=both)
        assert refused(await world.ask(*dpop(token)))[1] == "proof-required"
        assert refused(await world.ask(bearer(token), certificate_der=CERTIFICATE))[1] == (
            "proof-required"
        )
        verdict = world.ask_cached(*dpop(token), certificate_der=CERTIFICATE)
        assert isinstance(verdict, Authenticated)
        assert verdict.bound
        assert verdict.proof is not None

    play(scene)


def test_an_issuer_may_have_to_bind_its_tokens() -> None:
    """A profile that asks for proof refuses unbound tokens and accepts bound ones."""

    async def scene(world: World) -> None:
        world.issuers = {world.server.issuer: world.server.profile(proof_required=True)}
        expected = (401, "proof-required", f'DPoP error="invalid_token", {ALGORITHMS}')
        assert refused(await world.ask(bearer(world.token()))) == expected
        assert isinstance(await world.ask(*dpop(world.token(bound_to=CLIENT))), Authenticated)

    play(scene)
