"""The application behind the control listener: API, monitoring and the pages of problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, FastAPI

from gateway import __version__
from gateway.audit.search.access import AccessLog, LogReader
from gateway.control.agreements import agreements_router
from gateway.control.bodies import BoundedBodies
from gateway.control.exchanges import exchanges_router
from gateway.control.exports import exports_router
from gateway.control.failures import answer_with_problems
from gateway.control.headers import SecurityHeaders
from gateway.control.health import Readiness, health_router
from gateway.control.pages import pages_router
from gateway.control.proofs import proofs_router
from gateway.control.public_log import PublicLog
from gateway.control.published import published_router
from gateway.problems import MEDIA_TYPE
from gateway.registry.store import Registry

API_PREFIX: Final = "/api/v1"

_PROBLEM_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {
        "description": text,
        "content": {MEDIA_TYPE: {"schema": {"type": "object"}}},
    }
    for status, text in (
        ("4XX", "The request cannot be answered as it is (RFC 9457)."),
        ("5XX", "The gateway cannot answer now (RFC 9457)."),
    )
}


def create_control(
    *,
    registry: Registry,
    reader: LogReader,
    log: AccessLog,
    readiness: Callable[[], Readiness],
    metrics: Callable[[], bytes],
) -> FastAPI:
    """Return the control listener's application.

    `readiness` and `metrics` are called in a thread at each request for them.
    """
    app = FastAPI(
        title="Concordat",
        summary="Administration of a federated data-exchange gateway.",
        version=__version__,
        # The default pages load scripts from a CDN (ecosystem.md, finding 10).
        docs_url=None,
        redoc_url=None,
        # The default spans hold paths and queries in full (ecosystem.md, finding 2).
        telemetry={
            "auto_configure": False,
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
        },
        redirect_slashes=False,
    )
    answer_with_problems(app)
    app.add_middleware(BoundedBodies)
    app.add_middleware(SecurityHeaders)
    app.include_router(health_router(readiness, metrics))
    app.include_router(pages_router())
    public = PublicLog(reader.directory)
    app.include_router(proofs_router(reader, log, registry, public), responses=_PROBLEM_RESPONSES)
    app.include_router(published_router(public, log, registry), responses=_PROBLEM_RESPONSES)
    api = APIRouter(prefix=API_PREFIX, responses=_PROBLEM_RESPONSES)
    api.include_router(agreements_router(registry))
    api.include_router(exchanges_router(reader, log, registry))
    api.include_router(exports_router(reader, log, registry))
    app.include_router(api)
    return app
