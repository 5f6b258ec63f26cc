"""Every way in which a service misbehaves, and the only verdict that is right (`testing.check`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from connectors.base import Failure
from connectors.scripted import Act, Repeat, Script

DEADLINE_S: Final = 0.3
"""Deadline of calls that must time out."""
PATIENCE_S: Final = 10.0
"""Deadline of all others: never reached by a connector that is right."""

_OK: Final = b"HTTP/1.1 200 OK\r\n"
_ABC: Final = _OK + b"content-length: 3\r\n\r\nabc"
_CHUNKED: Final = _OK + b"transfer-encoding: chunked\r\n\r\n"
SECOND: Final = _OK + b"content-length: 6\r\n\r\nsecond"
REQUEST_ID: Final = b"0199e2a4-0000-7000-8000-000000000001"
TARGET: Final = b"/a%2fb/..;/c?x=%20&y=%00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The verdict that the call is answered; none of `fields_absent` may be passed on.

    `delimited_by_close` is what the reply has to say of its end.
    """

    status: int = 200
    body: bytes = b"abc"
    fields_absent: frozenset[bytes] = frozenset()
    delimited_by_close: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One misbehaviour: what the service sends, and the only verdict that is right.

    `id` begins with the number in the catalogue of upstream misbehaviour (U-01 to U-17). Where
    `base_url` is set, the connector is opened there instead of at the scripted service, and the
    call must fail unsent. The request's body is `sent` in pieces, if there are any, with a length
    or in chunks (`sized`); `in_pieces` says that the answer's body is read in pieces.
    """

    id: str
    script: Script
    verdict: Failure | Answered
    method: str = "GET"
    deadline_s: float = PATIENCE_S
    base_url: str | None = None
    idle_s: float = PATIENCE_S
    stream_s: float = PATIENCE_S
    sent: tuple[bytes, ...] = ()
    sized: bool = False
    in_pieces: bool = False

    def __str__(self) -> str:
        """Return the id, which test frameworks show."""
        return self.id


CATALOGUE: Final = tuple(f"U-{number:02}" for number in range(1, 18))
"""Every kind of upstream misbehaviour that the suite has cases of."""


def conformance_cases() -> tuple[Case, ...]:
    """Return every case."""
    return (
        *_connections_and_time(),
        *_framing(),
        *_heads(),
        *_after_the_answer(),
        *_bodies(),
        *_addresses(),
        *_mixed_up(),
        *_streams(),
    )


def _bad(name: str, *script: bytes | Act | Repeat) -> Case:
    return Case(id=name, script=script, verdict=Failure.MALFORMED)


def _good(name: str, answered: Answered, *script: bytes | Act | Repeat) -> Case:
    return Case(id=name, script=script, verdict=answered)


def _late(name: str, *script: bytes | Act | Repeat) -> Case:
    return Case(id=name, script=script, verdict=Failure.TIMED_OUT, deadline_s=DEADLINE_S)


def _unsent(name: str, base_url: str, verdict: Failure) -> Case:
    return Case(id=name, script=(), base_url=base_url, verdict=verdict)


def _connections_and_time() -> tuple[Case, ...]:
    return (
        Case(id="U-01-closes-unanswered", script=(Act.CLOSE,), verdict=Failure.UNREACHABLE),
        Case(id="U-01-resets-unanswered", script=(Act.RESET,), verdict=Failure.UNREACHABLE),
        _unsent("U-01-refuses", "http://127.0.0.1:1", Failure.UNREACHABLE),
        _late("U-02-never-answers", Act.STALL),
        _late("U-02-stalls-in-head", _OK + b"content-le", Act.STALL),
        _late("U-02-stalls-in-body", _OK + b"content-length: 9\r\n\r\nabc", Act.STALL),
        _late("U-02-drips-head", _OK, Repeat(part=b"a: b\r\n", every_s=0.02)),
        _late("U-02-drips-body", _CHUNKED, Repeat(part=b"1\r\na\r\n", every_s=0.02)),
    )


def _framing() -> tuple[Case, ...]:
    length, chunks = b"content-length: 3\r\n", b"3\r\nabc\r\n0\r\n\r\n"
    coded = b"transfer-encoding: chunked\r\n"
    unended = Answered(delimited_by_close=True)
    return (
        _bad("U-03-length-and-coding", _OK + length + coded + b"\r\n" + chunks),
        _bad("U-03-coding-and-length", _OK + coded + length + b"\r\n" + chunks),
        _bad("U-03-two-lengths", _OK + length + b"content-length: 4\r\n\r\nabcd"),
        _bad("U-03-same-length-twice", _OK + length + length + b"\r\nabc"),
        _bad("U-03-length-list", _OK + b"content-length: 3, 3\r\n\r\nabc"),
        _bad("U-03-length-negative", _OK + b"content-length: -3\r\n\r\nabc"),
        _bad("U-03-length-signed", _OK + b"content-length: +3\r\n\r\nabc"),
        _bad("U-03-length-overflow", _OK + b"content-length: 36893488147419103235\r\n\r\nabc"),
        _bad("U-03-bare-lf", b"HTTP/1.1 200 OK\ncontent-length: 3\n\nabc"),
        _bad("U-03-obs-fold", _OK + length + b"a: b\r\n c\r\n\r\nabc"),
        _bad("U-03-space-before-colon", _OK + b"content-length : 3\r\n\r\nabc"),
        _bad("U-03-coding-twice", _OK + coded + coded + b"\r\n" + chunks),
        _bad("U-03-coding-gzip", _OK + b"transfer-encoding: gzip, chunked\r\n\r\n" + chunks),
        _bad("U-03-coding-identity", _OK + b"transfer-encoding: identity\r\n\r\nabc", Act.CLOSE),
        _bad("U-03-coding-in-http-1.0", b"HTTP/1.0 200 OK\r\n" + coded + b"\r\n" + chunks),
        _bad("U-03-chunk-size-bad", _CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n"),
        _bad("U-03-chunk-end-bad", _CHUNKED + b"3\r\nabcXX0\r\n\r\n"),
        _bad("U-04-short-body", _OK + b"content-length: 9\r\n\r\nabc", Act.CLOSE),
        _bad("U-04-short-head", _OK + b"content-len", Act.CLOSE),
        _bad("U-04-truncated-chunk", _CHUNKED + b"9\r\nabc", Act.CLOSE),
        _bad("U-04-no-last-chunk", _CHUNKED + b"3\r\nabc\r\n", Act.CLOSE),
        _good("U-05-delimited-by-close", unended, _OK + b"\r\nabc", Act.CLOSE),
        _good("U-05-http-1.0", unended, b"HTTP/1.0 200 OK\r\n\r\nabc", Act.CLOSE),
        Case(id="U-05-reset", script=(_OK + b"\r\nabc", Act.RESET), verdict=Failure.UNREACHABLE),
    )


def _heads() -> tuple[Case, ...]:
    end = b"content-length: 3\r\n\r\nabc"
    hop = b"connection: X-Internal, close\r\nx-internal: 1\r\nkeep-alive: timeout=5\r\n"
    gone = frozenset(
        {b"connection", b"x-internal", b"keep-alive", b"content-length", b"transfer-encoding"}
    )
    return (
        _bad("U-06-status-99", b"HTTP/1.1 99 No\r\n" + end),
        _bad("U-06-status-600", b"HTTP/1.1 600 No\r\n" + end),
        _bad("U-06-status-999", b"HTTP/1.1 999 No\r\n" + end),
        _bad("U-06-status-text", b"HTTP/1.1 abc No\r\n" + end),
        _bad("U-06-switching", b"HTTP/1.1 101 Yes\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        _bad("U-06-interim-flood", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000 + _ABC),
        _bad("U-06-interim-with-body", b"HTTP/1.1 103 Hints\r\n" + end + _ABC),
        _bad("U-06-http-2.0", b"HTTP/2.0 200 OK\r\n" + end),
        _bad("U-06-http-0.9", b"abc", Act.CLOSE),
        _bad("U-06-rtsp", b"RTSP/1.0 200 OK\r\n" + end),
        _bad("U-07-cr-in-value", _OK + b"a: b\rc\r\n" + end),
        _bad("U-07-nul-in-value", _OK + b"a: b\0c\r\n" + end),
        _bad("U-07-name-empty", _OK + b": b\r\n" + end),
        _bad("U-07-head-1-mb", _OK + b"a: " + b"b" * 1_000_000 + b"\r\n" + end),
        _bad("U-07-fields-10000", _OK + b"a: b\r\n" * 10_000 + end),
        _bad("U-07-fields-200", _OK + b"a: b\r\n" * 200 + end),
        _good("U-07-hop-by-hop", Answered(fields_absent=gone), _OK + hop + end),
        *(
            _good(
                f"U-08-redirect-{status}-{name}",
                Answered(status=status, body=b""),
                b"HTTP/1.1 %d Found\r\nlocation: %s\r\n" % (status, location)
                + b"content-length: 0\r\n\r\n",
            )
            for status, name, location in (
                (301, "to-itself", TARGET),
                (302, "to-metadata", b"http://169.254.169.254/"),
                (307, "to-internal-host", b"https://10.0.0.1/"),
                (308, "to-plain-http", b"http://service.example/"),
            )
        ),
    )


def _after_the_answer() -> tuple[Case, ...]:
    head = Answered(body=b"")
    return (
        _good("U-12-bytes-after", Answered(), _ABC + b"junk"),
        _good("U-12-second-answer", Answered(), _ABC + _ABC),
        _good("U-12-half-answer-after", Answered(), _ABC + b"HTTP/1.1 200 OK\r\ncontent"),
        _good("U-12-bytes-after-chunks", Answered(), _CHUNKED + b"3\r\nabc\r\n0\r\n\r\n" + _ABC),
        _good(
            "U-13-204-with-length",
            Answered(status=204, body=b""),
            b"HTTP/1.1 204 No\r\ncontent-length: 3\r\n\r\n",
        ),
        _good(
            "U-13-204-with-body",
            Answered(status=204, body=b""),
            b"HTTP/1.1 204 No\r\ncontent-length: 3\r\n\r\nabc",
        ),
        _good(
            "U-13-304-with-length",
            Answered(status=304, body=b""),
            b"HTTP/1.1 304 No\r\ncontent-length: 3000000\r\n\r\n",
        ),
        Case(
            id="U-13-head",
            method="HEAD",
            verdict=head,
            script=(_OK + b"content-length: 3000000\r\n\r\n",),
        ),
        Case(id="U-13-head-chunked", method="HEAD", verdict=head, script=(_CHUNKED,)),
        Case(id="U-13-head-no-length", method="HEAD", verdict=head, script=(_OK + b"\r\n",)),
        Case(id="U-13-head-with-body", method="HEAD", verdict=head, script=(_ABC,)),
        Case(
            id="U-13-connect",
            method="CONNECT",
            base_url="http://127.0.0.1:1",
            script=(),
            verdict=Failure.REFUSED,
        ),
        Case(
            id="U-13-head-with-chunks",
            method="HEAD",
            verdict=head,
            script=(_CHUNKED + b"0\r\n\r\n",),
        ),
    )


def _bodies() -> tuple[Case, ...]:
    gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03"
    ask = b"www-authenticate: Basic\r\ncontent-length: 3\r\n\r\nabc"
    refused = Failure.REFUSED
    coded = _OK + b"content-encoding: gzip\r\ncontent-length: 10\r\n\r\n" + gzip
    trailed = b"3\r\nabc\r\n0\r\nauthorization: x\r\nhost: y\r\n\r\n"
    trailers = Answered(fields_absent=frozenset({b"authorization", b"host"}))
    hints = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    return (
        _good("U-10-gzip-left-alone", Answered(body=gzip), coded),
        _good(
            "U-11-error-page",
            Answered(status=500),
            b"HTTP/1.1 500 Oops\r\ncontent-type: text/html\r\ncontent-length: 3\r\n\r\nabc",
        ),
        Case(id="U-14-401", script=(b"HTTP/1.1 401 No\r\n" + ask,), verdict=refused),
        Case(id="U-14-407", script=(b"HTTP/1.1 407 No\r\n" + ask,), verdict=refused),
        _good("U-16-trailers", trailers, _CHUNKED + trailed),
        _good("U-16-early-hints", Answered(fields_absent=frozenset({b"link"})), hints + _ABC),
        _bad("U-16-trailers-without-end", _CHUNKED + b"0\r\n", Repeat(part=b"a: b\r\n" * 1000)),
        _bad("U-16-extension-without-end", _CHUNKED + b"1;", Repeat(part=b"a" * 5000)),
        _bad("U-17-declared-10-gb", _OK + b"content-length: 10000000000\r\n\r\n", Act.STALL),
        _bad("U-17-endless-chunks", _CHUNKED, Repeat(part=b"400\r\n" + b"a" * 1024 + b"\r\n")),
        _bad("U-17-endless-body", _OK + b"\r\n", Repeat(part=b"a" * 1024)),
    )


def _addresses() -> tuple[Case, ...]:
    """Spellings of addresses that no service has; those of loopback are the tests' own."""
    return tuple(
        _unsent(f"U-09-{name}", f"https://{host}", Failure.REFUSED)
        for name, host in (
            ("metadata", "169.254.169.254"),
            ("metadata-decimal", "2852039166"),
            ("metadata-hexadecimal", "0xa9fea9fe"),
            ("metadata-in-ipv6", "[::ffff:169.254.169.254]"),
            ("metadata-behind-nat64", "[64:ff9b::a9fe:a9fe]"),
            ("link-local", "[fe80::1]"),
            ("unique-local", "[fd00::1]"),
            ("private", "10.0.0.1"),
            ("unspecified", "0.0.0.0"),  # noqa: S104 - called, not listened on
            ("multicast", "224.0.0.1"),
        )
    )


