"""The data plane of one process: everything that carries out exchanges, opened in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from connectors.base import Connector
from connectors.discovery import open_connector
from connectors.guard import GuardedConnector
from connectors.secrets import SecretStore
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.lifecycle.opened import open_even_frozen
from gateway.audit.log import AuditLog
from gateway.audit.place import LogHome, PostgresHome
from gateway.audit.privacy.retention import Periods
from gateway.audit.reading.reader import find_shards, shard_name
from gateway.audit.store import LogUnavailable
from gateway.clock import DecisionClock, SystemClock, system_time_us
from gateway.database import open_engine
from gateway.exchange.front.rules import FrontSettings, read_host
from gateway.exchange.front.via import pseudonym_of
from gateway.exchange.limits import RateLimiter
from gateway.exchange.messages import Request, Response
from gateway.exchange.pipeline import Ports
from gateway.exchange.reception import serve
from gateway.exchange.refused import RefusedTraffic
from gateway.exchange.snapshot import Service, Snapshot
from gateway.identity.authenticate import Authenticator
from gateway.open_files import connections_max
from gateway.refresh import StopListReader
from gateway.registry.store import Registry
from gateway.settings import Settings
from gateway.targets import States, write_states
from gateway.telemetry import (
    AUDIT_BATCHES,
    AUDIT_RECORDS,
    Counters,
    Telemetry,
    otlp_exporter,
)
from policies.times import Duration

RETIRE_GRACE_S: Final = 2.0
"""Time for what was decided before a change to call its service: until its intent is durable."""
RETIRE_WATCH_S: Final = 0.1
"""How often a connector that is no longer used is looked at: whether its last call has ended."""
LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
"""What a caller on the same host may call a listener that nobody else can reach."""
HOUSEKEEPING_S: Final = 1.0
"""How often a worker publishes its figures and closes counts of refused traffic that are due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """What a process is built from; it can be handed to another process.

    `clock` is the decision time, which only the demo and tests replace, as they do `new_rates`,
    which makes a worker's rates; `allow_loopback_http` lets issuers and services without TLS be
    used on loopback, for the demo and tests alone.
    """

    settings: Settings
    clock: DecisionClock = field(default_factory=SystemClock)
    new_rates: Callable[[], RateLimiter] = RateLimiter
    allow_loopback_http: bool = False


@dataclass(slots=True)
class _Opened:
    """A connector that is open for a service, and what closes it."""

    service: Service
    connector: GuardedConnector
    closing: AsyncExitStack


class DataPlane:
    """All that a worker needs to carry out exchanges; its Snapshot is swapped whole."""

    def __init__(
        self,
        ports: Ports,
        connectors: dict[str, Connector],
        *,
        loopback: bool,
        secrets: SecretStore,
    ) -> None:
        """Use `open_data_plane`."""
        self.counters = ports.telemetry.counters
        self._ports = ports
        self._connectors = connectors
        self._loopback = loopback
        self._secrets = secrets
        self._opened: dict[str, _Opened] = {}
        self._snapshot: Snapshot | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    async def handle(self, request: Request) -> Response:
        """Carry out one exchange against the Snapshot of this instant."""
        return await serve(request, self._in_force, self._ports)

    def _in_force(self) -> Snapshot:
        assert self._snapshot is not None, "adopt comes first"  # noqa: S101 - programmer's error
        return self._snapshot

    async def adopt(self, snapshot: Snapshot) -> None:
        """Use `snapshot` from the next exchange on; calls under way keep their connectors.

        Raises whatever keeps a connector from opening; then nothing has changed.
        """
        opened: dict[str, _Opened] = {}
        try:
            for name, service in snapshot.services.items():
                if name not in self._opened or not _alike(self._opened[name].service, service):
                    opened[name] = await self._open(service)
        except BaseException:
            for one in opened.values():
                await one.closing.aclose()
            raise
        retired = [
            self._opened.pop(name)
            for name in list(self._opened)
            if name in opened or name not in snapshot.services
        ]
        self._opened.update(opened)
        # A service that is gone keeps its name here: a decision taken a moment ago may still ask
        # for it, and is answered with a failure of the service where it comes too late.
        self._connectors.update({name: it.connector for name, it in opened.items()})
        self._snapshot = snapshot
        self.counters.revision_adopted(snapshot.revision)
        for connector in retired:
            task = asyncio.get_running_loop().create_task(_retire(connector))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    def states(self) -> States:
        """Return what this process sees of the services' targets."""
        return {name: opened.connector.targets() for name, opened in self._opened.items()}

    @property
    def failure(self) -> LogUnavailable | None:
        """Why this process can carry out no exchange any more, until it is started again."""
        return self._ports.log.failure

    async def close(self) -> None:
        """Close every connector; no exchange may be under way."""
        for task in list(self._retiring):
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        for opened in self._opened.values():
            await opened.closing.aclose()

    async def _open(self, service: Service) -> _Opened:
        closing = AsyncExitStack()
        settings = replace(service.reach, allow_loopback=self._loopback, secrets=self._secrets)
        connector = await closing.enter_async_context(open_connector(service.kind, settings))
        return _Opened(service=service, connector=connector, closing=closing)


