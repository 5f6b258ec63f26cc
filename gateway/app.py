"""The control plane, and one application for everything: the composition of all other parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from fastapi import FastAPI

from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.lifecycle.minding import Minder
from gateway.audit.lifecycle.sweep import Sweeper
from gateway.audit.log import AuditLog
from gateway.audit.privacy.retention import Expirer
from gateway.audit.publishing.integrate import Integrator
from gateway.audit.publishing.proofs import find_announcement
from gateway.audit.receipts import announcement
from gateway.audit.search.access import LogReader
from gateway.audit.search.follow import Follower
from gateway.audit.store import LogFrozen, LogUnavailable
from gateway.clock import new_uuid7
from gateway.control.app import create_control
from gateway.control.health import Readiness, Troubles
from gateway.control.log_figures import log_metrics
from gateway.data_plane import (
    Composition,
    DataPlane,
    ended_by_fault,
    front_settings,
    log_home,
    log_origin,
    not_adopted,
    open_audit_log,
    open_data_plane,
    periods_of,
    running,
)
from gateway.database import open_engine
from gateway.exchange.front.asgi import FrontApp
from gateway.exchange.snapshot import Snapshot
from gateway.files import keep_private
from gateway.forwarding import forwarding, forwarding_metrics
from gateway.logs import Event, event
from gateway.refresh import SnapshotKeeper, compile_snapshot
from gateway.registry.compiled import AgreementCompiler
from gateway.registry.retention import agreements_on_hold
from gateway.registry.store import Registry, RegistryUnavailable
from gateway.reviews import ReviewWatch
from gateway.settings import Settings, load_settings
from gateway.telemetry import FRONT_REFUSALS, clear_metrics, render_metrics

_FAILED: Final = {
    "integrator": Event.INTEGRATOR_FAILED,
    "sweeper": Event.SWEEPER_FAILED,
}

REFRESH_S: Final = 1.0
"""How often one application for everything looks for a new configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """What the control process holds: the application, and the keeper of the Snapshot."""

    app: FastAPI
    keeper: SnapshotKeeper
    troubles: Troubles
    log: AuditLog

    @property
    def failure(self) -> LogUnavailable | None:
        """Why this process must be started anew: its log's store has failed, which it cannot mend.

        A frozen log is no such reason: a fresh start would change nothing.
        """
        failure = self.log.failure
        return None if isinstance(failure, LogFrozen) else failure

    @property
    def snapshot(self) -> Snapshot:
        """Return the Snapshot in force; there is one from the start on."""
        assert self.keeper.current is not None  # noqa: S101 - opening compiled one or raised
        return self.keeper.current

    def refresh(self) -> bool:
        """Compile a new configuration, if there is one; tell whether the Snapshot has changed.

        A registry that does not answer changes nothing: the workers refuse by their stop-lists.
        """
        refused = self.keeper.refused
        try:
            changed = self.keeper.refresh()
        except RegistryUnavailable as failure:
            if not self.troubles.knows("registry"):
                event(Event.REGISTRY_UNAVAILABLE, failure=str(failure))
            self.troubles.report("registry", "The registry does not answer.")
            return False
        self.troubles.report("registry", None)
        if changed:
            event(Event.CONFIGURATION_ADOPTED, revision=self.snapshot.revision)
        elif self.keeper.refused is not None and self.keeper.refused is not refused:
            event(Event.CONFIGURATION_REFUSED, faults=len(self.keeper.refused.faults))
        return changed


