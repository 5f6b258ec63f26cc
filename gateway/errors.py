"""The failures that the gateway itself reports, each with one stable problem code."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class ProblemCode(StrEnum):
    """What went wrong beside the reason codes of decisions; closed and stable, like those.

    The value is the last part of the problem's `type`, ``/problems/<code>`` (RFC 9457, 3.1.1).
    """

    MALFORMED_REQUEST = "malformed-request"
    AMBIGUOUS_FRAMING = "ambiguous-framing"
    INVALID_HOST = "invalid-host"
    MISDIRECTED = "misdirected"
    PATH_NOT_CANONICAL = "path-not-canonical"
    URI_TOO_LONG = "uri-too-long"
    HEADERS_TOO_LARGE = "headers-too-large"
    HEADER_NOT_ALLOWED = "header-not-allowed"
    BODY_TOO_LARGE = "body-too-large"
    MALFORMED_BODY = "malformed-body"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    NOT_FOUND = "not-found"
    DUPLICATE_REQUEST = "duplicate-request"
    PRECONDITION_NOT_ALLOWED = "precondition-not-allowed"
    REQUEST_TIMEOUT = "request-timeout"
    CLIENT_GONE = "client-gone"
    EXPECTATION_FAILED = "expectation-failed"
    NOT_IMPLEMENTED = "not-implemented"
    HTTP_VERSION = "http-version"
    LOOP_DETECTED = "loop-detected"
    PERMISSION_MISSING = "permission-missing"
    STOPPED = "stopped"
    SERVICE_UNREACHABLE = "service-unreachable"
    SERVICE_TIMEOUT = "service-timeout"
    SERVICE_ERROR = "service-error"
    SERVICE_MALFORMED = "service-malformed"
    SERVICE_OVERLOADED = "service-overloaded"
    STOP_LIST_STALE = "stop-list-stale"
    NOT_READY = "not-ready"
    KEY_SOURCE_UNAVAILABLE = "key-source-unavailable"
    INTERNAL_ERROR = "internal-error"


class GatewayError(Exception):
    """A request that cannot be carried out; `code` names its problem page.

    `detail` is shown to the caller: it never holds a secret, personal data or request content.
    """

    code: ClassVar[str] = ProblemCode.INTERNAL_ERROR

    def __init__(self, detail: str) -> None:
        """Say in one or two sentences what happened and what helps."""
        super().__init__(detail)
        self.detail = detail


class MalformedRequest(GatewayError):
    """The request says something that it cannot mean."""

    code = ProblemCode.MALFORMED_REQUEST


class NotFound(GatewayError):
    """There is no such thing, or none that this caller may know of."""

    code = ProblemCode.NOT_FOUND


class CredentialsMissing(GatewayError):
    """The administrative API was called without credentials."""

    code = "token-missing"


class CredentialsInvalid(GatewayError):
    """The administrative API was called with credentials that do not hold."""

    code = "token-invalid"


class PermissionMissing(GatewayError):
    """The caller is known, and none of its roles permits this."""

    code = ProblemCode.PERMISSION_MISSING


class AuditUnavailable(GatewayError):
    """What was asked must be recorded first, and the audit log cannot record it now."""

    code = "audit-unavailable"
