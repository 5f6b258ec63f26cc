"""The strict front's verdicts on heads: hosts (HO), fields (H), framing (F) and methods (P)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProblemCode
from gateway.exchange.front.rules import FIELDS, FrontSettings, Head, check_head, read_host
from gateway.exchange.messages import FrontRefusal

Fields = list[tuple[bytes, bytes]]
_HOST = (b"host", b"gateway.example")


def _check(
    fields: Fields,
    *,
    method: bytes = b"GET",
    target: bytes = b"/a",
    version: bytes = b"HTTP/1.1",
    secure: bool = False,
    settings: FrontSettings | None = None,
) -> Head | FrontRefusal:
    return check_head(
        method, target, version, fields, settings=settings or FrontSettings(), secure=secure
    )


def _code(verdict: Head | FrontRefusal) -> ProblemCode | None:
    return verdict.code if isinstance(verdict, FrontRefusal) else None


def _accepted(verdict: Head | FrontRefusal) -> Head:
    assert isinstance(verdict, Head)
    return verdict


def test_a_plain_request_is_accepted() -> None:
    """Method, target, host and the fields with a rule come through."""
    head = _accepted(_check([_HOST, (b"accept", b"*/*"), (b"authorization", b"Bearer x")]))
    assert (head.method, head.target.path, head.host) == ("GET", "/a", "gateway.example")
    assert head.headers == ((b"accept", b"*/*"), (b"authorization", b"Bearer x"))
    assert (head.body_bytes, head.expects_continue, head.close) == (0, False, False)


_BAD_HOSTS: dict[str, list[Fields]] = {
    "HO-01": [[], [_HOST, _HOST], [_HOST, (b"host", b"other")], [(b"host", b"")]],
    "HO-02": [
        [(b"host", host)]
        for host in (
            b"a, b",
            b"a b",
            b"a" * 300,
            b"a" * 64 + b".example",
            b"a:99999",
            b"a:0",
            b"a:080",
            b"a:",
            b":80",
            b"[::1",
            b"[::g]",
            b"[1.2.3.4]",
            b"[fe80::1%25eth0]",
            b"a@b",
            b"a..b",
            b"a.",
        )
    ],
    "HO-03": [
        [(b"host", host)] for host in (b"a/../b", b"a/x?y#z", b"a\tb", b"a%2fb", b"a\\b", b"\xe9")
    ],
}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(fields, id=f"{name}-{[v[:12] for _, v in fields]!r}")
        for name, cases in _BAD_HOSTS.items()
        for fields in cases
    ],
)
def test_a_request_has_one_valid_host(fields: Fields) -> None:
    """No host, two hosts, or one that is none, is 400 (RFC 9112, section 3.2)."""
    assert _code(_check(fields)) is ProblemCode.INVALID_HOST


@pytest.mark.parametrize(
    ("value", "host"),
    [
        (b"A.Example:8080", "a.example:8080"),
        (b"127.0.0.1:65535", "127.0.0.1:65535"),
        (b"[::1]:80", "[::1]:80"),
        (b"[2001:DB8:0:0::1]", "[2001:db8::1]"),
        (b"[0:0:0:0:0:0:0:1]:80", "[::1]:80"),
        (b"my_service", "my_service"),
    ],
)
def test_a_host_is_read_as_it_is_written_in_one_way(value: bytes, host: str) -> None:
    """Names are compared in lower case, and addresses by what they mean."""
    assert read_host(value) == host


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        (b"a.example", True),
        (b"A.example:9", True),
        (b"b.example:8443", True),
        (b"b.example", False),
        (b"[::1]:80", True),
        (b"c.example", False),
    ],
)
def test_ho_04_another_host_is_misdirected(host: bytes, *, ours: bool) -> None:
    """Where hosts are listed, any other is 421; an entry without port is for every port."""
    settings = FrontSettings(hosts=frozenset({"a.example", "b.example:8443", "[::1]"}))
    code = _code(_check([(b"host", host)], settings=settings))
    assert code is (None if ours else ProblemCode.MISDIRECTED)


def test_ho_06_an_address_may_be_written_in_two_ways() -> None:
    """A target and a `Host` that name one address name one place; no others do."""
    host = [(b"host", b"[2001:DB8:0:0::1]:80")]
    for address, code in ((b"2001:db8::1", None), (b"2001:db8::2", ProblemCode.INVALID_HOST)):
        assert _code(_check(host, target=b"http://[%b]:80/a" % address)) is code


@pytest.mark.parametrize(
    ("target", "secure", "code"),
    [
        (b"http://%b/a" % (b"a" * 300), False, ProblemCode.INVALID_HOST),
        (b"http://gateway.example/a?b=1", False, None),
        (b"https://gateway.example/a?b=1", True, None),
        (b"http://GATEWAY.example/a?b=1", False, None),
        (b"http://evil.example/a", False, ProblemCode.INVALID_HOST),
        (b"http://gateway.example:80/a", False, ProblemCode.INVALID_HOST),
        (b"http://u@gateway.example/a", False, ProblemCode.INVALID_HOST),
        (b"https://gateway.example/a", False, ProblemCode.INVALID_HOST),
        (b"http:///a", False, ProblemCode.INVALID_HOST),
        (b"ftp://gateway.example/a", False, ProblemCode.PATH_NOT_CANONICAL),
        (b"http://gateway.example", False, ProblemCode.PATH_NOT_CANONICAL),
        (b"http://gateway.example/a/../b", False, ProblemCode.PATH_NOT_CANONICAL),
        (b"*", False, ProblemCode.PATH_NOT_CANONICAL),
        (b"gateway.example:443", False, ProblemCode.PATH_NOT_CANONICAL),
    ],
)
def test_ho_06_an_absolute_target_names_the_host(
    target: bytes, code: ProblemCode | None, *, secure: bool
) -> None:
    """An absolute target is taken only where its authority and scheme are the connection's."""
    verdict = _check([_HOST], target=target, secure=secure)
    assert _code(verdict) is code
    if code is None:
        assert _accepted(verdict).target.raw == b"/a?b=1"


