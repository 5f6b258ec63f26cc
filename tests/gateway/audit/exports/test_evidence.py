"""Evidence packs: they prove themselves with Python alone, and every changed byte is found."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gateway.audit.exports.evidence import Agreements, evidence_of, write_pack
from gateway.audit.exports.evidence_check import check_pack
from gateway.audit.log import AuditLog
from gateway.audit.store import LogUnavailable
from gateway.clock import new_uuid7
from tests.gateway.audit.exporting import (
    AGREEMENTS,
    PERSON,
    RECORDS,
    digest_of,
    export_log,
    text_of,
    vkey_of,
)
from tests.gateway.audit.records import ORIGIN, intent, keys_in, selected, tampered, unpublished
from tests.gateway.audit.sharded import (
    integrated_newest,
    origin_of_newest,
    retired,
    using_newest,
)


def known(agreement: str, digest: str) -> bytes | None:
    """Return an agreement's text."""
    return text_of(agreement) if digest == digest_of(agreement) else None


def unknown(agreement: str, digest: str) -> None:
    """Return no text: the registry has none of it any more."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a log and of a pack of two exchanges, one of them refused."""
    directory = tmp_path_factory.mktemp("log")
    log = export_log(directory)
    rows = selected(log, "SELECT exchange FROM audit_record WHERE leaf_index IN (2, 3)")
    export = evidence_of(tuple(row[0] for row in rows), personal=True)
    packed = write_pack(
        log.parent, export, keys_in(directory), directory / "pack.pyz", agreements=known
    )
    assert packed == (3, (vkey_of(directory),))
    return directory


