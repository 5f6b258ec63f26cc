"""The first half of an exchange: who asks, for what, and what the agreement says."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from gateway.audit.log import AuditLog
from gateway.clock import DecisionClock, monotonic_us, new_uuid7, system_time_us
from gateway.errors import ProblemCode
from gateway.exchange.answers import ErrorAnswer, refusal
from gateway.exchange.callers import KnownCaller, KnownCallers
from gateway.exchange.facts import Exchange
from gateway.exchange.held import look_up, suspends
from gateway.exchange.messages import Request
from gateway.exchange.request_body import NO_BODY, Body, read_body
from gateway.exchange.routes import Route
from gateway.exchange.snapshot import Service, Snapshot, StopList
from gateway.identity.authenticate import CHALLENGE_MISSING, Authenticator
from gateway.identity.caller import Authenticated, BreakGlassClaim, Unauthenticated
from gateway.problems import code_of
from gateway.telemetry import TraceContext, parse_traceparent
from policies.compile import Policy
from policies.decide import decide, turns_on_body
from policies.decision import PUBLIC, BreakGlassRequest, Caller, Decision, Query, ReasonCode
from policies.hot import hot_value
from policies.select import refuse, select

_PUBLIC_CALLER: Final = Caller(organisation=PUBLIC)


@hot_value(frozen=True, slots=True, kw_only=True)
class Opened:
    """The identity and times of an exchange, fixed when its request passed the front."""

    id: bytes
    at: datetime
    started_us: int
    began_us: int
    trace: TraceContext | None


@hot_value(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """What was found out: the exchange with its decision, and the error if it may not go on."""

    exchange: Exchange
    error: ErrorAnswer | None


def open_exchange(request: Request, clock: DecisionClock) -> Opened:
    """Give an exchange its id and times; it continues the caller's trace, if one came."""
    trace = None
    for name, value in request.headers:
        if name == b"traceparent":
            trace = parse_traceparent(value)
    return Opened(
        id=new_uuid7(),
        at=clock.now(),
        started_us=system_time_us(),
        began_us=monotonic_us(),
        trace=trace,
    )


async def inquire(
    opened: Opened,
    request: Request,
    now: Snapshot,
    stops: StopList,
    authenticator: Authenticator,
    *,
    log: AuditLog,
) -> Inquiry | Unauthenticated:
    """Authenticate, match and decide one request against one snapshot; nothing is called.

    Raises:
        ClientGone: the caller left before its request was whole.
        LogUnavailable: the decision turns on state that cannot be read.
    """
    route = now.routes.match(request.target.segments)
    service = now.services[route.service] if route else None
    who = await _identify(opened, request, now, service, stops=stops, authenticator=authenticator)
    if isinstance(who, Unauthenticated):
        return who

    known = None if who is None else _KNOWN.of(who, now)
    chosen = _choose(request, now, route, known)
    if known is None and isinstance(chosen, ReasonCode):
        return _credentials_missing(served=route is not None)

    query, body = _query(opened.at, request, known), NO_BODY
    if request.has_body:
        asked = isinstance(chosen, Policy) and turns_on_body(chosen, query)
        body = await read_body(request, asked=asked)
        query = replace(query, rows=body.rows)
    policy, grant = None, None
    if isinstance(chosen, ReasonCode):
        decision = refuse(chosen)
    elif known is None:
        policy, decision = chosen, decide(chosen, query, now.law)
    else:
        policy = chosen
        if known.relies_on_state:
            claims = known.authenticated.claims
            query, grant = await look_up(
                query, claims, policy, service, now=now, stops=stops, log=log
            )
        decision = known.decide(policy, query)
    exchange = Exchange(
        id=opened.id,
        at=opened.at,
        started_us=opened.started_us,
        began_us=opened.began_us,
        trace=opened.trace,
        request=request,
        query=query,
        decision=_unless_suspended(decision, policy, service, stops),
        snapshot=now,
        authenticated=who,
        service=service,
        policy=policy,
        body=body.content,
        grant=grant,
        # Whom a file is about is not known, so that no grant for some people can cover it.
        unread=body.media_type in decision.duties.body_media_types and decision.break_glass is None,
    )
    return Inquiry(exchange=exchange, error=_error(exchange, body))


async def turned_away(
    opened: Opened,
    request: Request,
    now: Snapshot,
    stops: StopList,
    authenticator: Authenticator,
) -> Unauthenticated | None:
    """Tell why a request's body need not be waited for: nobody who may call here sends it."""
    route = now.routes.match(request.target.segments)
    service = now.services[route.service] if route else None
    who = await _identify(opened, request, now, service, stops=stops, authenticator=authenticator)
    if who is None and isinstance(_choose(request, now, route, None), ReasonCode):
        return _credentials_missing(served=route is not None)
    return who if isinstance(who, Unauthenticated) else None


def _choose(
    request: Request, now: Snapshot, route: Route | None, known: KnownCaller | None
) -> Policy | ReasonCode:
    """Return the agreement to judge a call by, or why there is none; None asks for the public."""
    if known is not None and known.agreement is not None:
        return known.agreement
    return select(
        now.agreements,
        caller=known.caller if known else _PUBLIC_CALLER,
        agreement=None,
        service=route.service if route else None,
        method=request.method,
        path=request.target.segments,
        purpose=known.authenticated.claims.purpose if known else None,
    )


