"""Plays the calls of a pack against the running gateway, over HTTP, and reads their records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from joserfc.jwk import ECKey

from gateway.audit.entry import EntryInvalid
from gateway.demo.answers import eligible_among, fields_of, hint_of, reason_of, records_of
from gateway.demo.attempts import attempt_all
from gateway.demo.channel import Answer, Channel, ChannelFailed
from gateway.demo.clock import DemoClock
from gateway.demo.consumer import (
    Token,
    TokenRefused,
    TokenRequest,
    authorization_details,
    dpop_proof,
    get_token,
)
from gateway.demo.declared import declare
from gateway.demo.departments import DATA_FOLDER, Replacements
from gateway.demo.issuers import IssuerAddresses
from gateway.demo.judge import Observed, Result, Results, judge, unplayed
from gateway.demo.packs import Pack
from gateway.demo.scenario import ProofKind, ScenarioCall
from gateway.demo.token_endpoint import new_key
from gateway.settings import Settings

RECORD_USE: Final = "self_monitoring"
"""What the player reads the audit records for (DPA 2018 s.62(4)); each reading is recorded too."""

_UNAUTHENTICATED: Final = 401
_REFUSED_FROM: Final = 400
_OK: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PATH_SAFE: Final = "/%!$&'()*+,;=:@~"
"""What stands in a path as it is (RFC 3986, section 3.3), and the mark of what was encoded."""
_OTHER_METHODS: Final[Mapping[str, str]] = {"GET": "POST"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything the player needs of the running world.

    `settings` are the gateway's, for the state that calls declare (`gateway.demo.declared`).
    """

    settings: Settings
    channel: Channel
    gateway_url: str
    control_url: str
    operator_secret: str
    clock: DemoClock
    issuers: IssuerAddresses
    client_keys: Mapping[str, ECKey]
    replacements: Replacements


def play(pack: Pack, stage: Stage) -> Results:
    """Play every call in order and return how each came out.

    A call that cannot be played has failed, and says why; the others are played all the same.

    Raises:
        gateway.audit.store.LogUnavailable: what a call declares cannot be written.
    """
    results = tuple(_try(call, pack, stage) for call in pack.sheet.calls)
    return Results(results=results, authoring=attempt_all(pack))


def _try(call: ScenarioCall, pack: Pack, stage: Stage) -> Result:
    trouble = call.trouble or _missing_file(call, pack)
    if trouble is not None:
        return unplayed(call, trouble)
    try:
        return _play(call, pack, stage)
    except (ChannelFailed, TokenRefused, EntryInvalid, UnicodeError) as failure:
        return unplayed(call, str(failure))


def _missing_file(call: ScenarioCall, pack: Pack) -> str | None:
    """Return why a department cannot serve what the call says that it does, or None."""
    name = call.connector_returns
    if name is None or (
        Path(name).name == name and (pack.directory / DATA_FOLDER / name).is_file()
    ):
        return None
    return f"connector_returns: {name!r} is no file of {pack.directory / DATA_FOLDER}"


def _play(call: ScenarioCall, pack: Pack, stage: Stage) -> Result:
    stage.clock.freeze(call.at)
    declare(call, pack, stage.settings)
    if call.connector_returns is not None:
        stage.replacements.set(call.path, call.connector_returns)
    try:
        answer = _ask(call, pack, stage)
    finally:
        stage.replacements.clear()
    exchange_id = answer.headers.get("exchange-id")
    # A 401 leaves a record of refused traffic behind the answer, not an exchange.
    known = exchange_id is not None and answer.status != _UNAUTHENTICATED
    record = _record_of(exchange_id, stage) if exchange_id and known else {}
    observed = _observed(answer, record, pack.records_at(pack.connector_of(call.path)))
    return judge(call, observed, exchange_id=exchange_id)


