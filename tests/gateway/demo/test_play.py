"""How the player spoils proofs, and joins an answer with its record; the whole is end to end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey

from gateway.demo.channel import Answer
from gateway.demo.consumer import Token
from gateway.demo.packs import Pack
from gateway.demo.play import _credentials, _missing_file, _observed
from gateway.demo.scenario import ProofKind
from gateway.demo.token_endpoint import new_key

URL = "http://127.0.0.1:8080/a"
BOUND = Token(access_token="t", bound=True, lifetime_s=300)
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("kind", ProofKind)
def test_a_proof_is_spoiled_as_told(pack: Pack, kind: ProofKind) -> None:
    """A good proof fits key and method; the others lack one of them, or are not sent."""
    key = new_key()
    call = replace(pack.sheet.calls[0], proof=kind)
    headers = _credentials(call, BOUND, key, URL)
    assert headers["authorization"] == "DPoP t"
    if kind is ProofKind.NONE:
        assert "dpop" not in headers
        return
    proof = headers["dpop"]
    used = ECKey.import_key(jws.extract_compact(proof.encode()).headers()["jwk"])
    claims = jwt.decode(proof, used, algorithms=["ES256"]).claims
    assert (used.thumbprint() == key.thumbprint()) == (kind is not ProofKind.OTHER_KEY)
    assert (claims["htm"] == call.method) == (kind is not ProofKind.OTHER_METHOD)


def test_a_bearer_token_needs_no_proof(pack: Pack) -> None:
    """A token that is not bound goes alone."""
    token = replace(BOUND, bound=False)
    assert _credentials(pack.sheet.calls[0], token, new_key(), URL) == {"authorization": "Bearer t"}


def test_a_released_answer_is_read_with_its_record() -> None:
    """Records and fields are what the caller got; the rest is what the record says."""
    answer = Answer(status=200, headers=JSON, body=b'{"records": [{"a": 1}]}')
    due_us = 1_795_142_400_000_000
    record = {"decision": "permit", "reason": "OK", "fields_withheld": ["b"], "review_due": due_us}
    seen = _observed(answer, record, "/records")
    assert (seen.decision, seen.status, seen.records) == ("permit", 200, 1)
    assert (seen.fields, seen.fields_withheld) == (frozenset({"a"}), frozenset({"b"}))
    assert seen.review_due == datetime.fromtimestamp(due_us / 1e6, UTC)


def test_a_401_is_a_refusal_that_decides_nothing() -> None:
    """Refused credentials leave no exchange: the answer alone says why."""
    body = b'{"reason_code": "PROOF_INVALID"}'
    answer = Answer(status=401, headers={"content-type": "application/problem+json"}, body=body)
    seen = _observed(answer, {}, "/records")
    assert (seen.decision, seen.reason, seen.records) == ("deny", "PROOF_INVALID", None)


def test_a_withheld_answer_releases_no_records() -> None:
    """A 502's own body is not mistaken for records."""
    answer = Answer(status=502, headers=JSON, body=b'{"records": [1]}')
    assert _observed(answer, {"decision": "permit"}, "/records").records is None


def test_a_department_serves_what_the_pack_has(pack: Pack) -> None:
    """A file that is not there, or not the pack's, cannot stand in for another."""
    for call in pack.sheet.calls:
        assert _missing_file(call, pack) is None
    for name in ("nothing.csv", "../services.yaml", ""):
        odd = replace(pack.sheet.calls[0], connector_returns=name)
        assert str(_missing_file(odd, pack)).startswith(f"connector_returns: {name!r} is no file")