@asynccontextmanager
async def open_control_plane(composition: Composition) -> AsyncIterator[ControlPlane]:
    """Open everything that the control process needs: registry, Snapshot, log, application.

    Raises:
        LogUnavailable: the audit log cannot be opened.
        RegistryUnavailable: the registry cannot be read, or is not of this version's schema.
        DatabaseUnsuitable: the settings name none that could be used.
        SnapshotRefused: the configuration cannot be enforced.
    """
    settings = composition.settings
    async with AsyncExitStack() as stack:
        clear_metrics(settings.run_directory)
        engine = open_engine(settings.database_url, create=False)
        stack.callback(engine.dispose)
        registry, compiler = Registry(engine), AgreementCompiler()
        keeper = SnapshotKeeper(
            registry,
            lambda configuration, revision: compile_snapshot(
                configuration,
                organisation=settings.organisation,
                public_base_url=settings.public_base_url,
                revision=revision,
                allow_loopback=composition.allow_loopback_http,
                compiler=compiler,
            ),
        )
        await asyncio.to_thread(keeper.refresh)
        if keeper.refused is not None:
            raise keeper.refused
        log = open_audit_log(settings, instance="control")
        await log.start()
        stack.push_async_callback(log.stop)
        await _announce_receipt_key(log)
        troubles = Troubles()
        expirer = Expirer(
            log,
            LogKeys(settings.keys_directory),
            periods_of(settings),
            agreements_on_hold=lambda: _on_hold(registry),
        )
        await stack.enter_async_context(_keeping_the_log(settings, log, troubles, expirer))
        forwarders = await stack.enter_async_context(forwarding(settings, log, troubles.warn))
        watch = ReviewWatch(log_home(settings), log, LogKeys(settings.keys_directory), registry)
        reviewing = watch.run(partial(_tell_reviews, troubles, _reporter(Event.REVIEWS_FAILED)))
        await stack.enter_async_context(running(reviewing))
        yield ControlPlane(
            keeper=keeper,
            troubles=troubles,
            log=log,
            app=create_control(
                registry=registry,
                reader=LogReader(
                    directory=log_home(settings), keys=LogKeys(settings.keys_directory)
                ),
                log=log,
                readiness=lambda: _readiness(log, keeper, troubles),
                metrics=lambda: b"".join(
                    (
                        render_metrics(settings.run_directory),
                        log_metrics(log),
                        forwarding_metrics(forwarders),
                    )
                ),
            ),
        )


def create_app(composition: Composition | None = None) -> FastAPI:
    """Return one application with everything on one port, for tests and for small bodies.

    The control listener's own paths go before the services'. Run it under one process of any ASGI
    server (``uvicorn --factory gateway.app:create_app``); the settings are those of
    `concordat serve`, which keeps data and control apart and sees framing that an ASGI server has
    already lost (`FrontApp`).
    """

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        keep_private()
        chosen = composition or Composition(settings=load_settings())
        async with open_control_plane(chosen) as control:
            instance = f"app-{new_uuid7().hex()[-12:]}"
            async with open_data_plane(chosen, control.snapshot, instance=instance) as data:
                front = FrontApp(
                    data.handle,
                    front_settings(chosen.settings),
                    lambda code: data.counters.add(FRONT_REFUSALS[code]),
                )
                control.app.mount("/", front)
                app.mount("/", control.app)
                async with _taking_up_changes(control, data):
                    yield

    return FastAPI(lifespan=opened, openapi_url=None, docs_url=None, redoc_url=None)


@asynccontextmanager
async def _taking_up_changes(control: ControlPlane, data: DataPlane) -> AsyncIterator[None]:
    """Hand every new Snapshot from the one plane to the other, in one process."""

    async def hand_over() -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            if not await asyncio.to_thread(control.refresh):
                continue
            try:
                await data.adopt(control.snapshot)
                control.troubles.report("snapshot", None)
            except Exception as failure:  # noqa: BLE001 - the last good Snapshot stays
                control.troubles.report("snapshot", not_adopted(control.snapshot, failure))

    async with running(hand_over(), partial(tell_of_end, "hand-over", control.troubles)):
        yield


async def _announce_receipt_key(log: AuditLog) -> None:
    """Have the log announce its receipt key, if it was begun before it had this one.

    Raises:
        LogUnavailable: that cannot be told or recorded.
    """
    known = await asyncio.to_thread(find_announcement, log.path, log.receipts.public_text)
    if known is None:
        await log.append(announcement(log.receipts))


def _on_hold(registry: Registry) -> frozenset[str]:
    try:
        return agreements_on_hold(registry)
    except RegistryUnavailable as failure:  # nothing may expire that could be on hold
        raise LogUnavailable(f"it cannot be told what is on hold: {failure}") from failure


