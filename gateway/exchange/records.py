"""The audit records of an exchange: what section 5b of the evidence asks, in the log's sections."""

from __future__ import annotations

import hashlib
from binascii import b2a_base64, hexlify
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Final, NamedTuple

from gateway.audit.entry import SECTION_BYTES_MAX, Kind, Record
from gateway.audit.seal import SharedSection
from gateway.audit.store import Position
from gateway.audit.written import SectionForm
from gateway.clock import monotonic_us, new_uuid7, system_time_us
from gateway.exchange.asked import request_subjects
from gateway.exchange.derived import Derived
from gateway.exchange.duties.named_people import (
    SUBJECT_BYTES_RECORDED_MAX,
    as_many_as_fit,
    name_people,
)
from gateway.exchange.facts import Ending, Exchange, Flow
from gateway.exchange.grounds import constant_core
from gateway.exchange.held import microseconds, subject_kind
from gateway.exchange.inputs import TARGET, request_kept, target_kept
from gateway.exchange.messages import Request
from gateway.identity.caller import Claims
from policies.decision import PUBLIC, Decision, ReasonCode

assert SUBJECT_BYTES_RECORDED_MAX < SECTION_BYTES_MAX  # noqa: S101 - or no such record could be written
FIELDS_RECORDED_MAX: Final = 200
"""Field names kept of each kind in one record."""
CONSTANTS_REMEMBERED_MAX: Final = 64
"""Constant parts of `core` kept for one decision, each for one caller and service."""
OUTCOME_FORMS_REMEMBERED_MAX: Final = 1_024
"""Kinds of outcome whose constant part is kept: one for each set of fields that answers have."""
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
    alike = (
        instance,
        ending.status,
        ending.reason,
        ending.problem,
        ending.origin,
        ending.service_status,
        ending.fields_sent,
        ending.fields_withheld,
        ending.leaked,
        ending.end_unproved,
    )
    core: Section = _outcome_form(alike).fill(
        len(ending.body),
        monotonic_us() - exchange.began_us,
        position.index,
        _base64url(position.leaf_hash),
        ending.records,
        ending.records_dropped,
        ending.redacted_subjects,
        ending.subjects_counted,
    )
    sections: dict[str, Section] = {"core": core}
    if ending.body:
        sections["payload"] = _released(ending)
    if ending.subjects or ending.named:
        named = ending.named or name_people(ending.subjects)
        people = _people(exchange, named.ids)
        sections["subject"] = {**people, "root": _base64url(named.root).decode()}
    if ending.flow is not None:
        sections["core"] = {**core, **_passed(ending.flow)}
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


_AMOUNTS: Final = (
    "bytes",
    "duration_us",
    "intent",
    "records",
    "records_dropped",
    "redacted_subjects",
    "subjects",
)


_Names = tuple[str, ...]
_Alike = tuple[
    str, int, ReasonCode, str | None, str | None, int | None, _Names, _Names, _Names, bool
]
"""What outcomes have in common that share a form: gateway, status, reason, problem, origin, the
service's status, the fields that were sent, were withheld and may never leave, and whether the end
of the service's answer is unproved."""