@pytest.mark.parametrize(
    ("method", "code"),
    [
        *[(m, None) for m in (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE")],
        *[
            (m, ProblemCode.METHOD_NOT_ALLOWED)
            for m in (b"get", b"FOO", b"TRACE", b"TRACK", b"CONNECT", b"PROPFIND", b"OPTIONS")
        ],
        (b"", ProblemCode.MALFORMED_REQUEST),
        (b"GE T", ProblemCode.MALFORMED_REQUEST),
        (b"GET\xff", ProblemCode.MALFORMED_REQUEST),
    ],
)
def test_p_23_methods_are_listed(method: bytes, code: ProblemCode | None) -> None:
    """Six methods are served, in upper case; H-23: a preflight is not one of them."""
    assert _code(_check([_HOST], method=method)) is code


@pytest.mark.parametrize("target", [b"*", b"a:443", b"foo"])
def test_p_14_an_odd_method_with_an_odd_target_is_refused(target: bytes) -> None:
    """``OPTIONS *`` and ``CONNECT a:443`` are refused for their method."""
    verdict = _check([_HOST], method=b"CONNECT", target=target)
    assert _code(verdict) is ProblemCode.METHOD_NOT_ALLOWED


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b""])
def test_f_16_other_versions_are_refused(version: bytes) -> None:
    """Only HTTP/1.1 is spoken."""
    assert _code(_check([_HOST], version=version)) is ProblemCode.HTTP_VERSION


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"100-continue", None),
        (b"100-Continue", None),
        (b"foo", ProblemCode.EXPECTATION_FAILED),
        (b"100-continue, foo", ProblemCode.EXPECTATION_FAILED),
    ],
)
def test_h_07_only_100_continue_can_be_expected(value: bytes, code: ProblemCode | None) -> None:
    """Any other expectation is 417 (RFC 9110, section 10.1.1)."""
    verdict = _check([_HOST, (b"expect", value), (b"content-length", b"1")], method=b"POST")
    assert _code(verdict) is code
    if code is None:
        assert _accepted(verdict).expects_continue


