"""Secrets are read where a reference says, if nobody else can, and they never show."""

from __future__ import annotations

import pickle
import traceback
from pathlib import Path

import pytest

from connectors.secrets import (
    SECRET_BYTES_MAX,
    ReferenceInvalid,
    Secret,
    SecretReference,
    SecretStore,
    SecretUnavailable,
)

MARKER = "SYNTHETIC-hunter2"


def kept(directory: Path, content: bytes, mode: int = 0o600, name: str = "key") -> SecretStore:
    """Return a store whose one file holds `content`."""
    path = directory / name
    path.write_bytes(content)
    path.chmod(mode)
    return SecretStore(directory=directory)


@pytest.mark.parametrize("text", ["file:key", "file:spl/key.pem", "env:CONCORDAT_SECRET_SPL"])
def test_references_are_written_as_they_are_read(text: str) -> None:
    """A reference is one of two forms."""
    assert str(SecretReference.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [MARKER, "", "file:", "file:/etc/shadow", "file:../keys/log.key", "file:a/../b", "file:.hidden",
     "file:a b", "file:a//b", "file:a/", "env:PATH", "env:CONCORDAT_SECRET_", "env:concordat_a",
     "vault:a", "file:" + "a" * 300, "file:a\n"],
)  # fmt: skip
def test_other_texts_are_refused_and_not_repeated(text: str) -> None:
    """A secret that was pasted in place of a reference, or a path elsewhere, stops here unsaid."""
    with pytest.raises(ReferenceInvalid) as refused:
        SecretReference.parse(text)
    assert MARKER not in str(refused.value)
    assert "/etc" not in str(refused.value)


@pytest.mark.parametrize("content", [b"s3cret", b"s3cret\n", b"s3cret\r\n"])
def test_a_file_s_secret_is_its_content(tmp_path: Path, content: bytes) -> None:
    """Editors end files with a line end, which is not part of the secret."""
    store = kept(tmp_path, content)
    assert store.read(SecretReference.parse("file:key")).reveal() == b"s3cret"


def test_a_variable_s_secret_is_its_value() -> None:
    """The environment is handed in, never looked up."""
    store = SecretStore(environment={"CONCORDAT_SECRET_SPL": "s3cret"})
    assert store.read(SecretReference.parse("env:CONCORDAT_SECRET_SPL")).reveal() == b"s3cret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o610])
def test_a_file_that_others_may_use_is_refused_with_the_line_that_mends_it(
    tmp_path: Path, mode: int
) -> None:
    """Any bit for anybody but the owner is one too many."""
    store = kept(tmp_path, MARKER.encode(), mode)
    with pytest.raises(SecretUnavailable, match=r"chmod go-rwx .*/key$") as refused:
        store.read(SecretReference.parse("file:key"))
    assert MARKER not in str(refused.value)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("file:missing", "file:missing cannot be read: No such file or directory"),
        ("file:empty", "file:empty is not set or empty"),
        ("file:large", "file:large is larger than"),
        ("file:folder", "file:folder cannot be read: Is a directory"),
        ("env:CONCORDAT_SECRET_NONE", "env:CONCORDAT_SECRET_NONE is not set or empty"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, reference: str, reason: str) -> None:
    """An operator is told which reference leads nowhere, and why."""
    kept(tmp_path, b"\n", name="empty")
    store = kept(tmp_path, b"x" * (SECRET_BYTES_MAX + 1), name="large")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SecretUnavailable, match=f"^{reason}"):
        store.read(SecretReference.parse(reference))


def test_without_a_directory_no_file_is_read() -> None:
    """A store that was given no places has no secrets."""
    with pytest.raises(SecretUnavailable):
        SecretStore().read(SecretReference.parse("file:key"))


def test_a_file_for_a_library_passes_the_same_checks(tmp_path: Path) -> None:
    """A path is handed out only once its file is seen to be the owner's alone."""
    reference = SecretReference.parse("file:key")
    assert kept(tmp_path, b"pem").private_path_of(reference) == tmp_path / "key"
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(SecretUnavailable):
        SecretStore(directory=tmp_path).private_path_of(reference)


def test_a_secret_shows_nowhere() -> None:
    """Neither in a repr or format, nor in a store's repr or a traceback's last line."""
    secret = Secret(MARKER.encode())
    store = SecretStore(environment={"CONCORDAT_SECRET_SPL": MARKER})
    shown = [repr(secret), str(secret), f"{secret!r:>40}", repr([secret]), repr(store)]
    shown += traceback.format_exception(ValueError(secret))
    assert not [text for text in shown if MARKER in text]


def test_a_store_without_secrets_travels_with_settings() -> None:
    """Settings cross process boundaries before secrets are known."""
    assert pickle.loads(pickle.dumps(SecretStore())) == SecretStore()  # noqa: S301 - made here
