"""Spans, metrics and logs name nobody, whatever is asked and whatever goes wrong."""

from __future__ import annotations

import base64
import json
import multiprocessing
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Final
from urllib.parse import urlsplit

import pytest

from gateway.cli.home import create_home
from gateway.clock import monotonic_s
from gateway.demo.packs import BUILT_IN, Pack, read_pack
from gateway.demo.play import Stage, play
from gateway.demo.world import open_world
from gateway.presence import Role, who_runs
from tests.end_to_end.emitted import (
    Collector,
    TracedChannel,
    call_values,
    collecting,
    data_values,
    files_of,
    found_in,
)
from tests.running import free_port

PATIENCE_S: Final = 30.0
STRANGER: Final = ("9990004567", "Quillfeather", "ZZ98 7QF", "MASH-26-99999")
"""What a caller who is no caller of the pack asks for."""


@dataclass(frozen=True)
class Played:
    """A pack that was played with every ear open."""

    pack: Pack
    channel: TracedChannel
    collector: Collector
    metrics: bytes
    health: bytes
    run_files: bytes
    printed: str


@contextmanager
def opened(directory: Path, pack: Pack, otlp: str) -> Iterator[tuple[Stage, TracedChannel]]:
    """Open the demo's world with a collector of spans, and a channel that traces every call."""
    data_port, control_port = free_port(), free_port()
    made = create_home(
        directory / "home",
        organisation=str(next(iter(pack.configuration.services.values()))["owner"]),
        public_base_url=f"http://127.0.0.1:{data_port}",
        data_listen=f"127.0.0.1:{data_port}",
        control_listen=f"127.0.0.1:{control_port}",
        workers="2",
        otlp_endpoint=otlp,
    )
    with open_world(pack, made.settings, made.operator_secret) as stage:
        channel = TracedChannel(stage.gateway_url)
        with channel:
            channel.secrets.add(stage.operator_secret)
            yield replace(stage, channel=channel), channel


def ask_as_strangers(gateway_url: str) -> None:
    """Send what nobody should: malformed heads, forged tokens, made-up paths, all with names."""
    number, name, postcode, case = STRANGER
    place = urlsplit(gateway_url)
    forged = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in (
            {"alg": "ES256", "typ": "at+jwt", "kid": name},
            {"iss": f"https://{name}.example", "sub": number, "jti": case},
            {"signature": postcode},
        )
    )
    query = f"nhs_number={number}&name={name}&postcode={postcode.replace(' ', '+')}"
    host = f"Host: {place.netloc}\r\n"
    for request in (
        f"GET /spl/v1/people?{query} HTTP/1.1\r\n{host}Authorization: Bearer {forged}\r\n\r\n",
        f"GET /spl/v1/people?{query} HTTP/1.1\r\n{host}Authorization: Bearer {name}\r\n\r\n",
        f"GET /{name}/{number}?{query} HTTP/1.1\r\n{host}\r\n",
        f"GET /a?{query} HTTP/1.1\r\n{host}Content-Length: {name}\r\n\r\n",
        f"GET /a/../{name} HTTP/1.1\r\n{host}\r\n",
        f"{name} /a HTTP/1.1\r\n{host}\r\n",
        f"GET /{name * 9_000} HTTP/1.1\r\n{host}\r\n",
        f"GET /a HTTP/1.1\r\nHost: {name}\r\nHost: {number}\r\n\r\n",
        f"POST /a?{query} HTTP/1.1\r\n{host}Content-Length: {len(name)}\r\n\r\n{name}",
        f"POST /a HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n{name}\r\n",
    ):
        with socket.create_connection((place.hostname, place.port), PATIENCE_S) as connection:
            connection.settimeout(PATIENCE_S)
            connection.sendall(request.encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 ")


def end_departments() -> None:
    """End the departments, as an outage would; the gateway's calls fail from now on."""
    (departments,) = (
        child for child in multiprocessing.active_children() if child.name == "demo-departments"
    )
    departments.kill()
    departments.join(PATIENCE_S)


def kill_a_worker(home: Path) -> None:
    """Kill one worker, so that the supervisor has something to tell."""
    pid = next(process.pid for process in who_runs(home / "run") if process.role is Role.WORKER)
    os.kill(pid, signal.SIGKILL)


def printed_until(word: str, capture: pytest.CaptureFixture[str]) -> str:
    """Return what the processes have printed, once `word` is among it."""
    said, deadline_s, pause = "", monotonic_s() + PATIENCE_S, Event()
    while word not in said:
        assert monotonic_s() < deadline_s, said
        pause.wait(0.1)
        said += "".join(capture.readouterr())
    return said


def play_all(directory: Path, capture: pytest.CaptureFixture[str]) -> Played:
    """Play the pack, then everything that can go wrong, and return what was emitted."""
    pack = read_pack(BUILT_IN)
    with collecting() as collector:
        with opened(directory, pack, collector.url) as (stage, channel):
            results = play(pack, stage)
            assert results.passed
            ask_as_strangers(stage.gateway_url)
            end_departments()
            play(pack, stage)
            kill_a_worker(directory / "home")
            printed = printed_until("worker.restarted", capture)
            metrics = channel.send("GET", f"{stage.control_url}/metrics").body
            health = channel.send("GET", f"{stage.control_url}/readyz").body
        run_files = files_of(directory / "home" / "run")
        printed += "".join(capture.readouterr())
    return Played(pack, channel, collector, metrics, health, run_files, printed)


def test_nothing_emitted_names_anybody(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No identifier, name, token, proof, query value or case is in spans, metrics or logs."""
    played = play_all(tmp_path, capfd)
    spans = b"".join(played.collector.received)
    markers = {*data_values(played.pack), *call_values(played.pack), *STRANGER}
    markers |= played.channel.secrets

    # The ears were open, and the markers are what they should be.
    assert b"/safeguarding/v1/children/{nhs_number}/contacts" in spans
    assert b'concordat_service_failures_total{failure="unreachable"}' in played.metrics
    assert "worker.died" in played.printed
    assert {"9992000015", "Okonkwo", "ZZ98 1AA", "MASH-26-04411", "exampleshire-mash"} <= markers
    assert len(markers) > 300
    for emitted in (
        spans,
        played.metrics,
        played.health,
        played.run_files,
        played.printed.encode(),
    ):
        assert found_in(emitted, markers) == set()

    # Nor does a refusal tell its caller what it did not say itself.
    refused = [one for one in played.channel.heard if one.status >= 400]
    held = data_values(played.pack)
    assert len(refused) > 30
    for one in refused:
        assert {value for value in found_in(one.answer, held) if value not in one.asked} == set()