def _ask(call: ScenarioCall, pack: Pack, stage: Stage) -> Answer:
    """Make the call as its consumer's application would, with the proof it is said to send."""
    # As it goes on the wire, which the proof must name too (RFC 9449, section 4.2).
    url = stage.gateway_url + quote(call.path, safe=_PATH_SAFE)
    headers: dict[str, str] = {}
    if not call.token.public:
        key = stage.client_keys[str(call.token.client)]
        token = _token(call, pack, stage, key)
        headers |= _credentials(call, token, key, url)
    body = pack.body_of(call)
    if body is not None:
        headers["content-type"] = "application/json"
    query = f"?{urlencode(call.query)}" if call.query else ""
    return stage.channel.send(
        call.method,
        url + query,
        headers=headers,
        body=b"" if body is None else json.dumps(body).encode(),
    )


def _token(call: ScenarioCall, pack: Pack, stage: Stage, key: ECKey) -> Token:
    facts, urgent = call.token, call.token.break_glass
    issuer = str(facts.issuer)
    request = TokenRequest(
        issuer=issuer,
        token_endpoint=stage.issuers.token_endpoint(issuer),
        client_id=str(facts.client),
        resource=f"{stage.gateway_url}/{pack.connector_of(call.path)}",
        details=authorization_details(
            agreement=facts.agreement,
            purpose=facts.purpose,
            context=facts.context,
            on_behalf_of=facts.on_behalf_of,
            break_glass=(
                {"reason": urgent.reason, "justification": urgent.justification} if urgent else None
            ),
        ),
        bound=facts.bound,
        demo_claims={
            "org": facts.organisation,
            "sub": facts.subject,
            "roles": list(facts.roles),
            "acr": facts.acr,
        },
    )
    return get_token(stage.channel, request, key, _seconds(call.at))


def _credentials(call: ScenarioCall, token: Token, key: ECKey, url: str) -> dict[str, str]:
    if not token.bound:
        return {"authorization": f"Bearer {token.access_token}"}
    headers = {"authorization": f"DPoP {token.access_token}"}
    if call.proof is ProofKind.NONE:
        return headers
    method = call.method
    if call.proof is ProofKind.OTHER_METHOD:
        method = _OTHER_METHODS.get(method, "GET")
    signer = new_key() if call.proof is ProofKind.OTHER_KEY else key
    headers["dpop"] = dpop_proof(
        signer, method, url, now_s=_seconds(call.at), access_token=token.access_token
    )
    return headers


def _record_of(exchange_id: str, stage: Stage) -> Mapping[str, Any]:
    """Return the record of an exchange as the control API shows it; empty where there is none."""
    url = f"{stage.control_url}/api/v1/exchanges/{exchange_id}?use={RECORD_USE}"
    headers = {"authorization": f"Bearer {stage.operator_secret}"}
    answer = stage.channel.send("GET", url, headers=headers)
    if answer.status != _OK:
        return {}
    view: Mapping[str, Any] = answer.json()
    return view


def _observed(answer: Answer, record: Mapping[str, Any], records_at: str) -> Observed:
    """Join what the caller got with what the record says; the caller's view comes first."""
    released = answer.status < _REFUSED_FROM and bool(answer.body)
    records = records_of(answer, records_at) if released else []
    # Where nothing was decided there is no exchange: the answer alone says why.
    refused = answer.status >= _REFUSED_FROM and not record
    return Observed(
        decision="deny" if refused else record.get("decision"),
        status=answer.status,
        reason=reason_of(answer) if refused else record.get("reason"),
        rule=record.get("rule"),
        hint=hint_of(answer),
        records=len(records) if released else None,
        fields=fields_of(records),
        fields_withheld=frozenset(record.get("fields_withheld") or ()),
        redacted_subjects=record.get("redacted_subjects"),
        eligible=eligible_among(records),
        content_type=answer.media_type or None,
        action=record.get("action"),
        subjects=record.get("subjects"),
        instrument=record.get("instrument"),
        alert=record.get("alert"),
        notify=frozenset(record.get("notify") or ()),
        review_due=_instant(record.get("review_due")),
        subject_view=record.get("subject_view"),
    )


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _instant(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