def _mixed_up() -> tuple[Case, ...]:
    own, other = (b"x-request-id: %s\r\n" % one for one in (REQUEST_ID, b"somebody-else"))
    rest = b"content-length: 3\r\n\r\nabc"
    return (
        _good("U-15-own-answer", Answered(), _OK + own + rest),
        _bad("U-15-another-requests-answer", _OK + other + rest),
        _bad("U-15-two-requests-answer", _OK + own + other + rest),
    )


def _streams() -> tuple[Case, ...]:
    """Bodies that come in pieces, either way."""
    more = (b"x" * 65536,) * 256  # more than any two sockets hold
    full = b"HTTP/1.1 413 Full\r\ncontent-length: 3\r\n\r\nabc"
    post, got = "POST", Answered()
    unreachable, late = Failure.UNREACHABLE, Failure.TIMED_OUT
    begun = _OK + b"content-length: 9\r\n\r\nabc"
    return (
        Case(id="U-01-closes-in-request", method=post, sent=more, verdict=unreachable,
             script=(Act.DEAF, Act.CLOSE)),
        Case(id="U-01-resets-in-request", method=post, sent=more, verdict=unreachable,
             script=(Act.DEAF, Act.RESET)),
        Case(id="U-02-takes-no-body", method=post, sent=more, verdict=late, idle_s=DEADLINE_S,
             script=(Act.DEAF, Act.STALL)),
        Case(id="U-02-answers-no-streamed-body", method=post, sent=(b"ab", b"c"), verdict=late,
             deadline_s=DEADLINE_S, script=(Act.STALL,)),
        Case(id="U-02-stalls-in-pieces", in_pieces=True, verdict=late, idle_s=DEADLINE_S,
             script=(begun, Act.STALL)),
        Case(id="U-02-drips-pieces", in_pieces=True, verdict=late, stream_s=DEADLINE_S,
             script=(_CHUNKED, Repeat(part=b"1\r\na\r\n", every_s=0.02))),
        Case(id="U-04-short-in-pieces", in_pieces=True, verdict=Failure.MALFORMED,
             script=(begun, Act.CLOSE)),
        Case(id="U-13-body-in-chunks", method=post, sent=(b"a", b"", b"bc" * 1000), verdict=got,
             script=(_ABC,)),
        Case(id="U-13-body-with-length", method="PUT", sent=(b"ab", b"c"), sized=True, verdict=got,
             script=(_ABC,)),
        Case(id="U-13-body-of-nothing", method=post, sent=(b"",), verdict=got, script=(_ABC,)),
        Case(id="U-13-refuses-before-the-body", method=post, sent=more,
             verdict=Answered(status=413), script=(Act.DEAF, full, Act.STALL)),
    )  # fmt: skip
