"""The audit records of an exchange: what section 5b of the evidence asks, in the log's sections."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway import __version__
from gateway.audit.entry import Kind, Record
from gateway.audit.store import Position
from gateway.clock import monotonic_us, new_uuid7, system_time_us
from gateway.exchange.facts import Ending, Exchange
from policies.decision import PUBLIC, Outcome, ReasonCode, Verdict

SUBJECTS_RECORDED_MAX: Final = 10_000
"""Person identifiers kept in one record; an answer about more people says so in its count."""
FIELDS_RECORDED_MAX: Final = 200
"""Field names kept of each kind in one record."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ALERTING_REASONS: Final = frozenset({ReasonCode.SMALL_NUMBERS_WITHHELD})
"""Reasons for withholding an answer that somebody must look at."""

Section = Mapping[str, object]


def intent(exchange: Exchange, *, instance: str) -> Record:
    """Return the record that must be durable before any byte goes upstream (invariant I1)."""
    return _decided(Kind.INTENT, exchange, instance, {})


def denial(exchange: Exchange, *, instance: str, problem: str, status: int) -> Record:
    """Return the record that must be durable before a refusal is answered."""
    return _decided(Kind.DENY, exchange, instance, {"problem": problem, "status": status})


def outcome(exchange: Exchange, ending: Ending, position: Position, *, instance: str) -> Record:
    """Return the record that must be durable before the whole answer is out (invariant I2)."""
    core: dict[str, object] = {
        "intent": position.index,
        "intent_leaf": _base64url(position.leaf_hash),
        "status": ending.status,
        "reason": ending.reason.value,
        "problem": ending.problem,
        "origin": ending.origin,
        "service_status": ending.service_status,
        "records": ending.records,
        "records_dropped": ending.records_dropped,
        "subjects": ending.subjects_counted,
        "redacted_subjects": ending.redacted_subjects,
        "fields_sent": list(ending.fields_sent[:FIELDS_RECORDED_MAX]),
        "fields_withheld": list(ending.fields_withheld[:FIELDS_RECORDED_MAX]),
        "fields_never": list(ending.leaked[:FIELDS_RECORDED_MAX]),
        "bytes": len(ending.body),
        "duration_us": monotonic_us() - exchange.began_us,
        "gateway": instance,
    }
    if ending.reason in _ALERTING_REASONS or ending.leaked:
        core["alert"] = True
    sections: dict[str, Section] = {"core": _known(core)}
    if ending.body:
        sections["payload"] = {"response_digest": _digest(ending.body)}
    if ending.subjects:
        kept = sorted(ending.subjects)[:SUBJECTS_RECORDED_MAX]
        sections["subject"] = {"type": _subject_type(exchange), "ids": kept}
    return Record(
        record_id=new_uuid7(),
        kind=Kind.OUTCOME,
        exchange=exchange.id,
        at_us=system_time_us(),
        sections=sections,
    )


def request_subjects(exchange: Exchange) -> frozenset[str]:
    """Return the identifiers of the people whom the request itself names."""
    field = exchange.decision.duties.subject_field
    if field is None:
        return frozenset()
    return frozenset(value for name, value in request_values(exchange) if name == field)


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


def _decided(kind: Kind, exchange: Exchange, instance: str, more: Section) -> Record:
    sections: dict[str, Section] = {
        "core": _known({**_core(exchange, instance), **more}),
        "net": _known({"source": exchange.request.source}),
    }
    actor = _actor(exchange)
    if actor:
        sections["actor"] = actor
    subject = _subject(exchange)
    if subject:
        sections["subject"] = subject
    payload = _payload(exchange)
    if payload:
        sections["payload"] = payload
    return Record(
        record_id=new_uuid7(),
        kind=kind,
        exchange=exchange.id,
        at_us=exchange.started_us if kind is Kind.INTENT else system_time_us(),
        sections=sections,
    )


def _core(exchange: Exchange, instance: str) -> dict[str, object]:
    decision, query, service = exchange.decision, exchange.query, exchange.service
    rule = exchange.policy.rule(decision.rule) if exchange.policy and decision.rule else None
    agreement = decision.agreement
    urgent = decision.break_glass
    return {
        "decision": decision.verdict.value,
        "reason": decision.reason.value,
        "failed": [c.reason.value for c in decision.checks if c.outcome is not Outcome.PASSED],
        "agreement": agreement and agreement.id,
        "agreement_version": agreement and agreement.version,
        "agreement_digest": agreement and agreement.digest,
        "rule": decision.rule,
        "action": decision.action,
        "purpose": query.purpose or decision.purpose,
        "instrument": decision.instrument,
        "consumer": query.caller.organisation,
        "provider": service and service.facts.owner,
        "service": service and service.facts.connector,
        "dataset": rule and rule.dataset,
        "data_classes": sorted(rule.data_classes) if rule else None,
        "method": query.method,
        "route": decision.route,
        "filters": sorted({name for name, _ in query.parameters})[:FIELDS_RECORDED_MAX],
        "fields_requested": list(query.fields[:FIELDS_RECORDED_MAX]) if query.fields else None,
        "alert": decision.alert,
        "subject_view": "hidden" if decision.duties.hide_from_subject else "visible",
        "notify": list(urgent.notify) if urgent else None,
        "review_due": _microseconds(urgent.review_due) if urgent else None,
        "break_glass": decision.verdict is Verdict.PERMIT_BREAK_GLASS or None,
        "gateway": instance,
        "software": __version__,
        "decided_at": _microseconds(exchange.at),
        "trace_id": exchange.trace_id,
    }


def _actor(exchange: Exchange) -> Section:
    """Who asked; a public caller is nobody."""
    authenticated = exchange.authenticated
    if authenticated is None:
        return {}
    claims = authenticated.claims
    return _known(
        {
            "client": claims.client_id,
            "issuer": claims.issuer,
            "subject": claims.subject,
            "roles": sorted(claims.roles),
            "acr": claims.acr,
            "token_id_digest": _digest(claims.token_id.encode()),
            "bound": authenticated.bound,
            "on_behalf_of": claims.on_behalf_of,
        }
    )


def _subject(exchange: Exchange) -> Section:
    if exchange.query.caller.organisation == PUBLIC:
        return {}
    ids = sorted(request_subjects(exchange))[:SUBJECTS_RECORDED_MAX]
    return {"type": _subject_type(exchange), "ids": ids} if ids else {}


def _payload(exchange: Exchange) -> Section:
    query, said = exchange.query, exchange.query.break_glass
    return _known(
        {
            "request_digest": _digest(exchange.body) if exchange.body else None,
            "request_bytes": len(exchange.body) or None,
            "rows": len(query.rows) if query.rows is not None else None,
            "context": dict(query.context) or None,
            "break_glass": (
                {"reason": said.reason, "justification": said.justification} if said else None
            ),
        }
    )


def _subject_type(exchange: Exchange) -> str:
    field = exchange.decision.duties.subject_field or "record"
    if exchange.service is None:
        return field
    return exchange.service.facts.identifiers.get(field, field)


def _known(section: Mapping[str, object]) -> Section:
    return {name: value for name, value in section.items() if value is not None and value != []}


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _digest(content: bytes) -> str:
    """SHA-256 as a structured-field byte sequence (RFC 9530, section 2)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
