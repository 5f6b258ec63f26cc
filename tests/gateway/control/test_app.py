"""Tests of the control listener's application as a whole."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator

import httpx2
import uvicorn
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from gateway.access import Permission
from gateway.control.guard import Require, anybody
from tests.control_listener import Control, UnavailableLog

PUBLIC_PATHS = {"/livez", "/readyz", "/metrics", "/problems", "/problems/{code}"}


def routes_of(routes: Iterable[BaseRoute]) -> Iterator[APIRoute]:
    """Yield every route of the application, and of the routers that it includes."""
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from routes_of(included.routes)


def permission_of(route: APIRoute) -> Permission:
    """Return the permission that a route's one guard asks for."""
    calls = {dependency.call for dependency in route.dependant.dependencies}
    (guard,) = {call for call in calls if isinstance(call, Require) or call is anybody}
    return guard.permission if isinstance(guard, Require) else Permission.PUBLIC


def test_every_route_names_its_permission(control: Control) -> None:
    """Each route has exactly one guard, and only the public paths let everybody in."""
    routes = routes_of(control.app(UnavailableLog()).routes)
    permissions = {route.path: permission_of(route) for route in routes}

    assert permissions == {
        **dict.fromkeys(PUBLIC_PATHS, Permission.PUBLIC),
        "/agreements": Permission.READ_AGREEMENTS,
        "/agreements/{agreement_id}": Permission.READ_AGREEMENTS,
        "/exports": Permission.READ_EXCHANGES,
        "/exchanges": Permission.READ_EXCHANGES,
        "/exchanges/search": Permission.READ_EXCHANGES,
        "/exchanges/{exchange_id}": Permission.READ_EXCHANGES,
        "/audit/v1": Permission.PUBLIC,
        "/audit/v1/exchanges/{exchange_id}/proof": Permission.READ_ENTRIES,
        "/audit/v1/exchanges/{exchange_id}/receipt": Permission.READ_ENTRIES,
        "/audit/v1/receipt-keys": Permission.PUBLIC,
        "/audit/v1/receipt-keys/announced": Permission.PUBLIC,
        "/audit/v1/{shard}/checkpoint": Permission.PUBLIC,
        "/audit/v1/{shard}/tile/{level}/{index:path}": Permission.PUBLIC,
        "/audit/v1/{shard}/tile/entries/{index:path}": Permission.READ_ENTRIES,
    }


def test_the_description_names_every_route_of_the_api(control: Control) -> None:
    """OpenAPI 3.1, without the framework's own validation error."""
    (answer,) = control.get("/openapi.json", secret=None)
    description = answer.json()

    assert description["openapi"].startswith("3.1")
    assert "/api/v1/exchanges/{exchange_id}" in description["paths"]
    assert "/audit/v1/{shard}/checkpoint" in description["paths"]
    assert "HTTPValidationError" not in answer.text


def test_pages_that_load_from_elsewhere_are_off(control: Control) -> None:
    """The framework's documentation pages load scripts from a CDN."""
    assert {answer.status_code for answer in control.get("/docs", "/redoc")} == {404}


def test_the_frameworks_own_telemetry_is_off(control: Control) -> None:
    """Its spans would hold paths and queries."""
    assert not control.app(UnavailableLog())._native_telemetry.enabled()


def test_it_serves_under_uvicorn(control: Control) -> None:
    """A real server on a real socket answers like the application itself."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(control.app(UnavailableLog()), lifespan="on", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        port = listener.getsockname()[1]
        with httpx2.Client(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client:
            assert client.get("/livez").text == "ok\n"
            assert client.get("/api/v1/agreements").status_code == 401
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
