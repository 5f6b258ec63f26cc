"""Receivers of forwarded events: syslog over TLS, and OTLP logs over HTTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from connectors.credentials import CredentialUnavailable
from connectors.fetch import FetchFailed, parse_json, post_json
from connectors.secrets import SecretReference, SecretUnavailable
from connectors.syslog import (
    INFORMATIONAL,
    NOTICE,
    OPERATORS_CHOICE,
    SEND_TIMEOUT_S,
    UNREAD_BYTES_MAX,
    WARNING,
    SyslogFailed,
    SyslogLink,
    SyslogMessage,
)
from connectors.tls import Trust
from gateway import __version__
from gateway.audit.exports.events import iso_time
from gateway.audit.exports.forward import Delivery, Forwarded, ForwardFailed

APP_NAME: Final = "concordat"
_STRUCTURED: Final = f'[origin software="Concordat" swVersion="{__version__}"]'
_BEARER: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
_OTLP_SEVERITIES: Final = {INFORMATIONAL: (9, "INFO"), NOTICE: (10, "INFO2"), WARNING: (13, "WARN")}
"""Numbers and names of the OpenTelemetry log data model (appendix B, syslog)."""
_INT64_MAX: Final = (1 << 63) - 1
"""The largest number of records that OTLP has room for (`rejected_log_records`)."""


def severity_of(event: Forwarded) -> int:
    """Return how syslog would grade an event: an alert, a refusal, or what is usual."""
    if event.alert:
        return WARNING
    return NOTICE if event.refused else INFORMATIONAL


class SyslogReceiver:
    """A collector that takes RFC 5424 messages over TLS (RFC 5425); the text is the JSON event."""

    name = "syslog"
    unread_bytes_max = UNREAD_BYTES_MAX

    def __init__(
        self, host: str, port: int, *, trust: Trust, timeout_s: float = SEND_TIMEOUT_S
    ) -> None:
        """Send to `host`, which is verified, and shown a certificate, as `trust` says."""
        self._link = SyslogLink(host, port, trust=trust, timeout_s=timeout_s)

    def deliver(self, events: Sequence[Forwarded]) -> Delivery:
        """Send one message an event; see Receiver."""
        frames = b"".join(_message(event).frame() for event in events)
        try:
            self._link.send(frames)
        except SyslogFailed as failure:
            raise ForwardFailed(str(failure)) from None
        return Delivery(len(frames))

    def probe(self) -> None:
        """Connect; see Receiver."""
        try:
            self._link.open()
        except SyslogFailed as failure:
            raise ForwardFailed(str(failure)) from None

    def close(self) -> None:
        """Disconnect."""
        self._link.close()


def _message(event: Forwarded) -> SyslogMessage:
    return SyslogMessage(
        severity=severity_of(event),
        timestamp=iso_time(event.at_us),
        hostname=event.origin.partition("/")[0],
        app_name=APP_NAME,
        kind=event.kind.value,
        structured=_STRUCTURED,
        text=orjson.dumps(event.body),
    )


class OtlpReceiver:
    """A collector that takes OTLP logs as JSON over HTTP; it confirms what it has taken."""

    name = "otlp"
    unread_bytes_max = 0

    def __init__(
        self,
        url: str,
        *,
        trust: Trust,
        token: SecretReference | None = None,
        timeout_s: float = SEND_TIMEOUT_S,
    ) -> None:
        """Post to `url`, mostly ``…/v1/logs``, with the bearer token that the store of `trust` has.

        It is read for each request: it may be replaced while the gateway runs.
        """
        self._url = url
        self._trust = trust
        self._token = token
        self._timeout_s = timeout_s

    def deliver(self, events: Sequence[Forwarded]) -> Delivery:
        """Post one log record an event; see Receiver."""
        body = orjson.dumps(otlp_logs(events))
        return Delivery(len(body), self._post(body))

    def probe(self) -> None:
        """Post a request without records; see Receiver."""
        self._post(orjson.dumps({"resourceLogs": []}))

    def close(self) -> None:
        """Do nothing: each request has a connection of its own, which ends in time."""

    def _post(self, body: bytes) -> int:
        try:
            headers, tls = self._headers(), self._trust.context()
            answer = asyncio.run(
                post_json(
                    self._url, body, headers, rule=OPERATORS_CHOICE, tls=tls,
                    timeout_s=self._timeout_s,
                )
            )  # fmt: skip
            if answer.status != 200:
                raise ForwardFailed(f"it answers with status {answer.status}")
            return _rejected(parse_json(answer.body)) if answer.body else 0
        except FetchFailed as failure:
            raise ForwardFailed(failure.detail) from None
        except (CredentialUnavailable, SecretUnavailable) as unusable:
            raise ForwardFailed(str(unusable)) from None

    def _headers(self) -> dict[str, str]:
        if self._token is None:
            return {}
        token = self._trust.store.read(self._token).reveal()
        if _BEARER.fullmatch(token) is None:
            raise SecretUnavailable(f"{self._token} is no bearer token (RFC 6750, section 2.1)")
        return {"authorization": f"Bearer {token.decode()}"}


def _rejected(answer: object) -> int:
    """Return how many records a collector refused for good (OTLP, partial success)."""
    said = answer.get("partialSuccess") if isinstance(answer, dict) else None
    number = said.get("rejectedLogRecords", 0) if isinstance(said, dict) else 0
    try:
        rejected = int(number)
    except (TypeError, ValueError, OverflowError):
        rejected = -1
    if not 0 <= rejected <= _INT64_MAX:
        raise ForwardFailed("its answer cannot be read")
    return rejected


def otlp_logs(events: Sequence[Forwarded]) -> dict[str, object]:
    """Return an ExportLogsServiceRequest in OTLP's JSON form; each body is the event as a map."""
    resource = {"service.name": APP_NAME, "service.version": __version__}
    records = [_log_record(event) for event in events]
    scope = {"name": "concordat.audit", "version": __version__}
    return {
        "resourceLogs": [
            {
                "resource": {"attributes": _members(resource)},
                "scopeLogs": [{"scope": scope, "logRecords": records}],
            }
        ]
    }


def _log_record(event: Forwarded) -> dict[str, object]:
    number, text = _OTLP_SEVERITIES[severity_of(event)]
    attributes = {"log.record.uid": event.uid, "concordat.log.origin": event.origin}
    return {
        # 64-bit integers are texts in OTLP's JSON.
        "timeUnixNano": str(event.at_us * 1_000),
        "observedTimeUnixNano": str(event.at_us * 1_000),
        "severityNumber": number,
        "severityText": text,
        "eventName": event.kind.value,
        "body": _any(event.body),
        "attributes": _members(attributes),
    }


def _any(value: object) -> dict[str, object]:
    """Return a plain value as OTLP's AnyValue."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, Mapping):
        return {"kvlistValue": {"values": _members(value)}}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_any(one) for one in value]}}
    return {} if value is None else {"stringValue": str(value)}


def _members(values: Mapping[str, object]) -> list[dict[str, object]]:
    return [{"key": name, "value": _any(value)} for name, value in values.items()]
