"""What a request names: its values, the people among them, and what of it is the service's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.exchange.facts import Exchange
from gateway.exchange.messages import Target


def request_subjects(exchange: Exchange) -> frozenset[str]:
    """Return the identifiers of the people whom the request itself names."""
    field = exchange.decision.duties.subject_field
    if field is None:
        return _NOBODY
    return frozenset(value for name, value in request_values(exchange) if name == field)


_NOBODY: Final[frozenset[str]] = frozenset()


def request_values(exchange: Exchange) -> Iterator[tuple[str, str]]:
    """Yield every named value of the request: path parameters, query parameters, body rows."""
    query = exchange.query
    if exchange.decision.route is not None:
        for name, value in zip(exchange.decision.route.split("/")[1:], query.path, strict=False):
            if name.startswith("{"):
                yield name[1:-1], value
    yield from query.parameters
    for row in query.rows or ():
        for name, cell in row.items():
            if isinstance(cell, str):
                yield name, cell


def without_fields(target: Target) -> bytes:
    """Return the target without the gateway's own ``_fields``; every other byte is as it came."""
    if not target.parameters:
        return target.raw
    path, _, query = target.raw.partition(b"?")
    if all(name != "_fields" for name, _ in target.parameters):
        return target.raw
    pairs = query.split(b"&")
    kept = [
        pair for pair, (name, _) in zip(pairs, target.parameters, strict=True) if name != "_fields"
    ]
    return path + b"?" + b"&".join(kept) if kept else path
