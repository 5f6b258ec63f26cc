"""The audit records of an exchange: what section 5b of the evidence asks, in the log's sections."""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Final

from gateway import __version__
from gateway.audit.entry import SECTION_BYTES_MAX, Kind, Record
from gateway.audit.seal import SharedSection
from gateway.audit.store import Position
from gateway.clock import monotonic_us, new_uuid7, system_time_us
from gateway.exchange.asked import request_subjects
from gateway.exchange.derived import Derived
from gateway.exchange.duties.named_people import (
    SUBJECT_BYTES_RECORDED_MAX,
    as_many_as_fit,
    name_people,
)
from gateway.exchange.facts import Ending, Exchange, Flow
from gateway.exchange.grounds import grounds
from gateway.exchange.held import microseconds, subject_kind
from gateway.exchange.messages import Request
from gateway.identity.caller import Claims
from policies.decision import PUBLIC, Decision, Outcome, ReasonCode, Verdict

assert SUBJECT_BYTES_RECORDED_MAX < SECTION_BYTES_MAX  # noqa: S101 - or no such record could be written
FIELDS_RECORDED_MAX: Final = 200
"""Field names kept of each kind in one record."""
CONSTANTS_REMEMBERED_MAX: Final = 64
"""Constant parts of `core` kept for one decision, each for one caller and service."""
SOURCES_REMEMBERED_MAX: Final = 1_024
"""Source addresses whose section is kept."""

_CALLERS_NAMES: Final = {b"x-request-id": "request_id", b"x-correlation-id": "correlation_id"}
"""Fields in which callers name their call; the front has checked their form."""

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")

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
        "reason": str(ending.reason),
        "records": ending.records,
        "records_dropped": ending.records_dropped,
        "subjects": ending.subjects_counted,
        "redacted_subjects": ending.redacted_subjects,
        "bytes": len(ending.body),
        "duration_us": monotonic_us() - exchange.began_us,
        "gateway": instance,
    }
    if ending.problem is not None:
        core["problem"] = ending.problem
    if ending.origin is not None:
        core["origin"] = ending.origin
    if ending.service_status is not None:
        core["service_status"] = ending.service_status
    if ending.fields_sent:
        core["fields_sent"] = list(ending.fields_sent[:FIELDS_RECORDED_MAX])
    if ending.fields_withheld:
        core["fields_withheld"] = list(ending.fields_withheld[:FIELDS_RECORDED_MAX])
    if ending.leaked:
        core["fields_never"] = list(ending.leaked[:FIELDS_RECORDED_MAX])
    if ending.leaked or ending.reason is ReasonCode.SMALL_NUMBERS_WITHHELD:
        # Somebody must look at a source that serves what it should not.
        core["alert"] = True
    sections: dict[str, Section] = {"core": core}
    if ending.body:
        sections["payload"] = _released(ending)
    if ending.subjects or ending.named:
        named = ending.named or name_people(ending.subjects)
        people = _people(exchange, named.ids)
        sections["subject"] = {**people, "root": _base64url(named.root)}
    if ending.flow is not None:
        core.update(_passed(ending.flow))
        digests = _digests(ending.flow)
        if digests:
            sections["payload"] = {**sections.get("payload", {}), **digests}
    return Record(
        record_id=new_uuid7(),
        kind=Kind.OUTCOME,
        exchange=exchange.id,
        at_us=system_time_us(),
        sections=sections,
    )


def progress(exchange: Exchange, flow: Flow, position: Position, *, instance: str) -> Record:
    """Return the record of what had passed at the end of a window of a long exchange."""
    core: dict[str, object] = {
        "intent": position.index,
        "duration_us": monotonic_us() - exchange.began_us,
        "gateway": instance,
    }
    return Record(
        record_id=new_uuid7(),
        kind=Kind.PROGRESS,
        exchange=exchange.id,
        at_us=system_time_us(),
        sections={"core": {**core, **_passed(flow)}},
    )


def _passed(flow: Flow) -> Section:
    return _known(
        {"bytes": flow.answer_bytes, "request_bytes": flow.request_bytes, "cut": flow.cut}
    )


def _digests(flow: Flow) -> Section:
    return _known({"response_digest": flow.answer_digest, "request_digest": flow.request_digest})