@lru_cache(maxsize=OUTCOME_FORMS_REMEMBERED_MAX)
def _outcome_form(alike: _Alike) -> SectionForm:
    """Return `core` of all outcomes that are alike but for their amounts and their intent."""
    gateway, status, reason, problem, origin, service_status, sent, withheld, leaked, end = alike
    # Somebody must look at a source that serves what it should not.
    alert = bool(leaked) or reason is ReasonCode.SMALL_NUMBERS_WITHHELD
    constant = {
        "status": status,
        "reason": str(reason),
        "gateway": gateway,
        "problem": problem,
        "origin": origin,
        "service_status": service_status,
        "fields_sent": list(sent[:FIELDS_RECORDED_MAX]),
        "fields_withheld": list(withheld[:FIELDS_RECORDED_MAX]),
        "fields_never": list(leaked[:FIELDS_RECORDED_MAX]),
        "alert": alert or None,
        "end_unproved": end or None,
    }
    return SectionForm(
        _known(constant),
        numbers=_AMOUNTS,
        texts=("intent_leaf",),
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
    for name, as_of in ending.headers:
        if name == b"data-as-of":
            return {
                "response_digest": _digest(ending.body),
                "data_as_of": as_of.decode("latin-1"),
            }
    return _RELEASED.fill(_digest(ending.body).encode())


_RELEASED: Final = SectionForm({}, numbers=(), texts=("response_digest",))


def _decided(kind: Kind, exchange: Exchange, instance: str, more: Section) -> Record:
    constant, query = _constant(exchange, instance), exchange.query
    decided_us = microseconds(exchange.at)
    body_sha256 = hashlib.sha256(exchange.body).digest() if exchange.body else b""
    inputs_digest = _inputs_digest(exchange, constant.asked, decided_us, body_sha256)
    net = _network(exchange.request)
    sections: dict[str, Section] = {"net": net}
    if query.parameters or query.fields:
        more = {**more, **_names_asked(exchange)}
    if exchange.authenticated is None:
        # Without a token's digest in it, what was asked could be guessed: so it is sealed.
        sections["net"] = {**net, "inputs_digest": inputs_digest.decode()}
    elif not more:
        sections["core"] = constant.form.fill(decided_us, inputs_digest, exchange.trace_id.encode())
    else:
        more = {**more, "inputs_digest": inputs_digest.decode()}
    if "core" not in sections:
        when = {"decided_at": decided_us, "trace_id": exchange.trace_id}
        sections["core"] = {**constant.members, **more, **when}
    if exchange.authenticated is not None:
        actors = _BOUND_ACTORS if exchange.authenticated.bound else _ACTORS
        sections["actor"] = actors.of(exchange.authenticated.claims)
    subject = _subject(exchange)
    if subject:
        sections["subject"] = subject
    payload = request_kept(exchange, digest_text(body_sha256) if body_sha256 else None)
    if payload:
        sections["payload"] = payload
    target = target_kept(exchange)
    if target is not None:
        # With what names the same people, and in no section of its own, which would take time.
        whose = "subject" if subject and not payload else "payload"
        sections[whose] = {**sections.get(whose, {}), TARGET: target}
    return Record(
        record_id=new_uuid7(),
        kind=kind,
        exchange=exchange.id,
        at_us=exchange.started_us if kind is Kind.INTENT else system_time_us(),
        sections=sections,
    )


def _inputs_digest(exchange: Exchange, asked: bytes, decided_us: int, body_sha256: bytes) -> bytes:
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
    inputs = b"%d\n%b%b\n%b%b%b" % (
        decided_us,
        asked,
        exchange.request.target.raw,
        authenticated.claims.token_hash if authenticated else _NO_SHA256,
        body_sha256 or _NO_SHA256,
        held.encode(),
    )
    return b"sha256:" + hexlify(hashlib.sha256(inputs).digest())


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


class _Constant(NamedTuple):
    """The part of `core` that all exchanges of one permit have in common; `form` writes the rest.

    The form is for what was asked without parameters, by somebody with a token. `asked` are the
    lines of their inputs that are the same: the configuration's revision and the method.
    """

    members: Section
    form: SectionForm
    asked: bytes


def _constant(exchange: Exchange, instance: str) -> _Constant:
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
        members = _known(constant_core(exchange, instance))
        texts = ("inputs_digest", "trace_id")
        form = SectionForm(members, numbers=("decided_at",), texts=texts)
        asked = b"%d\n%b\n" % (exchange.snapshot.revision, query.method.encode())
        found = known[key] = _Constant(members, form, asked)
    return found


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
                "agreement": claims.agreement,
                "purpose": claims.purpose,
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


def _subject_type(exchange: Exchange) -> str:
    return subject_kind(exchange.service, exchange.decision.duties.subject_field)


def _known(section: Mapping[str, object]) -> Section:
    return {name: value for name, value in section.items() if value is not None and value != []}


def _digest(content: bytes) -> str:
    return digest_text(hashlib.sha256(content).digest())


def digest_text(sha256: bytes) -> str:
    """Return a SHA-256 as a structured-field byte sequence (RFC 9530, section 2)."""
    return f"sha-256=:{b2a_base64(sha256, newline=False).decode()}:"


def _base64url(content: bytes) -> bytes:
    return b2a_base64(content, newline=False).rstrip(b"=").translate(_URL_SAFE)


_CONSTANTS: Final[Derived[Decision, dict[Hashable, _Constant]]] = Derived(lambda _: {})
_ACTORS: Final[Derived[Claims, Section]] = Derived(partial(_actor, bound=False))
_BOUND_ACTORS: Final[Derived[Claims, Section]] = Derived(partial(_actor, bound=True))
