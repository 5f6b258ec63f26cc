"""Calls as queries: those of a pack, and those that an operator describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from gateway.cli.output import Stop
from gateway.demo.coverage import not_yet
from gateway.demo.evaluate import FIELDS_PARAMETER
from gateway.demo.evaluate import query_of as plain_query_of
from gateway.demo.packs import Pack, segments_of
from gateway.demo.scenario import ScenarioCall
from policies.decision import PUBLIC, BreakGlassRequest, Caller, Query

_DECISION_FORMS: Final = "recorded decision forms"


def query_of(call: ScenarioCall, pack: Pack) -> Query:
    """Return the query of a pack's call, with the urgent grant that it invokes.

    Raises Stop where it turns on a recorded decision, which is not read from packs yet.
    """
    if not_yet(call, pack) == _DECISION_FORMS:
        raise Stop(f"{call.id} needs {_DECISION_FORMS}, which this version does not read")
    query = plain_query_of(call, pack)
    said = call.token.break_glass
    if said is None:
        return query
    urgent = BreakGlassRequest(
        reason=said.reason,
        justification=said.justification,
        started_at=said.started_at,
        subjects_so_far=said.subjects_so_far,
    )
    return replace(query, break_glass=urgent)


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
