"""Whether the gateway lives and is ready, and what it has counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool

from gateway.control.guard import anybody
from gateway.telemetry import METRICS_MEDIA_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Why the gateway cannot do its work now, in sentences for its operator; none if it can.

    `warnings` tell what will keep it from its work unless somebody acts.
    """

    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether exchanges can be carried out."""
        return not self.reasons


class Troubles:
    """What is wrong now, one sentence for each part of the gateway that is not well.

    Parts report from any thread; a part that is well again takes its sentence back.
    """

    def __init__(self) -> None:
        """Begin with everything well."""
        self._sentences: dict[str, str] = {}
        self._warnings: dict[str, str] = {}

    def report(self, part: str, sentence: str | None) -> None:
        """Say what is wrong with `part`, or None that it is well."""
        if sentence is None:
            self._sentences.pop(part, None)
        else:
            self._sentences[part] = sentence

    def warn(self, part: str, sentence: str | None) -> None:
        """Say what will go wrong with `part` unless somebody acts, or None that nothing will."""
        if sentence is None:
            self._warnings.pop(part, None)
        else:
            self._warnings[part] = sentence

    def knows(self, part: str) -> bool:
        """Whether something is wrong with `part` already."""
        return part in self._sentences

    def readiness(self) -> Readiness:
        """Return all of it, for `/readyz`."""
        return Readiness(
            reasons=tuple(self._sentences.values()), warnings=tuple(self._warnings.values())
        )


def health_router(readiness: Callable[[], Readiness], metrics: Callable[[], bytes]) -> APIRouter:
    """Return the routes that monitoring asks; none of them tells whom the data is about."""
    router = APIRouter(tags=["health"], dependencies=[Depends(anybody)])

    @router.get("/livez", response_class=PlainTextResponse)
    async def livez() -> str:
        """Tell that the control process answers at all."""
        return "ok\n"

    @router.get("/readyz", responses={503: {"description": "Not ready; the reasons are given."}})
    async def readyz() -> JSONResponse:
        """Tell whether exchanges can be carried out, and if not, why."""
        found = await run_in_threadpool(readiness)
        content = {"ready": found.ready, "reasons": list(found.reasons)}
        if found.warnings:
            content["warnings"] = list(found.warnings)
        return JSONResponse(content, status_code=200 if found.ready else 503)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def render() -> Response:
        """Return the counters of all processes in Prometheus' text format."""
        return Response(await run_in_threadpool(metrics), media_type=METRICS_MEDIA_TYPE)

    return router
