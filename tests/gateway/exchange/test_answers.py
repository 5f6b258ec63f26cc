"""The gateway's own answers, as problem+json and as OperationOutcome."""

from __future__ import annotations

import json

import pytest

from gateway.clock import new_uuid7, uuid_text
from gateway.exchange.answers import ErrorAnswer, answer, refusal
from gateway.exchange.service_errors import PASSED_ON
from gateway.problems import PROBLEMS
from policies.decision import ReasonCode
from policies.select import refuse
from tests.world import document_of, field_of


def test_a_problem_says_what_where_and_how_to_mend_it() -> None:
    """All members of the contract are there, and nothing that is not known (RFC 9457)."""
    exchange_id = new_uuid7()
    error = ErrorAnswer(
        code="purpose-not-permitted",
        detail="This purpose is not permitted.",
        reason=ReasonCode.PURPOSE_NOT_PERMITTED,
        clause="R1",
        hint="Ask for another purpose.",
        origin="client",
    )
    response = answer(error, exchange_id)

    assert response.status == 403
    assert field_of(response, "content-type") == "application/problem+json"
    assert field_of(response, "exchange-id") == uuid_text(exchange_id)
    assert document_of(response) == {
        "type": "/problems/purpose-not-permitted",
        "title": PROBLEMS["purpose-not-permitted"].title,
        "status": 403,
        "detail": "This purpose is not permitted.",
        "instance": f"urn:uuid:{uuid_text(exchange_id)}",
        "reason_code": "PURPOSE_NOT_PERMITTED",
        "clause": "R1",
        "hint": "Ask for another purpose.",
        "origin": "client",
    }


def test_a_fhir_route_gets_the_same_as_an_operation_outcome() -> None:
    """The code, the words and the exchange stand in the outcome's one issue (FHIR R4)."""
    exchange_id = new_uuid7()
    error = ErrorAnswer(
        code="small-numbers-withheld",
        detail="A count is too small.",
        reason=ReasonCode.SMALL_NUMBERS_WITHHELD,
        contact="dpo@example",
    )
    response = answer(error, exchange_id, error_format="operation-outcome")

    outcome = document_of(response)
    (issue,) = outcome["issue"]
    assert field_of(response, "content-type") == "application/fhir+json"
    assert outcome["resourceType"] == "OperationOutcome"
    assert issue["details"]["coding"][0]["code"] == "SMALL_NUMBERS_WITHHELD"
    for said in ("A count is too small.", "dpo@example", uuid_text(exchange_id)):
        assert said in issue["diagnostics"]


@pytest.mark.parametrize("reason", [r for r in ReasonCode if r is not ReasonCode.OK])
def test_every_reason_has_a_page_and_an_answer(reason: ReasonCode) -> None:
    """Whatever is decided, the answer's type resolves, with the status of the vocabulary."""
    response = answer(refusal(refuse(reason)), new_uuid7())

    problem = json.loads(bytes(response.body))  # type: ignore[arg-type]  # an answer is whole
    assert problem["type"].removeprefix("/problems/") in PROBLEMS
    assert problem["reason_code"] == reason
    assert response.status == PROBLEMS[problem["type"].removeprefix("/problems/")].status


@pytest.mark.parametrize("status", sorted(PASSED_ON))
def test_no_error_of_a_service_is_told_in_fhir_as_a_prohibition(status: int) -> None:
    """A client that reads the issue's code alone goes by it (FHIR R4, IssueType)."""
    error = ErrorAnswer(code="service-error", detail="The service answered.", status=status)
    response = answer(error, new_uuid7(), error_format="operation-outcome")

    assert response.status == status
    assert document_of(response)["issue"][0]["code"] != "forbidden"
