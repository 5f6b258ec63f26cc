"""The processes of a real gateway: they listen, take changes up, and stop in order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from connectors.fetch import Answer, open_client
from connectors.scripted import open_scripted
from gateway.audit.reading.reader import find_log, verify_log
from gateway.database import open_engine
from gateway.presence import GatewayRuns
from gateway.processes import (
    RESTART_PAUSE_S,
    RESTART_PAUSE_S_MAX,
    AddressTaken,
    restart_pause_s,
    run_gateway,
)
from gateway.registry.store import Registry, StopKind
from gateway.settings import Settings, load_settings
from tests.issuing import METADATA_PATH, IssuerServer
from tests.running import (
    AGREEMENT,
    FIELDS,
    ISSUER,
    ITEM,
    PLAY_S_MAX,
    Running,
    free_port,
    running_gateway,
    write_configuration,
)
from tests.tokens import SigningKey, make_key
from tests.world import json_answer

RECORD = {"records": [dict.fromkeys(FIELDS, "x")]}
CALLS_MAX = 20


@asynccontextmanager
async def open_gateway(
    directory: Path, *, workers: int = 1, in_a_circle: bool = False
) -> AsyncIterator[tuple[Running, SigningKey]]:
    """Open an issuer, a service and a real gateway, or one that is its own service."""
    key, port = make_key(), free_port()
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(IssuerServer(key))
        service = await stack.enter_async_context(open_scripted([json_answer(RECORD)] * CALLS_MAX))
        issuer.documents[METADATA_PATH] = {
            "issuer": ISSUER,
            "jwks_uri": f"{issuer.issuer}/jwks.json",
        }
        write_configuration(
            directory / "configuration",
            service_url=f"http://127.0.0.1:{port}" if in_a_circle else service.base_url,
            metadata_url=issuer.issuer + METADATA_PATH,
        )
        # The gateway blocks while it starts and stops; the service must go on answering.
        running = running_gateway(
            directory / "home", directory / "configuration", port=port, workers=workers
        )
        opened = await asyncio.to_thread(running.__enter__)
        stack.push_async_callback(asyncio.to_thread, running.__exit__, None, None, None)
        yield opened, key


async def call(running: Running, key: SigningKey) -> Answer:
    """Make one call over HTTP."""
    async with open_client() as client:
        headers = {"authorization": f"Bearer {running.token(key)}"}
        return await client.request("GET", running.base_url + ITEM, headers)


def test_two_workers_share_listener_and_log(tmp_path: Path) -> None:
    """Calls on many connections are answered, and the log that both workers write verifies."""

    async def play() -> None:
        async with open_gateway(tmp_path, workers=2) as (running, key):
            assert len(running.workers) == 2
            answers = [await call(running, key) for _ in range(6)]
            assert [answer.status for answer in answers] == [200] * 6
            async with open_client() as client:
                ready = await client.request("GET", running.control_url + "/readyz")
                metrics = await client.request("GET", running.control_url + "/metrics")
            assert json.loads(ready.body)["ready"] is True
            assert b'concordat_exchanges_total{decision="permit"} 6.0' in metrics.body
        kept = [*(tmp_path / "home" / "audit").rglob("*"), *(tmp_path / "home" / "run").iterdir()]
        assert [path for path in kept if path.stat().st_mode & 0o077] == []
        report = verify_log(find_log(tmp_path / "home" / "audit"))
        assert report.ok
        assert report.size == 1 + 2 * 6
        assert report.signed_size == 0  # no key was given to this check
        assert report.checkpoints >= 1

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def test_a_request_for_another_host_is_misdirected(tmp_path: Path) -> None:
    """A name that nobody gave this gateway is refused before anything else is asked (HO-04)."""

    async def play() -> None:
        async with open_gateway(tmp_path) as (running, key):
            port = running.base_url.rpartition(":")[2]
            told = []
            for host in ("other.example", f"localhost:{port}", "127.0.0.1"):
                headers = {"authorization": f"Bearer {running.token(key)}", "host": host}
                async with open_client() as client:
                    answer = await client.request("GET", running.base_url + ITEM, headers)
                told.append((answer.status, json.loads(answer.body).get("type")))
            assert told == [(421, "/problems/misdirected"), (200, None), (200, None)]

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def test_a_gateway_whose_service_is_itself_notices(tmp_path: Path) -> None:
    """The call comes back once, and its exchange is the only one (N-12)."""

    async def play() -> None:
        async with open_gateway(tmp_path, in_a_circle=True) as (running, key):
            answer = await call(running, key)
            assert json.loads(answer.body)["type"] == "/problems/service-error"
            async with open_client() as client:
                metrics = await client.request("GET", running.control_url + "/metrics")
            assert b'front_refusals_total{problem="loop-detected"} 1.0' in metrics.body
            assert b'concordat_exchanges_total{decision="permit"} 1.0' in metrics.body

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


@pytest.mark.alone
def test_a_suspended_agreement_stops_within_a_second(tmp_path: Path) -> None:
    """What the registry stops, every worker refuses, without a restart."""

    async def play() -> None:
        async with open_gateway(tmp_path) as (running, key):
            assert (await call(running, key)).status == 200
            settings = load_settings(
                running.home, organisation="ods:R9Z", public_base_url=running.base_url
            )
            engine = open_engine(settings.database_url)
            registry = Registry(engine)
            registry.stop(StopKind.AGREEMENT, AGREEMENT, reason="test", by="tests")
            await asyncio.sleep(1.0)
            stopped = await call(running, key)
            assert json.loads(stopped.body)["reason_code"] == "AGREEMENT_NOT_ACTIVE"

            registry.resume(StopKind.AGREEMENT, AGREEMENT)
            await asyncio.sleep(1.0)
            assert (await call(running, key)).status == 200
            engine.dispose()

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


async def without_control(running: Running) -> Settings:
    """Kill a gateway's control process; return the settings of another start on its home."""
    assert running.process.pid is not None
    os.kill(running.process.pid, signal.SIGKILL)
    await asyncio.to_thread(running.process.join, 10)
    return load_settings(running.home, organisation="ods:R9Z", public_base_url=running.base_url)


