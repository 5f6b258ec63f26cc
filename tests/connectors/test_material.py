"""What a connector needs from disk and network is obtained whole, and again where it changed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.credentials import REREAD_S, ApiKey, CredentialUnavailable
from connectors.egress import EgressRule
from connectors.material import MaterialSource
from connectors.secrets import SecretReference, SecretStore, SecretUnavailable
from connectors.tls import ClientCertificate


def source_in(directory: Path, **more: Any) -> MaterialSource:
    """Return a source whose secrets lie in `directory`."""
    settings: dict[str, Any] = {"credentials": None, "client_certificate": None, "ca_file": None}
    store = SecretStore(directory=directory)
    return MaterialSource(store=store, rule=EgressRule(), **{**settings, **more})


def client(name: str = "client.pem") -> ClientCertificate:
    """Return a certificate that stands in one file with its key."""
    reference = SecretReference.parse(f"file:{name}")
    return ClientCertificate(certificate=reference, key=reference)


def kept(path: Path, directory: Path, name: str = "client.pem") -> Path:
    """Copy a file into the secrets directory, for its owner alone."""
    copy = directory / name
    copy.write_bytes(path.read_bytes())
    copy.chmod(0o600)
    return copy


def test_a_credential_and_its_spans(tmp_path: Path) -> None:
    """An API key is the material, and says when it is read again."""
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text("k1\n")
    key = ApiKey(header="x-api-key", secret=SecretReference.parse("file:key"))
    material = asyncio.run(source_in(tmp_path, credentials=key).obtain())
    assert material.credential is not None
    assert material.credential.value == b"k1"
    assert material.tls is None
    assert (material.renew_s, material.lifetime_s) == (REREAD_S, 2 * REREAD_S)


def test_a_context_is_made_again_only_where_files_changed(
    make_certificate: Callable[..., Any], tmp_path: Path
) -> None:
    """Reading the authorities takes tens of milliseconds; a new certificate is taken up."""
    copy = kept(make_certificate().path, tmp_path)

    async def play() -> list[ssl.SSLContext | None]:
        source = source_in(tmp_path, client_certificate=client(), ca_file="client.pem")
        found = [(await source.obtain()).tls for _ in range(2)]
        replaced = kept(make_certificate("other.test").path, tmp_path, "new.pem")
        replaced.replace(copy)
        return [*found, (await source.obtain()).tls]

    first, same, new = asyncio.run(play())
    assert first is not None
    assert first is same
    assert new is not first


def test_missing_files_are_named(make_certificate: Callable[..., Any], tmp_path: Path) -> None:
    """An operator is told which file is missing or open to others."""
    with pytest.raises(CredentialUnavailable, match=r"ca\.pem cannot be read as authorities"):
        asyncio.run(source_in(tmp_path, ca_file="ca.pem").obtain())
    with pytest.raises(SecretUnavailable, match=r"^file:client\.pem cannot be read"):
        asyncio.run(source_in(tmp_path, client_certificate=client()).obtain())
    kept(make_certificate().path, tmp_path).chmod(0o644)
    with pytest.raises(SecretUnavailable, match=r"^others may use file:client\.pem"):
        asyncio.run(source_in(tmp_path, client_certificate=client()).obtain())