_DROPPED = {
    "H-06": [b"te", b"upgrade", b"http2-settings"],
    "H-10": [
        b"x-consumer-id",
        b"x-gateway-client",
        b"x-agreement-id",
        b"x-purpose",
        b"x-authenticated-user",
        b"remote-user",
        b"exchange-id",
    ],
    "H-11": [
        b"x_consumer_id",
        b"x.authenticated.user",
        b"x-request_id",
        b"x_request_id",
        b"x.request.id",
        b"x--request-id",
        b"x-request-id-",
        b"d-pop",
        b"dp_op",
        b"content_type",
    ],
    "H-13": [b"x-forwarded-for", b"forwarded", b"x-real-ip", b"true-client-ip", b"client-cert"],
    "H-14": [b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"],
    "H-15": [b"x-original-url", b"x-rewrite-url", b"x-envoy-original-path"],
    "H-16": [b"x-http-method-override", b"x-method-override"],
    "H-17": [b"baggage", b"tracestate"],
    "H-22": [b"cookie"],
    "H-23": [b"origin", b"access-control-request-method"],
    "H-24": [b"proxy-authorization", b"proxy-connection", b"keep-alive"],
    "F-06": [b"transfer_encoding"],
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, id=f"{key}-{n.decode()}") for key, ns in _DROPPED.items() for n in ns],
)
def test_a_field_without_a_rule_is_dropped(name: bytes) -> None:
    """Names that would speak for the gateway, their aliases and hop-by-hop fields end here."""
    assert _accepted(_check([_HOST, (name, b"x"), (name, b"y")])).headers == ()


def _singles() -> list[bytes]:
    return sorted(name for name, rule in FIELDS.items() if rule.single)


@pytest.mark.parametrize("name", _singles())
def test_h_20_a_single_field_comes_once(name: bytes) -> None:
    """Two values of a field that has one meaning are 400 or 417, whichever comes first."""
    verdict = _check([_HOST, (name, b"1"), (name, b"1")], method=b"POST")
    assert _code(verdict) is FIELDS[name].fault


def test_lists_may_come_in_several_lines() -> None:
    """Fields whose value is a list keep all their lines, in order."""
    fields = [(b"accept", b"a/b"), (b"accept", b"c/d"), (b"prefer", b"exchange-receipt")]
    assert _accepted(_check([_HOST, *fields])).headers == tuple(fields)


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        (b"idempotency-key", b'"8e03978e-40d5-43e8-bc93-6894a57f9324"', True),
        (b"idempotency-key", b"order-7", True),
        (b"x-request-id", b"a" * 128, True),
        (b"x-request-id", b"A.b_c-9", True),
        (b"x-request-id", b"a" * 129, False),
        (b"x-request-id", b"%0a", False),
        (b"x-request-id", b"a b", False),
        (b"x-request-id", b"", False),
        (b"x-correlation-id", b'a"b', False),
        (b"traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01", True),
        (b"traceparent", b"00-" + b"0" * 32 + b"-" + b"2" * 16 + b"-01", False),
        (b"traceparent", b"ff-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01", False),
        (b"traceparent", b"junk", False),
    ],
)
def test_h_17_h_18_malformed_identifiers_are_dropped(
    name: bytes, value: bytes, *, kept: bool
) -> None:
    """What goes into logs and traces has a plain form, or is replaced by ours."""
    assert _accepted(_check([_HOST, (name, value)])).headers == (((name, value),) if kept else ())


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"bytes=0-99", None),
        (b"bytes=5-", None),
        (b"bytes=-5", None),
        (b"bytes=0-,0-", ProblemCode.HEADER_NOT_ALLOWED),
        (b"bytes=" + b"0-," * 1000, ProblemCode.HEADER_NOT_ALLOWED),
        (b"bytes=-", ProblemCode.HEADER_NOT_ALLOWED),
    ],
)
def test_h_22_one_range_is_taken(value: bytes, code: ProblemCode | None) -> None:
    """Many ranges only cost, and are refused."""
    assert _code(_check([_HOST, (b"range", value)])) is code


