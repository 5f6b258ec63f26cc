"""The gateway's own answers: problem+json (RFC 9457), or an OperationOutcome on FHIR routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from gateway.audit.store import Position
from gateway.clock import uuid_text
from gateway.exchange.messages import Headers, Response
from gateway.problems import MEDIA_TYPE, PROBLEMS, code_of, problem_body
from policies.decision import Decision, ReasonCode
from policies.explain import detail_of

RETRY_LATER: Final = ((b"retry-after", b"1"),)
"""When a call that the gateway could not take may be tried again."""
REASON_CODE_SYSTEM: Final = "/problems"
"""The code system of refusals in an OperationOutcome: its codes are the closed reason list."""

_FHIR_ISSUE_CODES: Final[Mapping[int, str]] = {
    400: "invalid",
    401: "login",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    409: "conflict",
    410: "deleted",
    411: "required",
    412: "conflict",
    413: "too-long",
    414: "too-long",
    415: "not-supported",
    416: "value",
    422: "value",
    428: "required",
    429: "throttled",
    502: "transient",
    503: "transient",
    504: "timeout",
}
"""HTTP status to FHIR R4 IssueType; a status that is not listed is ``forbidden``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """One refusal or failure, as the consumer is told it.

    `code` names the page ``/problems/<code>``. `origin` says where it broke: client, gateway,
    peer or service. A caller who is not a party gets no clause, hint, contact or agreement.
    `recorded` is where the refusal lies in the log, for those who want a receipt of it.
    """

    code: str
    detail: str
    reason: ReasonCode | None = None
    clause: str | None = None
    hint: str | None = None
    contact: str | None = None
    agreement: str | None = None
    origin: str | None = None
    status: int | None = None
    headers: Headers = ()
    recorded: Position | None = None


def refusal(decision: Decision) -> ErrorAnswer:
    """Return the answer that tells a caller why `decision` denied the call."""
    return ErrorAnswer(
        code=code_of(decision.reason),
        detail=detail_of(decision),
        reason=decision.reason,
        clause=decision.clause,
        hint=decision.hint,
        contact=decision.contact,
        agreement=decision.agreement.id if decision.clause and decision.agreement else None,
        origin="client",
    )


def answer(error: ErrorAnswer, exchange_id: bytes, *, error_format: str = "problem") -> Response:
    """Return `error` as the response of exchange `exchange_id`."""
    status = error.status or PROBLEMS[error.code].status
    instance = f"urn:uuid:{uuid_text(exchange_id)}"
    if error_format == "operation-outcome":
        media_type, content = b"application/fhir+json", _outcome(error, status, instance)
    else:
        media_type, content = MEDIA_TYPE.encode(), _problem(error, status, instance)
    return Response(
        status=status,
        headers=(
            (b"content-type", media_type),
            (b"cache-control", b"no-store"),
            (b"exchange-id", uuid_text(exchange_id).encode()),
            *error.headers,
        ),
        body=orjson.dumps(content),
    )


def _problem(error: ErrorAnswer, status: int, instance: str) -> dict[str, object]:
    members = problem_body(error.code, detail=error.detail, instance=instance) | {
        "status": status,
        "reason_code": error.reason,
        "clause": error.clause,
        "hint": error.hint,
        "contact": error.contact,
        "agreement": error.agreement,
    }
    if error.origin is not None:
        members["origin"] = error.origin
    return {name: value for name, value in members.items() if value is not None}


def _outcome(error: ErrorAnswer, status: int, instance: str) -> dict[str, object]:
    """Return a FHIR R4 OperationOutcome that says what the problem+json would say."""
    entry = PROBLEMS[error.code]
    said = [
        error.detail,
        error.hint and f"Hint: {error.hint}",
        error.clause and f"Clause: {error.clause}",
        error.contact and f"Contact: {error.contact}",
        f"Origin: {error.origin or entry.origin}",
        f"Exchange: {instance}",
    ]
    coding = {
        "system": REASON_CODE_SYSTEM,
        "code": error.reason or error.code,
        "display": entry.title,
    }
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": _FHIR_ISSUE_CODES.get(status, "forbidden"),
                "details": {"coding": [coding]},
                "diagnostics": "\n".join(line for line in said if line),
            }
        ],
    }