def _released(ending: Ending) -> Section:
    as_of = next((value for name, value in ending.headers if name == b"data-as-of"), None)
    released: dict[str, object] = {"response_digest": _digest(ending.body)}
    if as_of is not None:
        released["data_as_of"] = as_of.decode("latin-1")
    return released


def _decided(kind: Kind, exchange: Exchange, instance: str, more: Section) -> Record:
    core = {**_constant(exchange, instance), **more}
    core["decided_at"] = decided_us = microseconds(exchange.at)
    core["trace_id"] = exchange.trace_id
    body_sha256 = hashlib.sha256(exchange.body).digest() if exchange.body else b""
    query = exchange.query
    if query.parameters or query.fields:
        core.update(_names_asked(exchange))
    net = _network(exchange.request)
    inputs_digest = _inputs_digest(exchange, decided_us, body_sha256)
    sections: dict[str, Section] = {"core": core, "net": net}
    if exchange.authenticated is None:
        # Without a token's digest in it, what was asked could be guessed: so it is sealed.
        sections["net"] = {**net, "inputs_digest": inputs_digest}
    else:
        core["inputs_digest"] = inputs_digest
        actors = _BOUND_ACTORS if exchange.authenticated.bound else _ACTORS
        sections["actor"] = actors.of(exchange.authenticated.claims)
    subject = _subject(exchange)
    if subject:
        sections["subject"] = subject
    payload = _payload(exchange, body_sha256)
    if payload:
        sections["payload"] = payload
    return Record(
        record_id=new_uuid7(),
        kind=kind,
        exchange=exchange.id,
        at_us=exchange.started_us if kind is Kind.INTENT else system_time_us(),
        sections=sections,
    )


def _inputs_digest(exchange: Exchange, decided_us: int, body_sha256: bytes) -> str:
    """Return the SHA-256 of all that the decision was made from.

    Those are the decision time in microseconds, the configuration's revision, method and target as
    sent, a line each; then the SHA-256 of the token and of the body, zeros where there is none; and
    what was held from before the call, where that counted. Whoever has not the token cannot guess
    from it who was asked about.
    """
    query, authenticated = exchange.query, exchange.authenticated
    held = ""
    if query.break_glass is not None:
        urgent = query.break_glass
        held = f"{urgent.started_at} {urgent.subjects_so_far} {urgent.suspended}"
    if query.decision_form is not None:
        held = f"{held} {query.decision_form_used}"
    inputs = b"%d\n%d\n%b\n%b\n%b%b%b" % (
        decided_us,
        exchange.snapshot.revision,
        query.method.encode(),
        exchange.request.target.raw,
        authenticated.claims.token_hash if authenticated else _NO_SHA256,
        body_sha256 or _NO_SHA256,
        held.encode(),
    )
    return f"sha256:{hashlib.sha256(inputs).hexdigest()}"


_NO_SHA256: Final = bytes(32)


def _names_asked(exchange: Exchange) -> Section:
    """Return the fields and filters that the request names, as far as the agreement knows them.

    Anything else comes from outside, and could be a person's name: it is counted, never kept.
    """
    query, policy = exchange.query, exchange.policy
    rule = policy.rule(exchange.decision.rule) if policy and exchange.decision.rule else None
    known = rule.parameters | rule.duties.declared if rule else frozenset()
    filters = {name for name, _ in query.parameters}
    fields = set(query.fields or ())
    strange = len(filters - known) + len(fields - known)
    return {
        "filters": sorted(filters & known)[:FIELDS_RECORDED_MAX],
        "fields_requested": sorted(fields & known)[:FIELDS_RECORDED_MAX],
        **({"names_unknown": strange} if strange else {}),
    }


def _constant(exchange: Exchange, instance: str) -> Section:
    """Return the part of `core` that all exchanges of one permit have in common."""
    query, facts = exchange.query, exchange.service and exchange.service.facts
    key = (
        query.caller.organisation,
        query.purpose,
        query.method,
        facts and facts.owner,
        facts and facts.connector,
        instance,
        exchange.snapshot.revision,
    )
    known = _CONSTANTS.of(exchange.decision)
    found = known.get(key)
    if found is None:
        if len(known) >= CONSTANTS_REMEMBERED_MAX:
            known.clear()
        found = known[key] = _known(_core(exchange, instance))
    return found


