"""A call that an operator describes, as a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from gateway.demo.evaluate import FIELDS_PARAMETER
from gateway.demo.packs import segments_of
from policies.decision import PUBLIC, Caller, Query


def describe(
    organisation: str,
    *,
    client: str | None,
    user: str | None,
    roles: Sequence[str],
    acr: str | None,
    bound: bool,
    purpose: str | None,
    method: str,
    path: str,
    parameters: tuple[tuple[str, str], ...],
    context: Mapping[str, str],
    at: datetime,
) -> Query:
    """Return the query of a call as it is described, its token taken to hold."""
    public = organisation == PUBLIC
    narrowed = [value for name, value in parameters if name == FIELDS_PARAMETER]
    return Query(
        at=at,
        caller=Caller(
            organisation=organisation,
            client=None if public else client,
            subject=user,
            roles=frozenset(roles),
            acr=acr,
            issuer_speaks_for=frozenset() if public else frozenset({organisation}),
            sender_constrained=bound and not public,
        ),
        method=method,
        path=segments_of(path),
        purpose=None if public else purpose,
        parameters=tuple(pair for pair in parameters if pair[0] != FIELDS_PARAMETER),
        fields=tuple(",".join(narrowed).split(",")) if narrowed else None,
        context=context,
    )