@pytest.mark.parametrize("value", [b"", b'"', b'"a', b"a b", b'"\\"', b"a" * 129])
def test_a_key_that_cannot_be_read_is_refused(value: bytes) -> None:
    """Dropped, it would let a call be made twice."""
    found = _check([_HOST, (b"idempotency-key", value)])

    assert _code(found) is ProblemCode.HEADER_NOT_ALLOWED


def test_h_04_connection_cannot_take_away_what_decides() -> None:
    """Nominated fields are hop-by-hop and dropped, but never the caller's proofs."""
    fields = [
        (b"authorization", b"Bearer x"),
        (b"accept", b"*/*"),
        (b"x-request-id", b"a"),
        (b"idempotency-key", b"once"),
        (b"connection", b"X-Request-Id, Authorization , traceparent, Idempotency-Key"),
    ]
    head = _accepted(_check([_HOST, *fields]))
    kept = {b"authorization", b"accept", b"idempotency-key"}
    assert {name for name, _ in head.headers} == kept


@pytest.mark.parametrize(
    ("values", "close"),
    [
        ([b"close, close, keep-alive"], True),
        ([b"keep-alive", b"Close"], True),
        ([b"keep-alive"], False),
        ([b", ".join([b"x"] * 1000)], False),
    ],
)
def test_h_05_connection_options_are_read(values: list[bytes], *, close: bool) -> None:
    """`close` counts wherever it stands."""
    head = _accepted(_check([_HOST, *((b"connection", value) for value in values)]))
    assert head.close is close


@given(
    method=st.binary(max_size=8) | st.just(b"POST"),
    target=st.binary(max_size=20) | st.just(b"/a"),
    fields=st.lists(
        st.tuples(st.sampled_from(sorted(FIELDS)) | st.binary(max_size=6), st.binary(max_size=12)),
        max_size=6,
    ),
)
def test_any_octets_give_a_head_or_a_refusal(method: bytes, target: bytes, fields: Fields) -> None:
    """The front is total, and lets through only fields that have a rule."""
    verdict = _check([_HOST, *fields], method=method, target=target)
    if isinstance(verdict, Head):
        assert {name for name, _ in verdict.headers} <= set(FIELDS)


@pytest.mark.parametrize(
    ("vias", "kept"),
    [
        ([b"1.1 concordat-a.example"], None),
        ([b"1.0 fred, 1.1 Concordat-A.example (x)"], None),
        ([b"1.1 concordat-b.example", b"1.1 proxy, 1.1 concordat-a.example"], None),
        ([b", ".join([b"1.1 concordat-b.example"] * 9)], None),
        ([b"1.1 concordat-b.example", b"1.1 proxy.example"], b"1.1 concordat-b.example"),
        ([b"1.1 a.example"], b""),
    ],
)
def test_n_12_a_request_that_has_been_here_is_a_loop(vias: list[bytes], kept: bytes | None) -> None:
    """Ourselves in `Via` is 508; another gateway there is none, and is told to the next one."""
    settings = FrontSettings(pseudonym=b"concordat-a.example")
    fields = [_HOST, *[(b"via", via) for via in vias], (b"connection", b"via")]
    verdict = _check(fields, settings=settings)
    assert _code(verdict) is (ProblemCode.LOOP_DETECTED if kept is None else None)
    if kept is not None:
        assert _accepted(verdict).headers == (((b"via", kept),) if kept else ())