def test_workers_outlive_the_control_process(tmp_path: Path) -> None:
    """A dead control process changes nothing for the exchanges; a new start names the workers."""

    async def play() -> None:
        async with open_gateway(tmp_path) as (running, key):
            settings = await without_control(running)
            try:
                assert (await call(running, key)).status == 200
                with pytest.raises(GatewayRuns, match="workers of an earlier gateway") as runs:
                    run_gateway(settings)
                assert runs.value.pids == tuple(running.workers)
            finally:
                for worker in running.workers:
                    os.kill(worker, signal.SIGTERM)

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def test_workers_without_a_control_process_fail_closed(tmp_path: Path) -> None:
    """They read the stop-list themselves: what is stopped is refused, and all when it is gone."""

    async def called_until(running: Running, key: SigningKey, status: int) -> dict[str, object]:
        while True:
            answer = await call(running, key)
            if answer.status == status:
                return dict(json.loads(answer.body))
            await asyncio.sleep(1.0)

    async def play() -> None:
        async with open_gateway(tmp_path) as (running, key):
            settings = await without_control(running)
            try:
                engine = open_engine(settings.database_url)
                registry = Registry(engine)
                registry.stop(StopKind.AGREEMENT, AGREEMENT, reason="test", by="tests")
                stopped = await called_until(running, key, 403)
                assert stopped["reason_code"] == "AGREEMENT_NOT_ACTIVE"
                registry.resume(StopKind.AGREEMENT, AGREEMENT)
                await called_until(running, key, 200)
                engine.dispose()

                path = Path(settings.database_url.rpartition("sqlite:///")[2])
                await asyncio.to_thread(path.rename, path.with_name("moved-away.db"))
                unread = await called_until(running, key, 503)
                assert unread["type"] == "/problems/stop-list-stale"
            finally:
                for worker in running.workers:
                    os.kill(worker, signal.SIGTERM)

    asyncio.run(asyncio.wait_for(play(), PLAY_S_MAX))


def test_a_listener_that_is_taken_is_an_error_at_once(tmp_path: Path) -> None:
    """The start fails as a whole, before anything else is opened."""
    settings = load_settings(
        tmp_path,
        organisation="ods:R9Z",
        public_base_url="http://127.0.0.1:8080",
        data_listen="127.0.0.1:0",
        control_listen="127.0.0.1:0",
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AddressTaken, match="in use by another program"):
            run_gateway(settings.model_copy(update={"data_listen": address}))
    assert not settings.audit_directory.exists()


def test_what_dies_again_and_again_is_started_ever_more_seldom() -> None:
    """The pause doubles up to its bound, however often a worker has died."""
    pauses = [restart_pause_s(deaths) for deaths in range(1, 10)]

    assert pauses[0] == RESTART_PAUSE_S
    assert pauses[1] == 2 * RESTART_PAUSE_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == restart_pause_s(1_000_000) == RESTART_PAUSE_S_MAX
