"""Records as other people's events: OCSF API Activity (class 6003) and FHIR R4 AuditEvent.

Both are projections (uk-public-sector.md, section 5c): neither knows purpose, legal basis and
agreement together, so that what has no member there goes into `unmapped`, and into entities.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gateway import __version__
from gateway.audit.entry import Kind
from gateway.audit.exports.selection import Picked
from gateway.clock import uuid_text

OCSF_VERSION: Final = "1.5.0"
OCSF_CLASS: Final = 6003
OCSF_CATEGORY: Final = 6
OTHER: Final = 99

_ACTIVITIES: Final = {"POST": 1, "GET": 2, "HEAD": 2, "PUT": 3, "PATCH": 3, "DELETE": 4}
_ACTIVITY_NAMES: Final = {1: "Create", 2: "Read", 3: "Update", 4: "Delete", OTHER: "Other"}
_RECORD_ACTIVITIES: Final = {
    Kind.ACCESS: 2,
    Kind.EXPORT: 2,
    Kind.CHANGE: 3,
    Kind.ERASURE: 4,
}
_FHIR_ACTIONS: Final = {1: "C", 2: "R", 3: "U", 4: "D", OTHER: "E"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_EVENT_TYPES: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
_RESTFUL: Final = "http://hl7.org/fhir/restful-interaction"
_INTERACTIONS: Final = {1: "create", 2: "read", 3: "update", 4: "delete"}
_UNMAPPED: Final = (
    "purpose", "rule", "instrument", "instrument_until", "legal_gateway", "article6", "article9",
    "confidentiality", "data_classes", "break_glass", "records", "subjects", "bytes",
    "duration_us", "dataset", "alert", "verb", "use", "by", "intent",
)  # fmt: skip


def is_event(picked: Picked) -> bool:
    """Tell whether a record is an event of its own: an exchange is told at its end."""
    return picked.kind not in (Kind.INTENT, Kind.PROGRESS)


def iso_time(at_us: int) -> str:
    """Return a time of the log as RFC 3339 writes it, in UTC and with microseconds."""
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="microseconds")


def ocsf_event(picked: Picked, origin: str) -> dict[str, object]:
    """Return a record as an OCSF API Activity event.

    Who asked, from where, and about whom is in it only where those sections were opened.
    """
    core = picked.section("core")
    activity = _activity(picked, core)
    refused, failed = _refused(core), _failed(picked, core)
    net, subject = picked.section("net"), picked.section("subject")
    event: dict[str, object] = {
        "activity_id": activity,
        "activity_name": _ACTIVITY_NAMES[activity],
        "category_uid": OCSF_CATEGORY,
        "category_name": "Application Activity",
        "class_uid": OCSF_CLASS,
        "class_name": "API Activity",
        "type_uid": OCSF_CLASS * 100 + activity,
        "severity_id": 3 if core.get("alert") else 1,
        "time": picked.at_us // 1000,
        "status_id": 2 if refused or failed else 1,
        "status_code": str(core.get("reason") or core.get("status") or picked.kind.value),
        "action_id": 2 if refused else 1,
        "disposition_id": 2 if refused else 1,
        "metadata": {
            "version": OCSF_VERSION,
            "product": {"name": "Concordat", "vendor_name": "Concordat", "version": __version__},
            "profiles": ["security_control"],
            "uid": uuid_text(picked.record_id),
            "sequence": picked.index,
            "original_time": iso_time(picked.at_us),
            "log_name": origin,
            **_known({"correlation_uid": picked.exchange and uuid_text(picked.exchange)}),
        },
        "actor": _ocsf_actor(picked, core),
        "api": {
            "operation": _operation(picked, core),
            **_known({"service": core.get("service") and {"name": core["service"]}}),
            **_known({"response": core.get("status") and {"code": core["status"]}}),
        },
        "src_endpoint": _known({"ip": net.get("source"), "name": core.get("consumer")})
        or {"name": origin},
        "unmapped": {
            "kind": picked.kind.value,
            "leaf_hash": picked.leaf_hash.hex(),
            **_known({name: core.get(name) for name in _UNMAPPED}),
        },
    }
    if core.get("provider"):
        event["dst_endpoint"] = {"name": core["provider"]}
    people = [{"type": subject.get("type"), "uid": one} for one in subject.get("ids", [])]
    if people:
        event["resources"] = people
    return event


def _ocsf_actor(picked: Picked, core: Mapping[str, Any]) -> dict[str, object]:
    asked = picked.section("actor")
    user = _known(
        {
            "uid": asked.get("subject") or asked.get("principal"),
            "org": core.get("consumer") and {"uid": core["consumer"]},
        }
    )
    actor: dict[str, object] = {"user": user or {"name": "not shown"}}
    if core.get("agreement"):
        version = str(core.get("agreement_version", ""))
        policy = {"uid": core["agreement"], "version": version, "is_applied": True}
        actor["authorizations"] = [{"decision": core.get("decision"), "policy": policy}]
    return actor | _known(
        {
            "app_uid": asked.get("client"),
            "session": asked.get("issuer") and {"issuer": asked["issuer"]},
        }
    )


def fhir_audit_event(picked: Picked, origin: str) -> dict[str, object]:
    """Return a record as a FHIR R4 AuditEvent, after the patterns of IHE BALP.

    An exchange is an export at its source (DCM 110106), or a decision (110113) where it was
    refused; whatever else the log holds is the use of an audit log (110101).
    """
    core = picked.section("core")
    refused, failed = _refused(core), _failed(picked, core)
    exchange = picked.exchange is not None
    code, display = (
        ("110113", "Security Alert") if refused else ("110106", "Export")
    ) if exchange else ("110101", "Audit Log Used")  # fmt: skip
    activity = _activity(picked, core)
    event: dict[str, object] = {
        "resourceType": "AuditEvent",
        "id": uuid_text(picked.record_id),
        "type": {"system": _DCM, "code": code, "display": display},
        "action": _FHIR_ACTIONS[activity],
        "recorded": iso_time(picked.at_us),
        "outcome": "8" if failed else "4" if refused else "0",
        "agent": _fhir_agents(picked, core),
        "source": {
            "site": origin,
            "observer": {"display": str(core.get("gateway") or origin)},
            "type": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/security-source-type",
                    "code": "4",
                    "display": "Application Server",
                }
            ],
        },
        "entity": _fhir_entities(picked, core),
    }
    if activity in _INTERACTIONS and exchange:
        event["subtype"] = [{"system": _RESTFUL, "code": _INTERACTIONS[activity]}]
    if core.get("reason"):
        event["outcomeDesc"] = str(core["reason"])
    if core.get("purpose"):
        event["purposeOfEvent"] = [{"text": str(core["purpose"])}]
    return event


def _fhir_agents(picked: Picked, core: Mapping[str, Any]) -> list[dict[str, object]]:
    asked, net = picked.section("actor"), picked.section("net")
    who = asked.get("subject") or asked.get("principal") or core.get("by")
    first: dict[str, object] = {
        "requestor": True,
        "who": {"identifier": {"value": str(who)}} if who else {"display": "not shown"},
        **_known({"policy": core.get("agreement") and [f"urn:concordat:{core['agreement']}"]}),
    }
    if net.get("source"):
        first["network"] = {"address": net["source"], "type": "2"}
    agents = [first]
    if asked.get("client"):
        application = {"system": _DCM, "code": "110150", "display": "Application"}
        client = {"identifier": {"value": asked["client"]}}
        agents.append({"type": {"coding": [application]}, "requestor": False, "who": client})
    if core.get("consumer"):
        destination = {"system": _DCM, "code": "110152", "display": "Destination Role ID"}
        organisation = {"identifier": {"value": core["consumer"]}}
        agents.append({"type": {"coding": [destination]}, "requestor": False, "who": organisation})
    return agents


def _fhir_entities(picked: Picked, core: Mapping[str, Any]) -> list[dict[str, object]]:
    subject = picked.section("subject")
    identity = {"system": "http://terminology.hl7.org/CodeSystem/audit-entity-type", "code": "1"}
    role = {"system": "http://terminology.hl7.org/CodeSystem/object-role", "code": "1"}
    entities: list[dict[str, object]] = [
        {"what": {"identifier": {"value": str(one)}}, "type": identity, "role": role}
        for one in subject.get("ids", [])
    ]
    members = {"kind": picked.kind.value, "index": picked.index, **core}
    detail = [
        {"type": name, "valueString": str(value)}
        for name, value in members.items()
        if name in ("kind", "index", "rule", "instrument", "records", "route", "trace_id")
        and value is not None
    ]
    named = uuid_text(picked.exchange or picked.record_id)
    entities.append({"what": {"identifier": {"value": named}}, "detail": detail})
    return entities


def _activity(picked: Picked, core: Mapping[str, Any]) -> int:
    if picked.exchange is None:
        return _RECORD_ACTIVITIES.get(picked.kind, OTHER)
    return _ACTIVITIES.get(str(core.get("method")), OTHER)


def _operation(picked: Picked, core: Mapping[str, Any]) -> str:
    if core.get("method"):
        return f"{core['method']} {core.get('route') or 'unknown'}"
    return picked.kind.value


def _refused(core: Mapping[str, Any]) -> bool:
    return core.get("decision") == "deny"


def _failed(picked: Picked, core: Mapping[str, Any]) -> bool:
    unfinished = picked.kind in (Kind.INDETERMINATE, Kind.INCIDENT)
    return unfinished or int(core.get("status") or 0) >= 500


def _known(members: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value not in (None, "", [])}
