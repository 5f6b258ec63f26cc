"""Other people's code, and ours, check what a running gateway wrote and served (deliverable 10).

Every command of docs/verifying-the-log.md is run as it stands, in the order of the document.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from connectors.fetch import Answer, open_client
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.note import Checkpoint, read_unsigned
from gateway.clock import monotonic_s
from gateway.database import open_engine
from gateway.registry.store import Registry
from tests.auditor import ROOT, new_auditor
from tests.faults.journals import Journal, open_stage
from tests.running import ITEM, Running, free_port, item_token, running_gateway
from tests.tokens import SigningKey

DOCUMENT: Final = ROOT / "docs" / "verifying-the-log.md"
GO_PACKAGES: Final = Path("/usr/share/gocode/src/golang.org/x/mod/sumdb")
NEEDED: Final = {"Go": ("go", GO_PACKAGES), "Node": ("npm", None)}
"""What a section's commands need besides Python and curl, and Debian's package of Go code."""
COMMAND_S_MAX: Final = 180.0
PUBLISHED_S_MAX: Final = 30.0


@dataclass
class Told:
    """A gateway that runs, an exchange that it carried out, and an auditor's directory."""

    running: Running
    key: SigningKey
    directory: Path
    secret: str = ""
    exchange: str = ""
    receipt: str = ""

    def call(self) -> Answer:
        """Carry out one exchange whose receipt is asked for."""
        headers = {
            "authorization": f"Bearer {item_token(self.key, self.running.base_url)}",
            "prefer": "exchange-receipt",
        }
        return self._get(self.running.base_url + ITEM, headers)

    def wait_for_proof(self) -> None:
        """Wait until a checkpoint covers the exchange."""
        path = f"{self.running.control_url}/audit/v1/exchanges/{self.exchange}/proof"
        deadline_s = monotonic_s() + PUBLISHED_S_MAX
        while True:
            answer = self._get(path, {"authorization": f"Bearer {self.secret}"})
            assert answer.status == 200, answer
            if all(record["proof"] for record in json.loads(answer.body)["records"]):
                return
            assert monotonic_s() < deadline_s, "no checkpoint covers the exchange"

    def run(self, commands: str) -> subprocess.CompletedProcess[str]:
        """Run a block of the document in the auditor's directory."""
        tools = f"{self.directory / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        known = {
            "GATEWAY": self.running.control_url,
            "SOURCE": str(ROOT),
            "SECRET": self.secret,
            "EXCHANGE": self.exchange,
        }
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.directory, capture_output=True, text=True, timeout=COMMAND_S_MAX,
            env={**os.environ, **known, "PATH": tools, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def _get(self, url: str, headers: dict[str, str]) -> Answer:
        async def ask() -> Answer:
            async with open_client() as client:
                return await client.request("GET", url, headers)

        return asyncio.run(ask())


def blocks() -> dict[str, list[str]]:
    """Return the shell blocks of the document by section."""
    sections = re.split(r"^## ", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]
    shell = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return {section.partition("\n")[0]: shell.findall(section) for section in sections}


SECTIONS: Final = blocks()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Run a gateway with its issuer and its service, and carry out an exchange."""
    directory = tmp_path_factory.mktemp("interop")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stack = AsyncExitStack()
    try:
        opening = stack.enter_async_context(open_stage(directory, Journal()))
        key = asyncio.run_coroutine_threadsafe(opening, loop).result(PUBLISHED_S_MAX)
        home, configuration = directory / "home", directory / "configuration"
        with running_gateway(home, configuration, port=free_port()) as running:
            yield prepared(Told(running, key, directory / "auditor"))
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(PUBLISHED_S_MAX)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def prepared(told: Told) -> Told:
    """Carry out an exchange, and lay out the auditor's directory with what it begins with."""
    engine = open_engine(told.running.settings.database_url)
    told.secret = Registry(engine).make_bootstrap_secret()
    engine.dispose()
    answer = told.call()
    assert answer.status == 200
    fields = {name.decode(): value.decode() for name, value in answer.headers}
    told.exchange, told.receipt = fields["exchange-id"], fields["exchange-receipt"]
    told.wait_for_proof()
    # Python as an auditor has it: five files, which the document copies, and one library.
    auditor = new_auditor(told.directory)
    shutil.rmtree(told.directory / "gateway")
    (told.directory / "bin").mkdir()
    python = told.directory / "bin" / "python3"
    site = auditor.directory / "site"
    base = sys._base_executable  # type: ignore[attr-defined]  # since Python 3.7
    python.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {base} -S "$@"\n')
    python.chmod(0o755)
    for section in list(SECTIONS)[:2]:
        for block in SECTIONS[section]:
            done = told.run(block)
            assert done.returncode == 0, (block, done.stderr)
    # The exchange's receipt as the consumer got it, and as an auditor gets it, are of one record.
    assert told.receipt.count(".") == (told.directory / "receipt.jws").read_text().count(".") == 2
    (told.directory / "receipt.jws").write_text(told.receipt)
    # Another exchange, so that what is checked against the kept checkpoint is a larger log.
    told.exchange = dict(told.call().headers)[b"exchange-id"].decode()
    told.wait_for_proof()
    return told


def ready(section: str) -> None:
    """Skip where a section's tools are not installed."""
    program, packages = NEEDED.get(section.rpartition(" ")[2], ("curl", None))
    if shutil.which(program) is None or (packages is not None and not packages.exists()):
        pytest.skip(f"{program} and its packages are not installed (.ci/run installs them)")


@pytest.mark.parametrize("section", list(SECTIONS)[2:])
def test_the_document_s_commands_verify_what_the_gateway_wrote(told: Told, section: str) -> None:
    """Five files, our monitor, Go and sigstore accept what is served (I5, I6)."""
    ready(section)
    for block in SECTIONS[section]:
        done = told.run(block)
        assert done.returncode == 0, (block, done.stdout, done.stderr)
        assert "verified" in done.stdout or "monitor" in block
        if "old.checkpoint" in block:
            kept = read_unsigned((told.directory / "old.checkpoint").read_text()).size
            sizes = [int(size) for size in re.findall(r"sizes? (\d+)", done.stdout)]
            assert kept < max(sizes)


def tools_of(section: str) -> str:
    """Return the commands of a section; packages of an earlier test need not be fetched again."""
    return "\n".join(SECTIONS[section]).replace("npm ci", "test -d node_modules || npm ci")


@pytest.mark.parametrize("section", ["Check them with Go", "Check them with Node"])
@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("entry", lambda text: text.replace("exchange.outcome", "exchange.0utcome")),
        ("index", lambda text: re.sub(r"index (\d+)", lambda at: f"index {int(at[1]) - 1}", text)),
        ("root", lambda text: re.sub(r"\\n\\n\\u2014", r"A\\n\\n\\u2014", text)),
        ("signature", lambda text: re.sub(r"(\\u2014 \S+ .{20}).", r"\1*", text)),
    ],
)
def test_other_people_s_code_refuses_what_was_changed(
    told: Told, section: str, what: str, change: object
) -> None:
    """F20: what we would refuse, they refuse; so their yes is worth something (I6)."""
    ready(section)
    assert callable(change)
    original = (told.directory / "exchange.json").read_text()
    changed = change(original)
    assert changed != original, what
    (told.directory / "exchange.json").write_text(changed)
    try:
        done = told.run(
            "\n".join(SECTIONS[section]).replace("npm ci", "test -d node_modules || npm ci")
        )
    finally:
        (told.directory / "exchange.json").write_text(original)
    assert done.returncode != 0, what
    assert "verified" not in done.stdout


def test_go_refuses_a_fork(told: Told) -> None:
    """F12: a kept checkpoint that the log's tiles do not lead to is told by Go itself (I5)."""
    ready("Check them with Go")
    kept = told.directory / "old.checkpoint"
    original = kept.read_text()
    lines = original.split("\n")
    keys = told.running.home / "keys"
    head = Checkpoint(origin=lines[0], size=int(lines[1]), root=bytes(range(32)))
    kept.write_text(LogKeys(keys).signer(lines[0]).sign(head))
    try:
        done = told.run(tools_of("Check them with Go"))
    finally:
        kept.write_text(original)
    assert done.returncode != 0
    assert "INVALID" in done.stderr
    assert "verified" not in done.stdout
