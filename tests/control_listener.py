"""The control listener for tests: a real registry, a real log, and calls by ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from fastapi import FastAPI

from gateway.audit.entry import Record
from gateway.audit.keys.log_keys import LogKeys
from gateway.audit.lifecycle.opened import open_log
from gateway.audit.search.access import AccessLog, LogReader
from gateway.audit.store import LogUnavailable, Position
from gateway.control.app import create_control
from gateway.control.health import Readiness
from gateway.registry.store import Registry

ORIGIN = "gateway.example/audit/2026"


class UnavailableLog:
    """An audit log that can record nothing."""

    async def append(self, record: Record) -> Position:
        """Refuse."""
        raise LogUnavailable("the disk is full")


@dataclass(kw_only=True)
class Control:
    """The control listener of one test, and what is behind it.

    `written` are records that the log gets before the next calls; with `log_fails` readings of it
    cannot be recorded.
    """

    directory: Path
    registry: Registry
    keys: LogKeys
    secret: str
    metrics: Callable[[], bytes]
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    written: list[Record] = field(default_factory=list)
    log_fails: bool = False

    def app(self, log: AccessLog) -> FastAPI:
        """Return the application, which records readings in `log`."""
        return create_control(
            registry=self.registry,
            reader=LogReader(directory=self.directory / "audit", keys=self.keys),
            log=log,
            readiness=lambda: Readiness(reasons=tuple(self.reasons), warnings=tuple(self.warnings)),
            metrics=self.metrics,
        )

    def get(self, *paths: str, secret: str | None = "") -> list[httpx2.Response]:
        """Ask for paths in order; with the secret unless another, or None, is given."""
        return asyncio.run(self._get(paths, self.secret if secret == "" else secret))

    def post(self, path: str, body: Mapping[str, object]) -> httpx2.Response:
        """Send a body to a path, with the secret."""
        (answer,) = asyncio.run(self._get([path], self.secret, body))
        return answer

    async def _get(
        self,
        paths: Iterable[str],
        secret: str | None,
        body: Mapping[str, object] | None = None,
    ) -> list[httpx2.Response]:
        headers = {"authorization": f"Bearer {secret}"} if secret is not None else {}
        log = open_log(self.directory / "audit", origin=ORIGIN, instance="test", keys=self.keys)
        await log.start()
        try:
            for record in self.written:
                await log.append(record)
            self.written.clear()
            app = self.app(UnavailableLog() if self.log_fails else log)
            transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(
                transport=transport, base_url="http://control", headers=headers
            ) as client:
                if body is not None:
                    return [await client.post(path, json=body) for path in paths]
                return [await client.get(path) for path in paths]
        finally:
            await log.stop()