def run_pack(pack: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a pack with Python alone: isolated, without site packages, in an empty environment."""
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    return subprocess.run(
        [base if base.exists() else sys.executable, "-I", "-S", pack, *words],
        capture_output=True, text=True, env={}, cwd=pack.parent, timeout=60,
    )  # fmt: skip


def test_a_pack_proves_itself_with_python_alone(home: Path) -> None:
    """It says what was checked, and with which key; with the publisher's key as well."""
    own = run_pack(home / "pack.pyz")
    assert own.returncode == 0, own.stderr
    assert "Records in this pack, each at its place in the log: 3." in own.stdout
    assert "VERIFIED: the signed log holds these records" in own.stdout
    assert f"Compare it with the one that the publisher gives:\n  {vkey_of(home)}" in own.stdout
    given = run_pack(home / "pack.pyz", "--vkey", vkey_of(home))
    assert given.returncode == 0
    assert "Checked with the key you gave." in given.stdout


def test_a_pack_explains_itself(home: Path) -> None:
    """A lawyer reads who asked whom for what, under which agreement, and how to check it."""
    with zipfile.ZipFile(home / "pack.pyz") as pack:
        text = pack.read("README.txt").decode()
        (name,) = [name for name in pack.namelist() if name.startswith("agreements/")]
        document = json.loads(pack.read(name))
        records = pack.read("evidence.ndjson").decode()
    assert "python3 pack.pyz --vkey" in text
    assert "the request was refused" in text
    assert "the answer was about to be released" in text
    assert "purpose                   SHIELDING_SUPPORT" in text
    assert PERSON not in text
    assert PERSON in records
    assert document["id"] == AGREEMENTS[0]
    assert name == f"agreements/{AGREEMENTS[0]}/{digest_of(AGREEMENTS[0])[7:]}.json"
    assert f"digest of the agreement   {digest_of(AGREEMENTS[0])}" in text


def test_the_same_exchanges_make_the_same_pack(home: Path, tmp_path: Path) -> None:
    """Two packs of one moment of the log are the same file."""
    log = next((home / "audit").glob("audit-*.db"))
    rows = selected(log, "SELECT exchange FROM audit_record WHERE leaf_index = 3")
    packs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_pack(
            log.parent,
            evidence_of((rows[0][0],), personal=False),
            keys_in(home),
            tmp_path / name / "pack.zip",
            agreements=unknown,
        )
        packs.append((tmp_path / name / "pack.zip").read_bytes())
    assert packs[0] == packs[1]
    assert PERSON.encode() not in packs[0]


def test_an_exchange_that_is_not_there_makes_no_pack(home: Path, tmp_path: Path) -> None:
    """Nobody gets a pack that silently lacks what was asked for."""
    log = next((home / "audit").glob("audit-*.db"))
    with pytest.raises(LookupError, match="not in the log"):
        write_pack(
            log.parent,
            evidence_of((bytes(16),), personal=False),
            keys_in(home),
            tmp_path / "pack",
            agreements=unknown,
        )
    assert list(tmp_path.iterdir()) == []


def test_a_pack_ends_at_a_published_checkpoint(tmp_path: Path) -> None:
    """What is signed and not published yet is not in a pack, nor what signed it (I5)."""
    log, made = export_log(tmp_path), new_uuid7()

    async def use(log: AuditLog) -> None:
        await log.append(intent(made))

    unpublished(tmp_path, use)
    rows = selected(log, "SELECT exchange FROM audit_record WHERE leaf_index = 3")

    def pack(exchange: bytes) -> int:
        return write_pack(
            log.parent,
            evidence_of((exchange,), personal=False),
            keys_in(tmp_path),
            tmp_path / "pack",
            agreements=unknown,
        ).records

    with pytest.raises(LookupError, match="not signed yet"):
        pack(made)
    assert pack(rows[0][0]) == 2
    assert check_pack(tmp_path / "pack")[0][0].size == RECORDS
    tampered(log, "DELETE FROM audit_checkpoint")
    (log.parent / "sealed-head").unlink()
    (tmp_path / "pack").unlink()
    with pytest.raises(LogUnavailable, match="no checkpoint"):
        pack(rows[0][0])


def test_a_pack_is_whole_or_not_there_and_its_owner_s_alone(home: Path, tmp_path: Path) -> None:
    """One that breaks off leaves nothing; none may be read by others, or overwrites a file."""
    log = next((home / "audit").glob("audit-*.db"))
    rows = selected(log, "SELECT exchange FROM audit_record WHERE leaf_index = 3")

    def pack(agreements: Agreements) -> None:
        write_pack(
            log.parent,
            evidence_of((rows[0][0],), personal=True),
            keys_in(home),
            tmp_path / "pack",
            agreements=agreements,
        )

    def unreachable(agreement: str, digest: str) -> None:
        raise OSError(agreement)

    before = os.umask(0)
    try:
        with pytest.raises(OSError, match="DSA-"):
            pack(unreachable)
        assert list(tmp_path.iterdir()) == []
        pack(unknown)
    finally:
        os.umask(before)
    assert (tmp_path / "pack").stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        pack(unknown)


def repacked(pack: Path, out: Path, name: str, old: bytes, new: bytes) -> None:
    """Write a pack with some bytes of one of its files changed."""
    with zipfile.ZipFile(pack) as source, zipfile.ZipFile(out, "w") as target:
        for item in source.infolist():
            content = source.read(item)
            if item.filename == name:
                assert old in content
                content = content.replace(old, new, 1)
            target.writestr(item, content)


TAMPERINGS: dict[str, tuple[bytes, bytes]] = {
    "entry": (b"exchange.intent", b"exchange.intend"),
    "time": (b'\\"t\\":1', b'\\"t\\":2'),
    "section": (b"SYNTHETIC-USER", b"SYNTHETIC-ELSE"),
    "salt": (b'"salt":"', b'"salt":"AAAA'),
    "hash": (b'"hash":"', b'"hash":"AAAA'),
    "record removed": (b'"entry"', b'"other"'),
    "checkpoint": (b"\\n74\\n", b"\\n75\\n"),
    "commitment": (b'\\"actor\\":\\"', b'\\"actor\\":\\"AA'),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_every_changed_byte_class_is_found(home: Path, tmp_path: Path, name: str) -> None:
    """Entry, section, salt, hash and checkpoint, each changed, end in exit 1 or 2 (F20)."""
    old, new = TAMPERINGS[name]
    repacked(home / "pack.pyz", tmp_path / "pack.pyz", "evidence.ndjson", old, new)
    result = run_pack(tmp_path / "pack.pyz")
    assert result.returncode in (1, 2), result.stdout
    assert "VERIFIED: the signed" not in result.stdout


def test_a_mistyped_key_is_no_sign_of_tampering(home: Path) -> None:
    """Nothing can be told with it: exit 2, and not a word of the records."""
    result = run_pack(home / "pack.pyz", "--vkey", vkey_of(home)[:-1])
    assert (result.returncode, result.stdout) == (2, "")
    assert "not the key of a log" in result.stderr


def test_another_key_does_not_pass(home: Path, tmp_path: Path) -> None:
    """A pack that brings a key of its own passes only as long as nobody compares it."""
    result = run_pack(home / "pack.pyz", "--vkey", vkey_of(tmp_path))
    assert result.returncode == 1
    assert "the log's key did not sign it" in result.stdout


def test_a_pack_holds_exchanges_of_several_shards(tmp_path: Path) -> None:
    """Each is proved by the head of its own shard, with that shard's key; none may lack one."""
    old = export_log(tmp_path)
    rows = selected(old, "SELECT exchange FROM audit_record WHERE leaf_index = 3")
    retired(tmp_path)
    made = new_uuid7()

    async def use(log: AuditLog) -> None:
        await log.append(intent(made))

    using_newest(tmp_path, use)
    integrated_newest(tmp_path)
    export = evidence_of((rows[0][0], made), personal=False)
    keys, out = keys_in(tmp_path), tmp_path / "pack.pyz"
    packed = write_pack(old.parent, export, keys, out, agreements=unknown)
    newest = keys.signer(origin_of_newest(tmp_path)).verifier.vkey()
    assert packed == (3, (vkey_of(tmp_path), newest))
    checked = run_pack(out, "--vkey", newest, "--vkey", vkey_of(tmp_path))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert [line for line in checked.stdout.splitlines() if "in this pack, each" in line] == [
        "Records in this pack, each at its place in the log: 2.",
        "Records in this pack, each at its place in the log: 1.",
    ]
    assert run_pack(out).returncode == 0
    lacking = run_pack(out, "--vkey", newest)
    assert (lacking.returncode, lacking.stdout) == (2, "")
    assert f"no key was given for the log '{ORIGIN}'" in lacking.stderr
    with zipfile.ZipFile(out) as pack:
        assert newest in pack.read("README.txt").decode()
    one = evidence_of((made,), personal=False)
    packed = write_pack(old.parent, one, keys, tmp_path / "one", agreements=unknown)
    assert packed == (1, (newest,))


def test_another_text_of_an_agreement_is_found(home: Path, tmp_path: Path) -> None:
    """A file that has not the digest that it is named after is a fault (F20)."""
    with zipfile.ZipFile(home / "pack.pyz") as pack:
        (name,) = [name for name in pack.namelist() if name.startswith("agreements/")]
    repacked(home / "pack.pyz", tmp_path / "pack.pyz", name, b"SHIELDING", b"OTHER")
    result = run_pack(tmp_path / "pack.pyz")
    assert result.returncode == 1
    assert f"'{name}' is not a text that a record relies on" in result.stdout


def test_a_text_that_nobody_relied_on_is_found(home: Path, tmp_path: Path) -> None:
    """It may have the digest that it is named after; whatever its name, the terminal hears none."""
    other = b'{"purpose":"ANYTHING"}'
    name = f"agreements/{AGREEMENTS[0]}\x1b[2J/{hashlib.sha256(other).hexdigest()}.json"
    shutil.copy(home / "pack.pyz", tmp_path / "pack.pyz")
    with zipfile.ZipFile(tmp_path / "pack.pyz", "a") as pack:
        pack.writestr(name, other)
    result = run_pack(tmp_path / "pack.pyz")
    assert result.returncode == 1
    assert "is not a text that a record relies on" in result.stdout
    assert "\x1b" not in result.stdout
