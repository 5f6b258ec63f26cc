"""`make bench`: CPU microseconds per exchange of the gateway, beside nginx's bare proxy.

One run starts nginx (as the service, as the issuer's key server, and as a bare proxy) and the
gateway, all on loopback, and alternates short loads over both. CPU time of processes is read from
/proc; rates of a shared machine are noise, ratios are not. An exchange is what the worker does,
both records and their commits included. What the control process does meanwhile, which is mostly to
keep the search index up with the log, is a row of its own, and the last row is everything. Needs
nginx and wrk. Loads are bounded: rounds x seconds each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.running import FIELDS, ISSUER, ITEM, free_port, running_gateway, write_configuration
from tests.tokens import SigningKey, key_set, make_key

AGREEMENTS: Final = 1_000
CONNECTIONS: Final = 32
LOAD_CORE: Final = "1"
SERVER_CORE: Final = 0
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
SETTLE_S: Final = 1.5
"""Time after a load for the index to come up with the log; it looks once a second."""
NGINX: Final = "nginx plain"
WORKER: Final = "concordat exchange"
CONTROL: Final = "  index and control"
WHOLE: Final = "concordat, everything"


class _Target(NamedTuple):
    """An address to load, and the processes whose CPU time is counted, by the rows shown."""

    url: str
    headers: tuple[str, ...]
    pids: dict[str, list[int]]


def main() -> int:
    """Run the benchmark and print one table; exit 2 where nginx or wrk are missing."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seconds", type=int, default=3, help="length of one load")
    arguments.add_argument("--rounds", type=int, default=3, help="alternated loads of each")
    arguments.add_argument("--json", action="store_true", help="figures as JSON")
    options = arguments.parse_args()
    missing = [name for name in ("nginx", "wrk") if shutil.which(name) is None]
    if missing:
        print(f"make bench needs {' and '.join(missing)}: apt-get install nginx-light wrk")
        return 2
    with ExitStack() as stack:
        directory = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="concordat-bench-"))
        )
        directory.chmod(0o755)  # nginx's worker reads the files as another user
        figures = _measure(directory, stack, options.seconds, options.rounds)
    if options.json:
        print(json.dumps(figures))
    else:
        _print_table(figures)
    return 0


def _measure(
    directory: Path, stack: ExitStack, seconds: int, rounds: int
) -> dict[str, dict[str, float]]:
    ports = {name: free_port() for name in ("service", "issuer", "proxy")}
    key = make_key("ES256")
    _write_nginx(directory, ports, key)
    nginx = stack.enter_context(_nginx(directory, ports))
    configuration = directory / "configuration"
    write_configuration(
        configuration,
        service_url=f"http://127.0.0.1:{ports['service']}",
        metadata_url=f"http://127.0.0.1:{ports['issuer']}/metadata.json",
        agreements=AGREEMENTS,
    )
    gateway = stack.enter_context(
        running_gateway(directory / "home", configuration, port=free_port(), core=SERVER_CORE)
    )
    control = [pid for pid in gateway.pids if pid not in gateway.workers]
    targets = [
        _Target(f"http://127.0.0.1:{ports['proxy']}{ITEM}", (), {NGINX: nginx}),
        _Target(
            gateway.base_url + ITEM,
            (f"Authorization: Bearer {gateway.token(key)}",),
            {WORKER: gateway.workers, CONTROL: control, WHOLE: gateway.pids},
        ),
    ]
    runs: dict[str, list[dict[str, float]]] = {
        name: [] for target in targets for name in target.pids
    }
    for target in targets:
        _load(target.url, target.headers, 1)  # warm caches and connections
    for _ in range(rounds):
        for target in targets:
            before = {name: _cpu_s(pids) for name, pids in target.pids.items()}
            run = _load(target.url, target.headers, seconds)
            time.sleep(SETTLE_S)
            for name, pids in target.pids.items():
                cpu_us = (_cpu_s(pids) - before[name]) / max(1, run["requests"]) * 1_000_000
                runs[name].append({**run, "cpu_us": cpu_us})
    return {
        name: {
            "cpu_us": statistics.median(run["cpu_us"] for run in several),
            "cpu_us_min": min(run["cpu_us"] for run in several),
            "cpu_us_max": max(run["cpu_us"] for run in several),
            "per_second": statistics.median(run["per_second"] for run in several),
            "p50_ms": statistics.median(run["p50_ms"] for run in several),
            "p99_ms": statistics.median(run["p99_ms"] for run in several),
            "failed": sum(run["failed"] for run in several),
        }
        for name, several in runs.items()
    }


