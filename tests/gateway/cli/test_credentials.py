"""Tokens outside a demo; in one they are tested end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli.credentials import Wish, _context, _read_key, _well_known, get, make_call
from gateway.cli.output import Stop
from gateway.demo.token_endpoint import new_key

NOTHING = {
    "client": None, "service": None, "resource": None, "agreement": None, "purpose": None,
    "context": (), "on_behalf_of": None, "bearer": False, "issuer": None, "metadata_url": None,
    "key": None,
}  # fmt: skip


def _wish(**said: object) -> Wish:
    return Wish(**{**NOTHING, **said})  # type: ignore[arg-type]  # by name


def test_metadata_stand_before_the_issuers_path() -> None:
    """RFC 8414, section 3.1: the well-known part goes between host and path."""
    assert _well_known("https://a.example") == (
        "https://a.example/.well-known/oauth-authorization-server"
    )
    assert _well_known("https://a.example/realm/") == (
        "https://a.example/.well-known/oauth-authorization-server/realm"
    )


def test_reads_a_private_key_as_jwk_or_pem(tmp_path: Path) -> None:
    """Both forms give the same key; a public key is refused."""
    key = new_key()
    jwk, pem, public = (tmp_path / name for name in ("a.jwk", "a.pem", "public.jwk"))
    jwk.write_text(json.dumps(key.as_dict(private=True)))
    pem.write_bytes(key.as_pem(private=True))
    public.write_text(json.dumps(key.as_dict(private=False)))
    assert _read_key(jwk).thumbprint() == _read_key(pem).thumbprint() == key.thumbprint()
    with pytest.raises(Stop, match="not a P-256 private key"):
        _read_key(public)
    pem.write_text("nothing")
    with pytest.raises(Stop, match="holds no key"):
        _read_key(pem)


def test_a_context_fact_has_a_name_and_a_value() -> None:
    """A value may hold an equals sign; a fact without one is wrong usage."""
    assert _context(_wish(context=("a=1", "b=x=y"))) == {"a": "1", "b": "x=y"}
    with pytest.raises(Stop, match="NAME=VALUE"):
        _context(_wish(context=("a",)))


def test_says_what_is_missing(tmp_path: Path) -> None:
    """Outside a demo client, key and resource are needed; without a demo there is no default."""
    with pytest.raises(Stop, match="--client, --key, --resource is missing"):
        get(_wish(issuer="https://idp.example"), None)
    with pytest.raises(Stop, match="--home of a running demo"):
        get(_wish(client="app"), tmp_path)
    with pytest.raises(Stop, match="is not the home of a demo"):
        make_call(_wish(), tmp_path, method="GET", path="/a", body=b"")


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"\x00", b"{", b'{"kty": "EC"}', b'{"kty": "EC", "crv": "P-999", "x": "a"}',
     b'{"a":' * 100_000],
)  # fmt: skip
def test_what_is_no_key_is_told(tmp_path: Path, content: bytes) -> None:
    """Whatever the file holds, it is named, and so is what is wanted of it."""
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(Stop, match=f"{path} holds no key") as stopped:
        _read_key(path)
    assert "EC P-256 private key" in stopped.value.mend


def test_a_key_that_is_encrypted_or_cannot_be_read_is_told(tmp_path: Path) -> None:
    """No password is asked for, and a folder is no key."""
    path = tmp_path / "key.pem"
    path.write_bytes(new_key().as_pem(private=True, password="secret"))
    with pytest.raises(Stop, match="holds no key") as stopped:
        _read_key(path)
    assert "not encrypted" in stopped.value.mend
    with pytest.raises(Stop, match="cannot be read: Is a directory"):
        _read_key(tmp_path)


def test_what_is_no_url_is_told(tmp_path: Path) -> None:
    """Neither as an issuer's address nor as that of a call."""
    with pytest.raises(Stop, match="is no URL"):
        _well_known("https://[::1")
    with pytest.raises(Stop, match="is no URL"):
        make_call(_wish(), tmp_path, method="GET", path="http://[::1/a", body=b"")