def _readiness(log: AuditLog, keeper: SnapshotKeeper, troubles: Troubles) -> Readiness:
    failure, refused = log.failure, keeper.refused
    troubles.report("log", f"The audit log takes no records: {failure}." if failure else None)
    room = f"{log.room.free_bytes >> 20} MiB are free on the audit log's disk"
    full = f"Nothing is exchanged: {room}." if log.room.refuses else None
    troubles.report("disk", full)
    troubles.warn("disk", f"Only {room}." if log.room.scarce and full is None else None)
    troubles.report(
        "configuration",
        f"The newest configuration is not in force: {refused.faults[0]}" if refused else None,
    )
    return troubles.readiness()


def _tell_reviews(
    troubles: Troubles,
    report: Callable[[LogUnavailable | None], None],
    suspended: int,
    failure: LogUnavailable | None,
) -> None:
    report(failure)
    if failure is None:
        sentence = f"Urgent access is suspended for {suspended} users: its use was not reviewed."
        troubles.warn("reviews", sentence if suspended else None)


def _reporter(failed: Event) -> Callable[[LogUnavailable | None], None]:
    """Return what tells of work that exchanges do not need: the gateway stays ready without it.

    Every search tells the index's watermark, and what is due is erased as soon as that can be.
    """
    behind = False

    def report(failure: LogUnavailable | None) -> None:
        nonlocal behind
        if failure is not None and not behind:
            event(failed, failure=str(failure))
        behind = failure is not None

    return report


def tell_of_end(part: str, troubles: Troubles, task: asyncio.Task[None]) -> None:
    """Tell that background work has ended by a fault of ours: nothing else would.

    Without the index and without expiry exchanges may go on, as they may while those fail.
    """
    if not ended_by_fault(part, task):
        return
    say = troubles.warn if part in ("follower", "retention") else troubles.report
    say(f"{part} task", f"The {part} has ended unexpectedly: start the gateway anew.")


@asynccontextmanager
async def _keeping_the_log(
    settings: Settings, log: AuditLog, troubles: Troubles, expirer: Expirer
) -> AsyncIterator[None]:
    """Integrate, index, sweep and publish the log, a last time at the end; expire once a day."""

    def report(part: str, failure: LogUnavailable | None) -> None:
        if failure is not None and not troubles.knows(part):
            event(_FAILED[part], failure=str(failure))
        troubles.report(part, f"The {part} cannot do its work: {failure}." if failure else None)

    if isinstance(log.failure, LogFrozen):  # nothing may be written over what it still proves
        yield
        return
    keys = LogKeys(settings.keys_directory)
    integrator = Integrator(log_home(settings), origin=log_origin(settings), keys=keys)
    sweeper, follower = Sweeper(log), Follower(log.path, keys=keys)
    loop = asyncio.get_running_loop()
    stop_sweeping, stop_reading = asyncio.Event(), asyncio.Event()
    sweeping = loop.create_task(sweeper.run(stop_sweeping, partial(report, "sweeper")))
    integrating = loop.create_task(integrator.run(stop_reading, partial(report, "integrator")))
    following = loop.create_task(follower.run(stop_reading, _reporter(Event.FOLLOWER_FAILED)))
    expiring = loop.create_task(expirer.run(stop_sweeping, _reporter(Event.RETENTION_FAILED)))
    tasks = {"sweeper": sweeping, "integrator": integrating, "follower": following}
    for part, task in {**tasks, "retention": expiring}.items():
        task.add_done_callback(partial(tell_of_end, part, troubles))
    try:
        async with running(Minder(log).run(), partial(tell_of_end, "minder", troubles)):
            yield
    finally:
        # In this order, so that head and index cover what the last sweep has closed.
        stop_sweeping.set()
        await asyncio.gather(sweeping, expiring, return_exceptions=True)
        stop_reading.set()
        await asyncio.gather(integrating, following, return_exceptions=True)
        follower.close()
        integrator.close()
        sweeper.close()
