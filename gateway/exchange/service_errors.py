"""A service's own errors: which of them the consumer is told, and with which of their fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gateway.errors import ProblemCode
from gateway.exchange.facts import Ending
from gateway.exchange.front.rules import METHODS
from gateway.exchange.messages import Headers
from policies.decision import ReasonCode

UNAVAILABLE: Final = 503

PASSED_ON: Final[Mapping[int, bytes | None]] = {
    400: None,
    404: None,
    405: b"allow",
    406: None,
    409: None,
    410: None,
    411: None,
    412: None,
    413: b"retry-after",
    414: None,
    415: None,
    416: b"content-range",
    422: None,
    428: None,
    429: b"retry-after",
    UNAVAILABLE: b"retry-after",
}
"""Errors of a service that the consumer can do something about, if only wait, and the field that
RFC 9110 (sections 10.2.1, 10.2.3, 14.4) or RFC 6585 (section 4) has go with each. Any other is 502:
it is about the gateway's call, such as 403, or nothing that the consumer can mend."""

_WAIT: Final = re.compile(
    rb"[0-9]{1,8}|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
)
"""Seconds, or a date as HTTP writes it (RFC 9110, sections 10.2.3 and 5.6.7); never free text."""
_LENGTH: Final = re.compile(rb"bytes \*/[0-9]{1,18}")


def service_error(status: int, fields: Headers, *, reads: bool) -> Ending:
    """Return the ending of a call that its service answered with an error.

    Its body is never passed on, for it may hold anything (U-11, U-14). `reads` tells whether duties
    have to read answers: then how long one would be is not told either.
    """
    passed_on = status in PASSED_ON
    consumers = passed_on and status != UNAVAILABLE
    return Ending(
        status=status if passed_on else 502,
        headers=_told(status, fields, reads=reads),
        reason=ReasonCode.OK if consumers else ReasonCode.CONNECTOR_UNAVAILABLE,
        problem=ProblemCode.SERVICE_ERROR,
        detail=f"The service answered with status {status}; its own message is not passed on.",
        origin="service",
        service_status=status,
    )


def _told(status: int, fields: Headers, *, reads: bool) -> Headers:
    """Return the one field that goes with the status, if the service sent it as it should."""
    name = PASSED_ON.get(status)
    values = [value for field, value in fields if field == name]
    if name is None or not values:
        return ()
    if name == b"allow":
        # The list may be spread over several fields; other methods come no further than here.
        listed = {method.strip() for value in values for method in value.split(b",")}
        return ((name, b", ".join(method for method in METHODS if method in listed)),)
    form = _WAIT if name == b"retry-after" else _LENGTH
    if (reads and form is _LENGTH) or len(values) > 1 or form.fullmatch(values[0]) is None:
        return ()
    return ((name, values[0]),)