async def _identify(
    opened: Opened,
    request: Request,
    now: Snapshot,
    service: Service | None,
    *,
    stops: StopList,
    authenticator: Authenticator,
) -> Authenticated | Unauthenticated | None:
    """Tell who is calling; None is nobody in particular. The cached answer needs no waiting."""
    issuers, base_url, at = now.issuers, now.public_base_url, opened.at
    audiences = now.audiences if service is None else service.audiences
    authentication = authenticator.authenticate_cached(
        request, base_url=base_url, issuers=issuers, audiences=audiences, at=at
    )
    if authentication is None:
        authentication = await authenticator.authenticate(
            request, base_url=base_url, issuers=issuers, audiences=audiences, at=at
        )
    if isinstance(authentication, Authenticated):
        return _unless_stopped(authentication, stops)
    return authentication if isinstance(authentication, Unauthenticated) else None


_KNOWN: Final = KnownCallers()


def _query(at: datetime, request: Request, known: KnownCaller | None) -> Query:
    target = request.target
    parameters, fields = fields_apart(target.parameters)
    if known is None:
        return Query(
            at=at,
            caller=_PUBLIC_CALLER,
            method=request.method,
            path=target.segments,
            parameters=parameters,
            fields=fields,
        )
    claims = known.authenticated.claims
    urgent = claims.break_glass
    return Query(
        at=at,
        caller=known.caller,
        method=request.method,
        path=target.segments,
        parameters=parameters,
        fields=fields,
        purpose=claims.purpose,
        context=claims.context,
        on_behalf_of=claims.on_behalf_of,
        break_glass=_urgent(urgent) if urgent else None,
    )


def fields_apart(
    parameters: tuple[tuple[str, str], ...],
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...] | None]:
    """Return the query parameters without ``_fields``, and the names that it asks for, if any."""
    if not parameters or not any(name == "_fields" for name, _ in parameters):
        return parameters, None
    asked = [value for name, value in parameters if name == "_fields"]
    # A second `_fields` stays a parameter, which no rule permits: once each.
    rest = tuple(pair for pair in parameters if pair[0] != "_fields") + tuple(
        ("_fields", value) for value in asked[1:]
    )
    return rest, tuple(asked[0].split(","))


def _urgent(said: BreakGlassClaim) -> BreakGlassRequest:
    """Return the urgent grant that a token invokes, as one that cannot be used.

    How long it has run and whom it has covered is the gateway's to know (`look_up`).
    """
    return BreakGlassRequest(reason=said.reason, justification=said.justification, suspended=True)


def _unless_stopped(
    authenticated: Authenticated, stops: StopList
) -> Authenticated | Unauthenticated:
    """Refuse credentials that somebody has withdrawn since they were issued."""
    if not stops.entries:
        return authenticated
    claims = authenticated.claims
    if ("issuer", claims.issuer) in stops.entries:
        reason, detail = ReasonCode.ISSUER_UNTRUSTED, "The issuer of the token is suspended."
    elif stops.entries & {
        ("client", claims.client_id),
        ("key", claims.key_id),
        ("token", claims.token_id),
    }:
        reason, detail = ReasonCode.TOKEN_INVALID, "The token, its client or its key is revoked."
    else:
        return authenticated
    return Unauthenticated(
        reason=reason,
        problem=code_of(reason),
        status=401,
        detail=detail,
        challenge='Bearer error="invalid_token"',
        unverified_issuer=claims.issuer,
        unverified_key_id=claims.key_id,
    )


def _unless_suspended(
    decision: Decision, policy: Policy | None, service: Service | None, stops: StopList
) -> Decision:
    """Turn a yes into a no where the agreement or the service is on the stop-list."""
    if not stops.entries or not decision.permitted:
        return decision
    if policy and ("agreement", policy.agreement_id) in stops.entries:
        return decision.denied(ReasonCode.AGREEMENT_NOT_ACTIVE)
    if service and ("service", service.facts.connector) in stops.entries:
        return decision.denied(ReasonCode.CONNECTOR_UNAVAILABLE)
    return decision


def stopped(exchange: Exchange, stops: StopList) -> ReasonCode | None:
    """Tell why an exchange under way may not go on: what it rests on has been stopped since."""
    if not stops.entries:
        return None
    if exchange.authenticated is not None:
        credentials = _unless_stopped(exchange.authenticated, stops)
        if isinstance(credentials, Unauthenticated):
            return credentials.reason
    if exchange.grant is not None and suspends(stops, exchange.grant.holder):
        return ReasonCode.BREAK_GLASS_NOT_AVAILABLE
    decision = _unless_suspended(exchange.decision, exchange.policy, exchange.service, stops)
    return None if decision.permitted else decision.reason


def _credentials_missing(*, served: bool) -> Unauthenticated:
    """Refuse a caller without credentials: 401 where a service answers, 404 where none does."""
    return Unauthenticated(
        reason=ReasonCode.TOKEN_MISSING,
        problem=code_of(ReasonCode.TOKEN_MISSING) if served else ProblemCode.NOT_FOUND,
        status=401 if served else 404,
        detail=(
            "This operation needs an access token in the Authorization field."
            if served
            else "No service answers at this path."
        ),
        challenge=CHALLENGE_MISSING if served else "",
    )


def _error(exchange: Exchange, body: Body) -> ErrorAnswer | None:
    decision = exchange.decision
    if not decision.permitted:
        if decision.reason is ReasonCode.AGREEMENT_NOT_FOUND and exchange.service is None:
            return ErrorAnswer(
                code=ProblemCode.NOT_FOUND,
                detail="No service answers at this path.",
                reason=decision.reason,
            )
        return refusal(decision)
    return None if exchange.unread else body.unreadable