def _load(url: str, headers: tuple[str, ...], seconds: int) -> dict[str, float]:
    """Load one address with wrk for a bounded time and return its figures."""
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t", "1", "-c", str(CONNECTIONS)]
    command += ["-d", f"{seconds}s", "--latency", "--timeout", "10s"]
    for header in headers:
        command += ["-H", header]
    said = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    requests = re.search(r"(\d+) requests in", said)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    errors = re.search(r"Socket errors: (.*)", said)
    assert requests is not None, said
    assert errors is None, said
    return {
        "requests": float(requests[1]),
        "per_second": float(requests[1]) / seconds,
        "p50_ms": _milliseconds(said, "50%"),
        "p99_ms": _milliseconds(said, "99%"),
        "failed": float(failed[1]) if failed else 0.0,
    }


def _milliseconds(said: str, percentile: str) -> float:
    found = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)", said)
    assert found is not None, said
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def _cpu_s(pids: list[int]) -> float:
    """CPU seconds, user and system, that these processes have used."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_SECOND


def _write_nginx(directory: Path, ports: dict[str, int], key: SigningKey) -> None:
    """Write what nginx serves: one JSON record of about 1 KiB, the issuer's metadata and keys."""
    served = directory / "served"
    item = served / ITEM.removeprefix("/")
    item.parent.mkdir(parents=True)
    item.write_text(json.dumps({"records": [dict.fromkeys(FIELDS, "x" * 40)]}))
    issuer = f"http://127.0.0.1:{ports['issuer']}"
    metadata = {"issuer": ISSUER, "jwks_uri": f"{issuer}/jwks.json"}
    (served / "metadata.json").write_text(json.dumps(metadata))
    (served / "jwks.json").write_text(json.dumps(key_set(key)))
    common = f"root {served}; default_type application/json; keepalive_requests 1000000;"
    (directory / "nginx.conf").write_text(
        f"""daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log stderr error;
        events {{ worker_connections 1024; }}
        http {{ access_log off; client_body_temp_path {directory}/body;
          proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/f;
          uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
          server {{ listen 127.0.0.1:{ports["service"]}; {common} }}
          server {{ listen 127.0.0.1:{ports["issuer"]}; {common} }} }}"""
    )
    (directory / "proxy.conf").write_text(
        f"""daemon off; worker_processes 1; pid {directory}/proxy.pid; error_log stderr error;
        events {{ worker_connections 1024; }}
        http {{ access_log off; client_body_temp_path {directory}/body;
          proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/f;
          uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
          upstream service {{ server 127.0.0.1:{ports["service"]}; keepalive 64; }}
          server {{ listen 127.0.0.1:{ports["proxy"]}; keepalive_requests 1000000;
            location / {{ proxy_pass http://service; proxy_http_version 1.1;
              proxy_set_header Connection ""; }} }} }}"""
    )


@contextmanager
def _nginx(directory: Path, ports: dict[str, int]) -> Iterator[list[int]]:
    """Start nginx as service and issuer, and as the bare proxy; yield the proxy's process ids."""
    with ExitStack() as stack:
        for name, core in (("nginx", LOAD_CORE), ("proxy", str(SERVER_CORE))):
            command = ["taskset", "-c", core, "nginx", "-c", str(directory / f"{name}.conf")]
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.terminate)
        for port in ports.values():
            _await_port(port)
        yield _tree(int((directory / "proxy.pid").read_text()))


def _tree(pid: int) -> list[int]:
    """The process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children)]


def _await_port(port: int) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 0.3).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nothing listens on port {port}")


def _print_table(figures: dict[str, dict[str, float]]) -> None:
    plain = figures[NGINX]["cpu_us"]
    optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    build = "with" if optimised else "without"
    print(f"CPython {platform.python_version()}, built {build} profile-guided optimisation")
    print(f"{'':22} {'CPU us/request':>16} {'ratio':>6} {'per s':>8} {'p50 ms':>7} {'p99 ms':>7}")
    for name, it in figures.items():
        spread = f"{it['cpu_us']:.0f} ({it['cpu_us_min']:.0f}-{it['cpu_us_max']:.0f})"
        print(
            f"{name:22} {spread:>16} {it['cpu_us'] / plain:>6.2f} {it['per_second']:>8.0f} "
            f"{it['p50_ms']:>7.2f} {it['p99_ms']:>7.2f}"
            + (f"  {it['failed']:.0f} answers were no success" if it["failed"] else "")
        )


if __name__ == "__main__":
    sys.exit(main())