def _alike(one: Service, other: Service) -> bool:
    """Tell whether a connector that is open for `one` serves `other`, whatever its facts are."""
    return (one.kind, one.reach) == (other.kind, other.reach)


def not_adopted(snapshot: Snapshot, failure: Exception) -> str:
    """Return the sentence that says why a Snapshot did not come into force."""
    return f"Revision {snapshot.revision} is not in force: {type(failure).__name__}: {failure}."


async def _retire(opened: _Opened) -> None:
    """Close a connector once every call that could still use it has ended, however long it is."""
    try:
        await asyncio.sleep(RETIRE_GRACE_S)
        while opened.connector.calls_open > 0:  # noqa: ASYNC110 - the hot path tells nobody
            await asyncio.sleep(RETIRE_WATCH_S)
    finally:
        await opened.closing.aclose()


@asynccontextmanager
async def open_data_plane(
    composition: Composition, snapshot: Snapshot, *, instance: str
) -> AsyncIterator[DataPlane]:
    """Open everything that a worker needs, and close it in the opposite order.

    Raises:
        LogUnavailable: the audit log cannot be opened, so nothing may be exchanged.
    """
    settings = composition.settings
    async with AsyncExitStack() as stack:
        counters = Counters.open(settings.run_directory, instance)
        exporter = otlp_exporter(settings.otlp_endpoint) if settings.otlp_endpoint else None
        telemetry = Telemetry(counters, exporter)
        stack.callback(telemetry.close)
        engine = open_engine(settings.database_url, create=False)
        stack.callback(engine.dispose)
        stops = StopListReader(
            Registry(engine),
            on_read=lambda: counters.stop_list_read(int(stops.current.read_at_s * 1_000_000)),
            on_effect=counters.stop_took_effect,
        )
        await asyncio.to_thread(stops.start)
        stack.callback(stops.stop)
        log = open_audit_log(settings, instance=instance)
        await log.start()
        stack.push_async_callback(log.stop)
        refused = RefusedTraffic(log)
        stack.push_async_callback(refused.close)
        connectors: dict[str, Connector] = {}
        ports = Ports(
            authenticator=Authenticator(allow_loopback_http=composition.allow_loopback_http),
            log=log,
            clock=composition.clock,
            connectors=connectors,
            stop_list=lambda: stops.current,
            rates=composition.new_rates(),
            refused=refused,
            telemetry=telemetry,
            instance=instance,
        )
        plane = DataPlane(
            ports,
            connectors,
            loopback=composition.allow_loopback_http,
            secrets=settings.secret_store(),
        )
        stack.push_async_callback(plane.close)
        await plane.adopt(snapshot)
        async with _housekeeping(ports, plane, settings.run_directory):
            yield plane


def front_settings(settings: Settings) -> FrontSettings:
    """Return what the data listener's front has to know of this gateway and of this process."""
    return FrontSettings(
        hosts=_hosts(settings),
        pseudonym=pseudonym_of(settings.public_base_url),
        connections_max=connections_max(),
    )