def _core(exchange: Exchange, instance: str) -> dict[str, object]:
    decision, query, service = exchange.decision, exchange.query, exchange.service
    rule = exchange.policy.rule(decision.rule) if exchange.policy and decision.rule else None
    agreement = decision.agreement
    urgent = decision.break_glass
    denied = not decision.permitted
    return {
        **grounds(exchange),
        "decision": str(decision.verdict),
        # A body that cannot be read is no refusal of the closed list: its problem tells.
        "reason": None if denied and decision.reason is ReasonCode.OK else str(decision.reason),
        "failed": [str(c.reason) for c in decision.checks if c.outcome is not Outcome.PASSED],
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
        "alert": decision.alert,
        "subject_view": "hidden" if decision.duties.hide_from_subject else "visible",
        "notify": list(urgent.notify) if urgent else None,
        "review_due": microseconds(urgent.review_due) if urgent else None,
        "break_glass": decision.verdict is Verdict.PERMIT_BREAK_GLASS or None,
        "grant": exchange.grant.holder.hex() if exchange.grant else None,
        "grant_ends": microseconds(urgent.expires_at) if urgent else None,
        "gateway": instance,
        "software": __version__,
    }


@lru_cache(maxsize=SOURCES_REMEMBERED_MAX)
def _net(source: str) -> Section:
    return SharedSection({"source": source})


def _network(request: Request) -> Section:
    """Where the call came from, and the names that the caller has for it."""
    found = _net(request.source)
    for name, value in request.headers:
        if name in _CALLERS_NAMES:
            found = {**found, _CALLERS_NAMES[name]: value.decode("latin-1")}
    return found


def _actor(claims: Claims, *, bound: bool) -> Section:
    """Who asked, and whether possession was proved."""
    return SharedSection(
        _known(
            {
                "client": claims.client_id,
                "issuer": claims.issuer,
                "subject": claims.subject,
                "roles": sorted(claims.roles),
                "acr": claims.acr,
                "token_id_digest": _digest(claims.token_id.encode()),
                "key_thumbprint": claims.confirmation_jkt,
                "certificate_thumbprint": claims.confirmation_x5t,
                "bound": bound,
                "on_behalf_of": claims.on_behalf_of,
            }
        )
    )


def _subject(exchange: Exchange) -> Section:
    if exchange.decision.duties.subject_field is None:
        return {}
    if exchange.query.caller.organisation == PUBLIC:
        return {}
    people = request_subjects(exchange)
    return _people(exchange, as_many_as_fit(sorted(people))) if people else {}


def _people(exchange: Exchange, identifiers: Sequence[str]) -> Section:
    """Name people in a sealed section."""
    return {"type": _subject_type(exchange), "ids": list(identifiers)}


def _payload(exchange: Exchange, body_sha256: bytes) -> Section:
    query, said = exchange.query, exchange.query.break_glass
    if not exchange.body and query.rows is None and not query.context and said is None:
        return {}
    return _known(
        {
            "request_digest": digest_text(body_sha256) if body_sha256 else None,
            "request_bytes": len(exchange.body) or None,
            "rows": len(query.rows) if query.rows is not None else None,
            "context": dict(query.context) or None,
            "break_glass": (
                {"reason": said.reason, "justification": said.justification} if said else None
            ),
        }
    )


def _subject_type(exchange: Exchange) -> str:
    return subject_kind(exchange.service, exchange.decision.duties.subject_field)


def _known(section: Mapping[str, object]) -> Section:
    return {name: value for name, value in section.items() if value is not None and value != []}


def _digest(content: bytes) -> str:
    return digest_text(hashlib.sha256(content).digest())


def digest_text(sha256: bytes) -> str:
    """Return a SHA-256 as a structured-field byte sequence (RFC 9530, section 2)."""
    return f"sha-256=:{_base64(sha256)}:"


def _base64(content: bytes) -> str:
    return b2a_base64(content, newline=False).decode()


def _base64url(content: bytes) -> str:
    return b2a_base64(content, newline=False).rstrip(b"=").translate(_URL_SAFE).decode()


_CONSTANTS: Final[Derived[Decision, dict[Hashable, Section]]] = Derived(lambda _: {})
_ACTORS: Final[Derived[Claims, Section]] = Derived(partial(_actor, bound=False))
_BOUND_ACTORS: Final[Derived[Claims, Section]] = Derived(partial(_actor, bound=True))
