"""The problems that are no decision: what the front, the gateway or a service stumbled over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.errors import ProblemCode
from gateway.problems.problem import Origin, Problem

_FIX_CLIENT: Final = "Correct the client's request; most HTTP libraries send it right by default."
_SHORTEN: Final = "Send less: fewer or shorter values."
_LATER: Final = "Call again after the time in the Retry-After field."
_TELL_OWNER: Final = "Call again later. If it lasts, tell the service's owner the exchange id."

_TEXTS: Final[Mapping[ProblemCode, tuple[int, Origin, str, str, str]]] = {
    ProblemCode.MALFORMED_REQUEST: (
        400,
        Origin.CLIENT,
        "The request is not well formed",
        "A part of the request does not follow HTTP or the documented form.",
        _FIX_CLIENT,
    ),
    ProblemCode.AMBIGUOUS_FRAMING: (
        400,
        Origin.CLIENT,
        "The length of the request is ambiguous",
        "Fields that say where the body ends contradict each other or are repeated, which could "
        "hide one request inside another (RFC 9112, section 6.3).",
        _FIX_CLIENT,
    ),
    ProblemCode.INVALID_HOST: (
        400,
        Origin.CLIENT,
        "The Host field is missing or not valid",
        "A request needs exactly one well-formed Host field (RFC 9112, section 3.2).",
        _FIX_CLIENT,
    ),
    ProblemCode.MISDIRECTED: (
        421,
        Origin.CLIENT,
        "The request was meant for another host",
        "The Host field names a host that this gateway does not answer for.",
        "Use the public base URL from the catalogue.",
    ),
    ProblemCode.PATH_NOT_CANONICAL: (
        400,
        Origin.CLIENT,
        "The path is not in its canonical form",
        "Paths with dot segments, empty segments, backslashes or needless percent-encoding are "
        "refused, because two systems could read them differently.",
        "Send the path in its shortest, plainest spelling.",
    ),
    ProblemCode.URI_TOO_LONG: (
        414,
        Origin.CLIENT,
        "The address is too long",
        "The request target exceeds the gateway's limit.",
        _SHORTEN,
    ),
    ProblemCode.HEADERS_TOO_LARGE: (
        431,
        Origin.CLIENT,
        "The header fields are too large",
        "There are too many header fields, or they are too long.",
        _SHORTEN,
    ),
    ProblemCode.HEADER_NOT_ALLOWED: (
        400,
        Origin.CLIENT,
        "A header field is not allowed",
        "The request carries a header field that must not come from outside, or comes twice.",
        "Leave the field out.",
    ),
    ProblemCode.BODY_TOO_LARGE: (
        413,
        Origin.CLIENT,
        "The body is too large",
        "The body exceeds what this operation takes.",
        "Split it into several calls.",
    ),
    ProblemCode.MALFORMED_BODY: (
        400,
        Origin.CLIENT,
        "The body is not well formed",
        "The body does not follow its media type, or names a member twice.",
        "Send one well-formed document of the stated media type.",
    ),
    ProblemCode.UNSUPPORTED_MEDIA_TYPE: (
        415,
        Origin.CLIENT,
        "The media type is not supported",
        "The body's media type or encoding cannot be checked against the agreement.",
        "Send JSON, uncompressed.",
    ),
    ProblemCode.METHOD_NOT_ALLOWED: (
        405,
        Origin.CLIENT,
        "The method is not allowed here",
        "This address does not answer the request's method.",
        "Use one of the methods in the Allow field.",
    ),
    ProblemCode.NOT_FOUND: (
        404,
        Origin.CLIENT,
        "There is nothing at this address",
        "No service and no page has this address.",
        "Check the address against the catalogue.",
    ),
    ProblemCode.DUPLICATE_REQUEST: (
        409,
        Origin.CLIENT,
        "This request was made before",
        "A request with the same one-time key was accepted already; it was not repeated.",
        "Look the first exchange up, or use a new key for a new request.",
    ),
    ProblemCode.PRECONDITION_NOT_ALLOWED: (
        412,
        Origin.CLIENT,
        "The condition cannot be passed on",
        "If-Match or If-None-Match names an entity tag. Where an agreement withholds a part of the "
        "data, tags of the whole are not shown, and a guessed one would tell what is withheld. The "
        "service was not called.",
        "Use If-Unmodified-Since with the Last-Modified of the answer or, where it shows none, "
        "with a time from before you asked for it; or use `*`.",
    ),
    ProblemCode.REQUEST_TIMEOUT: (
        408,
        Origin.CLIENT,
        "The request came too slowly",
        "The request was not complete within the gateway's time limit.",
        "Send the whole request at once.",
    ),
    ProblemCode.CLIENT_GONE: (
        499,
        Origin.CLIENT,
        "The caller left before the answer",
        "The connection was closed while the service was being asked, so the call was given up. "
        "Nobody receives this answer: its status stands in the record alone.",
        "Wait longer for the answer. If the call changes something, ask first what became of it.",
    ),
    ProblemCode.EXPECTATION_FAILED: (
        417,
        Origin.CLIENT,
        "The expectation cannot be met",
        "The Expect field asks for something other than 100-continue.",
        "Leave the Expect field out.",
    ),
    ProblemCode.NOT_IMPLEMENTED: (
        501,
        Origin.CLIENT,
        "The gateway does not do this",
        "The request uses a method, upgrade or transfer coding that the gateway does not offer.",
        _FIX_CLIENT,
    ),
    ProblemCode.HTTP_VERSION: (
        505,
        Origin.CLIENT,
        "The HTTP version is not supported",
        "The gateway speaks HTTP/1.1.",
        "Use HTTP/1.1.",
    ),
    ProblemCode.LOOP_DETECTED: (
        508,
        Origin.GATEWAY,
        "The request goes round in a circle",
        "The Via field says that the request has passed this gateway before, or too many others: "
        "the address of a service leads back to a gateway on the way to it.",
        "Tell the gateway's operator, who corrects the base URL of the service.",
    ),
    ProblemCode.PERMISSION_MISSING: (
        403,
        Origin.CLIENT,
        "Your role does not permit this",
        "You are known to the gateway, but none of your roles permits what was asked.",
        "Ask someone with the role, or ask the operator for it.",
    ),
    ProblemCode.STOPPED: (
        403,
        Origin.GATEWAY,
        "This has been stopped",
        "The agreement, client, issuer, service, peer, key or token was suspended or revoked.",
        "Ask the contact named in the answer, or the gateway's operator, why and for how long.",
    ),
    ProblemCode.SERVICE_UNREACHABLE: (
        502,
        Origin.SERVICE,
        "The service cannot be reached",
        "The gateway could not connect to the service, or the connection broke.",
        _TELL_OWNER,
    ),
    ProblemCode.SERVICE_TIMEOUT: (
        504,
        Origin.SERVICE,
        "The service took too long",
        "The service did not answer within the time that the gateway waits.",
        _TELL_OWNER,
    ),
    ProblemCode.SERVICE_ERROR: (
        502,
        Origin.SERVICE,
        "The service reported an error",
        "The service answered with an error of its own. Its text may hold internal details and is "
        "not passed on. Its status is, where you can do something about it; any other is 502.",
        "Of a status from 400 to 422 or 428, correct the request as the service's documentation "
        "says. Of 429 and 503, call again later: after the time in the Retry-After field, if "
        "there is one. If 502 or 503 lasts, tell the service's owner the exchange id.",
    ),
    ProblemCode.SERVICE_MALFORMED: (
        502,
        Origin.SERVICE,
        "The service's answer cannot be read",
        "The service's answer was cut short, broke its framing or exceeded a limit. A table whose "
        "length the service does not declare counts as cut where its last row has no line end.",
        _TELL_OWNER,
    ),
    ProblemCode.SERVICE_OVERLOADED: (
        503,
        Origin.SERVICE,
        "The service is busy",
        "All the connections that the gateway may open to the service are in use, or too many "
        "answers wait in the gateway to be read: the detail says which.",
        "Call again after the time in the Retry-After field; if the service has answered a "
        "change, ask first what became of it.",
    ),
    ProblemCode.STOP_LIST_STALE: (
        503,
        Origin.GATEWAY,
        "The gateway cannot tell what was stopped",
        "The list of suspended and revoked things could not be read for some seconds. Until it "
        "can be, nothing is let through.",
        _LATER,
    ),
    ProblemCode.NOT_READY: (
        503,
        Origin.GATEWAY,
        "The gateway is not ready",
        "The gateway is starting, stopping, or has no valid configuration yet.",
        _LATER,
    ),
    ProblemCode.KEY_SOURCE_UNAVAILABLE: (
        503,
        Origin.PEER,
        "The issuer's keys cannot be fetched",
        "The gateway could not get the keys of the issuer that signed the token.",
        "Call again later; if it lasts, tell whoever runs your organisation's issuer.",
    ),
    ProblemCode.INTERNAL_ERROR: (
        500,
        Origin.GATEWAY,
        "Something went wrong in the gateway",
        "A fault in the gateway stopped the request.",
        "Tell the gateway's operator the id in the answer.",
    ),
}

FAILURES: Final[tuple[Problem, ...]] = tuple(
    Problem(
        code=code.value,
        status=status,
        title=title,
        explanation=explanation,
        mend=mend,
        origin=origin,
    )
    for code, (status, origin, title, explanation, mend) in _TEXTS.items()
)
"""One problem for every ProblemCode."""