def _hosts(settings: Settings) -> frozenset[str]:
    """Return the names that the data listener answers for (RFC 9110, section 7.4).

    The public one is good for any port, since a proxy may have its own; and a listener with an
    address of its own is called by that. Whoever is on this host may say so in any way.
    """
    name = (urlsplit(settings.public_base_url).hostname or "").rstrip(".")
    listed = [one.strip() for one in (settings.data_hosts or "").split(",")]
    address = ip_address(settings.data_listen.rpartition(":")[0].strip("[]"))
    own = () if address.is_unspecified else LOOPBACK_HOSTS if address.is_loopback else (address,)
    hosts = [f"[{one}]" if ":" in str(one) else str(one) for one in (name, *own)]
    return frozenset(filter(None, (read_host(one.encode()) for one in (*hosts, *listed))))


def open_audit_log(settings: Settings, *, instance: str) -> AuditLog:
    """Open this host's audit log for appending; `start` it in the event loop that uses it.

    One that contradicts a head that was signed earlier refuses everything with LogFrozen.

    Raises:
        LogUnavailable: it cannot be opened.
    """
    keys = LogKeys(settings.keys_directory)
    origin, home = log_origin(settings), log_home(settings)
    return open_even_frozen(home, origin=origin, instance=instance, keys=keys)


def log_home(settings: Settings) -> LogHome:
    """Return where the shards of the audit log are."""
    if settings.audit_url is None:
        return settings.audit_directory
    return PostgresHome(settings.audit_url.get_secret_value(), settings.audit_directory)


def log_origin(settings: Settings) -> str:
    """Return the log's shard, ``<host>/audit/<year>``: the newest there is, or this year's.

    Raises:
        LogUnavailable: PostgreSQL cannot be asked for the shards.
    """
    shards = find_shards(log_home(settings))
    if shards:
        name = shard_name(shards[-1])
    else:
        name = str(datetime.fromtimestamp(system_time_us() / 1_000_000, UTC).year)
    return shard_origin(settings, name)


def log_host(settings: Settings) -> str:
    """Return what the origins of the log's shards begin with."""
    return urlsplit(settings.public_base_url).netloc


def shard_origin(settings: Settings, name: str) -> str:
    """Return the origin of the shard of this name."""
    return f"{log_host(settings)}/audit/{name}"


def periods_of(settings: Settings) -> Periods:
    """Return how long this gateway's settings have personal sections kept."""
    return Periods(
        net=Duration.parse(settings.keep_net_for), records=Duration.parse(settings.keep_records_for)
    )


@asynccontextmanager
async def _housekeeping(ports: Ports, plane: DataPlane, run_directory: Path) -> AsyncIterator[None]:
    """Do a worker's small periodic tasks for as long as it runs."""

    async def beat() -> None:
        # By itself: whatever holds the house up, only a loop that stands still misses a beat.
        while True:
            ports.telemetry.counters.beat()
            await asyncio.sleep(HOUSEKEEPING_S)

    async def keep_house() -> None:
        figures, counted_records, counted_commits = ports.log.figures, 0, 0
        told: States | None = None
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            ports.refused.tick()
            counters = ports.telemetry.counters
            counters.add(AUDIT_RECORDS, figures.records - counted_records)
            counters.add(AUDIT_BATCHES, figures.commits - counted_commits)
            counted_records, counted_commits = figures.records, figures.commits
            states = plane.states()
            if states != told:
                with suppress(OSError):  # a full disk is told by the audit log
                    await asyncio.to_thread(write_states, run_directory, ports.instance, states)
                    told = states

    async with running(keep_house()), running(beat()):
        yield


@asynccontextmanager
async def running(
    work: Coroutine[Any, Any, None], ended: Callable[[asyncio.Task[None]], object] | None = None
) -> AsyncIterator[None]:
    """Run `work` beside the block, and end it with the block; `ended` hears of its end.

    Without `ended`, a line says so if it ended by a fault of ours: nothing else would.
    """
    task = asyncio.get_running_loop().create_task(work)
    name = getattr(work, "__name__", "task")
    task.add_done_callback(ended or partial(ended_by_fault, name))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def ended_by_fault(part: str, task: asyncio.Task[None]) -> bool:
    """Tell whether background work has ended by a fault of ours, and write a line if so."""
    failure = None if task.cancelled() else task.exception()
    if failure is None:
        return False
    # Imported where it is needed: a worker starts without the logger.
    from gateway.logs import Event, event

    event(Event.TASK_ENDED, role=part, failure=type(failure).__name__)
    return True
