"""`audit prove`, `audit consistency` and `audit verify proof|receipt`, as they are typed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.publishing.proofs import receipt_of
from gateway.audit.reading.reader import find_log
from gateway.cli.audit_log import find_exchanges
from gateway.cli.home import NewHome
from gateway.cli.output import Stop
from gateway.data_plane import log_origin
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.test_audit_log import deny_one


@dataclass
class Written:
    """A home whose log holds one refused exchange, and has published it."""

    home: Path
    exchange: str
    place: Path
    keys: LogKeys
    vkey: str

    def publish(self) -> str:
        """Publish what the log holds; return the checkpoint."""
        origin = self.vkey.partition("+")[0]
        integrator = Integrator(self.place.parent, origin=origin, keys=self.keys)
        integrator.step()
        integrator.close()
        return (self.place.parent / "sealed-head").read_text()


@pytest.fixture
def written(new_home: NewHome) -> Written:
    """Return a home with a published exchange."""
    settings = new_home.settings
    exchange = deny_one(settings)
    keys = LogKeys(settings.keys_directory)
    vkey = keys.signer(log_origin(settings)).verifier.vkey()
    place = find_log(settings.audit_directory)
    found = Written(settings.home, exchange, place, keys, vkey)
    found.publish()
    return found


def test_an_exchange_is_proved_to_a_file_and_verified(
    run: Run, written: Written, tmp_path: Path
) -> None:
    """What `prove` writes, `verify proof` takes; both say it in words or JSON, by exit code."""
    out = tmp_path / "exchange.json"
    words = ("audit", "verify", "proof", out, "--vkey", written.vkey)
    done = run("audit", "prove", written.exchange, "--out", out, "--home", written.home)
    assert (done.exit_code, done.stdout) == (0, "")

    verified = run(*words)
    assert (verified.exit_code, verified.stdout.splitlines()[-1]) == (0, "verified")
    assert json.loads(run(*words, "--json").stdout)["ok"] is True
    out.write_text(out.read_text().replace("decision.deny", "exchange.deny"))
    changed = run(*words, "--json")
    assert (changed.exit_code, json.loads(changed.stdout)["ok"]) == (1, False)
    unknown = run("audit", "verify", "proof", out, "--json")
    assert (unknown.exit_code, json.loads(unknown.stdout)["ok"]) == (2, None)


def test_that_a_proof_was_asked_for_is_on_record(run: Run, written: Written) -> None:
    """A proof is a reading of the log, of a use that the law knows."""
    run("audit", "prove", written.exchange, "--use", "self_monitoring", "--home", written.home)
    words = ("audit", "search", "--kind", "log.access", "--home", written.home, "--json")
    newest = json.loads(run(*words).stdout)["exchanges"][1]
    assert (newest["verb"], newest["use"]) == ("prove", "self_monitoring")
    assert newest["exchange"] == written.exchange
    with pytest.raises(Stop, match="no permitted use"):
        run("audit", "prove", written.exchange, "--use", "curiosity", "--home", written.home)


def test_a_record_is_proved_by_its_index(run: Run, written: Written, tmp_path: Path) -> None:
    """With its entry, or as the bare C2SP tlog-proof; both verify."""
    home = ("--home", written.home)
    listed, bare = tmp_path / "1.json", tmp_path / "1.tlog-proof"
    run("audit", "prove", "--index", "1", "--out", listed, *home)
    written.publish()
    run("audit", "prove", "--index", "1", "--tlog-proof", "--out", bare, *home)
    entry = tmp_path / "entry"
    entry.write_text(json.loads(listed.read_text())["records"][0]["entry"])
    policy = tmp_path / "policy"
    policy.write_text(f"log {written.vkey}\nquorum none\n")

    words = ("audit", "verify", "proof", bare, "--entry", entry, "--policy", policy)
    assert "decision.deny at index 1 is in" in run(*words).stdout
    assert run("audit", "verify", "proof", listed, "--vkey", written.vkey).exit_code == 0


def test_a_receipt_is_verified(run: Run, written: Written, tmp_path: Path) -> None:
    """By its key, and against the proofs of its exchange."""
    exchange = bytes.fromhex(written.exchange.replace("-", ""))
    receipt, proofs = tmp_path / "receipt.jws", tmp_path / "exchange.json"
    receipt.write_text(receipt_of(written.place, exchange, written.keys) or "")
    run("audit", "prove", written.exchange, "--out", proofs, "--home", written.home)
    key = written.keys.receipt_signer("any").public_text

    words = ("audit", "verify", "receipt", receipt, "--key", key)
    assert "promised decision.deny at index 1" in run(*words).stdout
    kept = run(*words, "--proof", proofs, "--vkey", written.vkey)
    assert "decision.deny at index 1 is in" in kept.stdout
    assert run("audit", "verify", "receipt", receipt).exit_code == 2


def test_growth_is_proved_between_checkpoints(
    run: Run, written: Written, new_home: NewHome, tmp_path: Path
) -> None:
    """Of sizes or of kept checkpoints; what was never published is no checkpoint."""
    old, proof = tmp_path / "old", tmp_path / "proof"
    old.write_text((written.place.parent / "sealed-head").read_text())
    size = old.read_text().split("\n")[1]
    find_exchanges(new_home.settings, {}, limit=1, use="self_monitoring")
    new = written.publish().split("\n")[1]
    home = ("--home", written.home)
    check = ("audit", "verify", "consistency", proof, "--old", old, "--vkey", written.vkey)

    for first in (old, size):
        run("audit", "consistency", first, new, "--out", proof, *home)
        assert f"of size {new} extends what it was at size {size}" in run(*check).stdout
    assert run("audit", "consistency", size, new, *home).stdout == proof.read_text()
    for first, last in ((new, size), ("99", new), (tmp_path / "none", new)):
        with pytest.raises(Stop):
            run("audit", "consistency", first, last, *home)


def test_what_cannot_be_proved_says_why(run: Run, written: Written, tmp_path: Path) -> None:
    """Exit 1 for what the log does not have; 2 for what was asked wrongly, or is too new."""
    home = ("--home", written.home)
    unknown = "01980000-0000-7000-8000-000000000000"
    for words, code in (
        ((unknown,), 1),
        (("--index", "99"), 1),
        (("x",), 2),
        ((), 2),
        ((written.exchange, "--index", "1"), 2),
        ((written.exchange, "--tlog-proof"), 2),
        (("--index", "2"), 2),
        ((written.exchange, "--out", tmp_path / "none" / "file"), 2),
    ):
        with pytest.raises(Stop) as stopped:
            run("audit", "prove", *words, *home)
        assert stopped.value.code == code, words
