"""The strict front: the same verdict on a request head, whatever parser has read it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.errors import ProblemCode
from gateway.exchange.front.heads import HEAD_BYTES_MAX, HEADER_COUNT_MAX, TOKEN
from gateway.exchange.front.target import read_target
from gateway.exchange.front.via import GATEWAYS_MAX, gateways_passed, via_of
from gateway.exchange.messages import FrontRefusal, Headers, Target

METHODS: Final[Mapping[bytes, str]] = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
}
"""What the data listener serves; methods are case-sensitive (RFC 9110, section 9.1)."""
_WITHOUT_CONTENT: Final = frozenset({b"GET", b"HEAD", b"DELETE"})

CONTENT_LENGTH_DIGITS_MAX: Final = 15
HOST_BYTES_MAX: Final = 253 + len(":65535")
_HOST: Final = re.compile(
    rb"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|(?:[A-Za-z0-9_-]{1,63}\.)*+[A-Za-z0-9_-]{1,63})"
    rb"(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_ABSOLUTE: Final = re.compile(rb"(?P<scheme>https?)://(?P<authority>[^/?#]*+)(?P<origin>.*+)")
_CODINGS: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]++(?: *, *[!#$%&'*+\-.^_`|~0-9a-z]++)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontSettings:
    """The limits of the data listener; times in seconds, sizes in octets.

    `hosts` are the names it answers for, in lower case, with a port or for any port; None is any.
    `pseudonym` is this gateway's name in `Via`: a request that has it there has come in a circle.
    `body_window_bytes_min` octets of a body must arrive in every `body_window_s`, and as many be
    read of an answer in every `write_window_s`. A body that the handler did not read is drained
    up to `drain_bytes_max`, else the connection is closed. When the listener ends, a head that is
    on its way has `last_head_s` to arrive. Sources divide `connections_max` (`Shares`).
    """

    hosts: frozenset[str] | None = None
    pseudonym: bytes | None = None
    head_bytes_max: int = HEAD_BYTES_MAX
    header_count_max: int = HEADER_COUNT_MAX
    head_s: float = 10.0
    last_head_s: float = 1.0
    idle_s: float = 60.0
    body_window_s: float = 10.0
    body_window_bytes_min: int = 4 * 1024
    body_buffer_bytes: int = 64 * 1024
    drain_bytes_max: int = 64 * 1024
    write_window_s: float = 30.0
    write_window_bytes_min: int = 16 * 1024
    linger_s: float = 2.0
    linger_bytes_max: int = 1024 * 1024
    tick_s: float = 0.5
    connections_max: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRule:
    """What the front does with one request field; a field without a rule is dropped.

    `kept` fields reach the pipeline. A `single` field may come once; a second is refused as
    `fault`. A value that does not match `syntax` is dropped, or refused where `strict`.
    """

    kept: bool = True
    single: bool = True
    fault: ProblemCode = ProblemCode.HEADER_NOT_ALLOWED
    syntax: re.Pattern[bytes] | None = None
    strict: bool = False


_LIST: Final = FieldRule(single=False)
_SINGLE: Final = FieldRule()
_FRAMING: Final = FieldRule(kept=False, fault=ProblemCode.AMBIGUOUS_FRAMING)
_REQUEST_ID: Final = FieldRule(syntax=re.compile(rb"[A-Za-z0-9._-]{1,128}"))

FIELDS: Final[Mapping[bytes, FieldRule]] = {
    # Read by the front itself.
    b"host": FieldRule(kept=False, fault=ProblemCode.INVALID_HOST),
    b"content-length": _FRAMING,
    b"transfer-encoding": _FRAMING,
    b"connection": FieldRule(kept=False, single=False),
    b"expect": FieldRule(kept=False, fault=ProblemCode.EXPECTATION_FAILED),
    # Kept of it are the gateways passed; a consumer's own proxies are nobody's business.
    b"via": FieldRule(kept=False, single=False),
    # Read by the gateway, never sent upstream.
    b"authorization": _SINGLE,
    b"dpop": _SINGLE,
    b"user-agent": _SINGLE,
    b"x-request-id": _REQUEST_ID,
    # A key that was taken for none would let a call be made twice: refused, never dropped.
    b"idempotency-key": FieldRule(
        syntax=re.compile(rb'"[ !#-\[\]-~]{1,128}"|[A-Za-z0-9._:-]{1,128}'), strict=True
    ),
    b"traceparent": FieldRule(
        # W3C Trace Context, section 3.2: a malformed one starts a new trace.
        syntax=re.compile(
            rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
        )
    ),
    # End-to-end: may go upstream.
    b"accept": _LIST,
    b"accept-encoding": _LIST,
    b"accept-language": _LIST,
    b"content-encoding": _SINGLE,
    b"content-language": _LIST,
    b"content-type": _SINGLE,
    b"if-match": _LIST,
    b"if-modified-since": _SINGLE,
    b"if-none-match": _LIST,
    b"if-range": _SINGLE,
    b"if-unmodified-since": _SINGLE,
    b"prefer": _LIST,
    b"range": FieldRule(
        # One range: many small or overlapping ones only cost (RFC 9110, section 17.15).
        syntax=re.compile(rb"[A-Za-z]{1,16}=(?:[0-9]{1,19}-[0-9]{0,19}|-[0-9]{1,19})"),
        strict=True,
    ),
    b"x-correlation-id": _REQUEST_ID,
}
"""Every request field that means anything here. Identity-like names (``X-Consumer-Id``,
``Remote-User``, ``X_Forwarded.For``) and their aliases have no rule, so they end here (H-10 to
H-16), as do hop-by-hop fields, cookies, ``baggage`` and ``tracestate``: what a consumer's tracing
writes there may be anything, also who is asked about, and W3C Trace Context (section 3.3) lets a
trace go on without it."""

_NEVER_NOMINATED: Final = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-type",
        b"dpop",
        b"idempotency-key",
        b"traceparent",
    }
)
"""Fields that decide something: a caller cannot take them away by naming them in `Connection`."""


class Head(NamedTuple):
    """A request head that the front accepts.

    `body_bytes` is the length of the content, None if it comes in chunks. `expects_continue` asks
    for an interim answer before the content is sent; `close` for the connection to be closed.
    """

    method: str
    target: Target
    headers: Headers
    host: str
    body_bytes: int | None
    expects_continue: bool
    close: bool


def check_head(
    method: bytes,
    raw_target: bytes,
    version: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    *,
    settings: FrontSettings,
    secure: bool,
) -> Head | FrontRefusal:
    """Judge a head; `headers` as received, names in lower case; total, for any octets.

    1. The version is HTTP/1.1. HTTP/1.0 is refused too: it need not name a host, and an answer of
       unknown length could only end by closing, so that a cut one would look whole.
    2. Fields are known, single where they must be (H-20), and all others are dropped.
    3. Length is told in one way only (RFC 9112, section 6.3); GET, HEAD and DELETE have no
       content (RFC 9110, section 9.3).
    4. One valid host, ours if hosts are listed (RFC 9112, section 3.2), and the same one in a
       target in absolute form.
    5. The method is served, the expectation known, the target canonical.
    6. It has not been here before (RFC 9110, section 7.6.3), nor passed too many gateways (N-12).
    """
    if version != b"HTTP/1.1":
        return FrontRefusal(code=ProblemCode.HTTP_VERSION, detail="Only HTTP/1.1 is spoken here.")
    fields: dict[bytes, bytes] = {}
    kept = _collect(headers, fields)
    if isinstance(kept, FrontRefusal):
        return kept
    body_bytes = _framing(method, fields)
    if isinstance(body_bytes, FrontRefusal):
        return body_bytes
    host = _judge_host(fields.get(b"host"), settings.hosts)
    if isinstance(host, FrontRefusal):
        return host
    if not raw_target.startswith(b"/"):
        origin_form = _origin_form(method, raw_target, host, secure=secure)
        if isinstance(origin_form, FrontRefusal):
            return origin_form
        raw_target = origin_form
    if method not in METHODS:
        return _method_refusal(method)
    expectation = fields.get(b"expect")
    if expectation is not None and expectation.lower() != b"100-continue":
        return FrontRefusal(
            code=ProblemCode.EXPECTATION_FAILED, detail="Only 100-continue can be expected."
        )
    target = read_target(raw_target)
    if isinstance(target, FrontRefusal):
        return target
    connection = fields.get(b"connection", b"").lower()
    if connection not in (b"", b"keep-alive", b"close"):
        kept = _without_nominated(kept, connection)
    passed = gateways_passed(fields[b"via"]) if b"via" in fields else ()
    if passed and (settings.pseudonym in passed or len(passed) > GATEWAYS_MAX):
        return _LOOP
    return Head(
        method=METHODS[method],
        target=target,
        headers=(*kept, (b"via", via_of(*passed))) if passed else tuple(kept),
        host=host,
        body_bytes=body_bytes,
        expects_continue=expectation is not None and body_bytes != 0,
        close=b"close" in connection,
    )


def _collect(
    headers: Iterable[tuple[bytes, bytes]], fields: dict[bytes, bytes]
) -> list[tuple[bytes, bytes]] | FrontRefusal:
    """Return the fields that are kept; put every field that has a rule into `fields`."""
    kept = []
    rules = FIELDS
    for pair in headers:
        rule = rules.get(pair[0])
        if rule is None:
            continue
        name, value = pair
        if name in fields:
            if rule.single:
                return FrontRefusal(
                    code=rule.fault, detail=f"The field {name.decode()} comes twice."
                )
            fields[name] = fields[name] + b"," + value
        else:
            fields[name] = value
        if rule.syntax is not None and not rule.syntax.fullmatch(value):
            if rule.strict:
                return FrontRefusal(
                    code=rule.fault, detail=f"The field {name.decode()} cannot be honoured."
                )
        elif rule.kept:
            kept.append(pair)
    return kept


def _framing(method: bytes, fields: Mapping[bytes, bytes]) -> int | FrontRefusal | None:
    """Return the length of the content, None for chunks (RFC 9112, sections 6.1 to 6.3)."""
    length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if length is None and coding is None:
        return 0
    if length is not None and coding is not None:
        return _ambiguous("A request has a Content-Length or a Transfer-Encoding, not both.")
    body_bytes = None
    if length is not None:
        if not length.isdigit() or len(length) > CONTENT_LENGTH_DIGITS_MAX:
            return _ambiguous("The Content-Length is not a number of octets.")
        body_bytes = int(length)
    elif coding is not None and coding.lower() != b"chunked":
        if _CODINGS.fullmatch(coding.lower()) and coding.lower().endswith(b"chunked"):
            return FrontRefusal(
                code=ProblemCode.NOT_IMPLEMENTED, detail="The only transfer coding is chunked."
            )
        return _ambiguous("The Transfer-Encoding is not chunked.")
    if body_bytes != 0 and method in _WITHOUT_CONTENT:
        return FrontRefusal(
            code=ProblemCode.MALFORMED_REQUEST, detail="GET, HEAD and DELETE carry no content here."
        )
    return body_bytes


def _judge_host(value: bytes | None, hosts: frozenset[str] | None) -> str | FrontRefusal:
    host = read_host(value) if value is not None and len(value) <= HOST_BYTES_MAX else None
    if host is None:
        return FrontRefusal(
            code=ProblemCode.INVALID_HOST, detail="A request has exactly one valid Host field."
        )
    if hosts is not None and host not in hosts and _without_port(host) not in hosts:
        return FrontRefusal(
            code=ProblemCode.MISDIRECTED, detail="This gateway does not answer for that host."
        )
    return host


@lru_cache(maxsize=256)
def read_host(value: bytes) -> str | None:
    """Return a host with its port, if it has one, in the one way to write it; None if not valid.

    Names are of letters, digits, hyphens and underscores, and put in lower case; IPv6 addresses are
    put as RFC 5952 has them; ports have no leading zero.
    """
    match = _HOST.fullmatch(value)
    if match is None or int(match["port"] or 0) > 65535:
        return None
    if value.startswith(b"["):
        try:
            address = ipaddress.IPv6Address(match["name"][1:-1].decode("ascii"))
        except ValueError:
            return None
        port = value[match.end("name") :].decode("ascii")
        return f"[{address}]{port}"
    return value.decode("ascii").lower()


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _origin_form(
    method: bytes, raw_target: bytes, host: str, *, secure: bool
) -> bytes | FrontRefusal:
    """Return the origin form of an absolute target whose authority is the `Host` (HO-06).

    RFC 9112, section 3.2.2, lets the target win over `Host`; parsers differ, so both must agree.
    """
    if method not in METHODS:
        return _method_refusal(method)
    match = _ABSOLUTE.fullmatch(raw_target)
    if match is None:
        return FrontRefusal(
            code=ProblemCode.PATH_NOT_CANONICAL, detail="The target must begin with a slash."
        )
    scheme = b"https" if secure else b"http"
    authority = match["authority"]
    named = read_host(authority) if len(authority) <= HOST_BYTES_MAX else None
    if match["scheme"] != scheme or named != host:
        return FrontRefusal(
            code=ProblemCode.INVALID_HOST, detail="The target and the Host field name two places."
        )
    return match["origin"]


_LOOP: Final = FrontRefusal(
    code=ProblemCode.LOOP_DETECTED,
    detail="The request has come through this gateway before: a service's address leads back here.",
)


def _method_refusal(method: bytes) -> FrontRefusal:
    if not method or method.translate(None, TOKEN):
        return FrontRefusal(code=ProblemCode.MALFORMED_REQUEST, detail="The method is not a token.")
    return FrontRefusal(
        code=ProblemCode.METHOD_NOT_ALLOWED,
        detail="The methods served here are GET, HEAD, POST, PUT, PATCH and DELETE.",
    )


def _without_nominated(
    kept: list[tuple[bytes, bytes]], connection: bytes
) -> list[tuple[bytes, bytes]]:
    """Drop the fields that `Connection` names as hop-by-hop (RFC 9110, section 7.6.1)."""
    nominated = {option.strip() for option in connection.split(b",")} - _NEVER_NOMINATED
    return [pair for pair in kept if pair[0] not in nominated]


def _ambiguous(detail: str) -> FrontRefusal:
    return FrontRefusal(code=ProblemCode.AMBIGUOUS_FRAMING, detail=detail)
