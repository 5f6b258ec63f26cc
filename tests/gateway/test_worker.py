"""A worker process: it starts light, and says why it does not start."""

from __future__ import annotations

import multiprocessing
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from gateway.data_plane import Composition
from gateway.refresh import compile_snapshot
from gateway.worker import run_worker
from tests.homes import apply_pack, make_settings


def test_a_worker_starts_without_the_control_plane() -> None:
    """A worker that has to start again loads neither FastAPI nor Alembic."""
    said = subprocess.run(
        [sys.executable, "-c", "import gateway.worker, sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    loaded = {name.partition(".")[0] for name in said.stdout.split()}
    assert not {"fastapi", "starlette", "alembic", "typer"} & loaded


def test_a_worker_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Whoever started it is sent one sentence."""
    settings = make_settings(tmp_path)
    configuration = apply_pack(settings, "http://127.0.0.1:9")
    snapshot = compile_snapshot(
        configuration,
        organisation=settings.organisation,
        public_base_url=settings.public_base_url,
        revision=1,
        allow_loopback=True,
    )
    settings.audit_directory.write_text("a file where a folder must be")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        composition = Composition(settings=settings, allow_loopback_http=True)
        process = context.Process(target=run_worker, args=(composition, listener, theirs, snapshot))
        process.start()
        assert ours.poll(30)
        assert "exists" in ours.recv().trouble
        process.join(10)

    assert process.exitcode == 1


def test_a_snapshot_that_cannot_be_adopted_leaves_the_last_one_in_force(tmp_path: Path) -> None:
    """The worker says so, and goes on answering under what it had."""
    settings = make_settings(tmp_path)
    configuration = apply_pack(settings, "http://127.0.0.1:9")
    good = compile_snapshot(
        configuration,
        organisation=settings.organisation,
        public_base_url=settings.public_base_url,
        revision=1,
        allow_loopback=True,
    )
    name, service = next(iter(good.services.items()))
    odd = replace(good.services[name], kind="carrier-pigeon")
    bad = replace(good, revision=2, services={**good.services, name: odd})
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        composition = Composition(settings=settings, allow_loopback_http=True)
        process = context.Process(target=run_worker, args=(composition, listener, theirs, good))
        process.start()
        try:
            said = []
            for snapshot in (None, bad, replace(good, revision=3)):
                if snapshot is not None:
                    ours.send(snapshot)
                assert ours.poll(30)
                said.append(ours.recv())
        finally:
            process.terminate()
            process.join(30)

    assert service.kind == "http"
    assert [one.revision for one in said] == [1, None, 3]
    assert "carrier-pigeon" in said[1].trouble
    assert process.exitcode == 0
