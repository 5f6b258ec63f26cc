"""What each setting accepts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.setting_checks import (
    check_base_url,
    check_duration,
    check_file_reference,
    check_hosts,
    check_listener,
    check_organisation,
    check_reference,
    check_siem_otlp_url,
    check_siem_url,
)

OTLP = "http://127.0.0.1:4318/v1/logs"
SYSLOG_0 = "syslog+tls://a:0"
ENV = "env:CONCORDAT_SECRET_SIEM"


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (check_listener, ("127.0.0.1:0", "[::1]:65535"), ("localhost:1", "127.0.0.1", "1.2.3.4:x")),
        (check_base_url, ("https://a.example", "http://a:1"), ("https://a/", "ftp://a", "https://")),
        (check_hosts, ("a", "a.b:1, [::1]:2,C_d"), ("", "a,", "http://a", "a:0", "a.:1")),
        (check_organisation, ("ods:X9Z", "gss:E06999001"), ("X9Z", "http:x")),
        (check_siem_url, ("syslog+tls://a", "syslog+tls://[::1]:6514"), ("syslog://a", SYSLOG_0)),
        (check_siem_otlp_url, ("https://a/v1/logs", OTLP), ("http://a/v1/logs",)),
        (check_duration, ("P1Y", "P90D"), ("PT1H", "1 year")),
        (check_reference, ("file:siem-token", ENV), ("hunter2", "env:HOME")),
        (check_file_reference, ("file:client.pem",), (ENV, "file:../client.pem")),
    ],
)  # fmt: skip
def test_a_setting_is_kept_as_it_was_written_or_refused(
    check: Callable[[str], str], good: tuple[str, ...], bad: tuple[str, ...]
) -> None:
    """What is accepted is not changed; the rest raises ValueError, which becomes a sentence."""
    assert [check(one) for one in good] == list(good)
    for one in bad:
        with pytest.raises(ValueError):  # noqa: PT011 - the sentence is each check's own
            check(one)


@pytest.mark.parametrize(
    "listener",
    [
        "[127.0.0.1]:80",
        "[127.0.0.1:80",
        "::1:8080",
        "[::1:8080",
        "::1]:8080",
        "[]:80",
        ":80",
        "[::1]",
    ],
)
def test_a_listener_s_address_can_be_read_in_one_way(listener: str) -> None:
    """Six groups and a port may be seven groups: what is in brackets is the address."""
    with pytest.raises(ValueError):  # noqa: PT011 - some of them are the library's
        check_listener(listener)


PORTS = (":0", ":", ":99999", ":123456", ":abc", ":-1", ":80:80")
HOSTS = (
    "",
    "a b",
    "a..b",
    ".a",
    "a" * 64,
    "[::1",
    "[1::2::3]",
    "[127.0.0.1]",
    "::1",
    "b\u00e9",
    "x@a",
)


@pytest.mark.parametrize(
    ("check", "scheme"), [(check_base_url, "https"), (check_siem_url, "syslog+tls")]
)
def test_a_url_names_what_can_be_connected_to(check: Callable[[str], str], scheme: str) -> None:
    """A sentence at the start, and no exception of the resolver's once it runs."""
    for host in ("a", "A-b.example", "a.example.", "1.2.3.4", "[2001:db8::1]", "a" * 63):
        for port in ("", ":1", ":65535"):
            assert check(f"{scheme}://{host}{port}") == f"{scheme}://{host}{port}"
    for place in (*(f"a{port}" for port in PORTS), *HOSTS):
        for end in ("", "\n"):
            with pytest.raises(ValueError, match=f"write it as {scheme.partition('+')[0]}"):
                check(f"{scheme}://{place}{end}")


def test_what_follows_a_base_url_is_told_apart() -> None:
    """The rest of it is right, and the sentence says so."""
    for more in ("/", "/audit", "?a=b", "#a"):
        with pytest.raises(ValueError, match="https://a_b:1 would be accepted"):
            check_base_url(f"https://a_b:1{more}")


def test_what_need_not_be_set_may_be_left_out() -> None:
    """None stays none."""
    checks = (check_hosts, check_siem_url, check_siem_otlp_url, check_reference)
    assert [check(None) for check in (*checks, check_file_reference)] == [None] * 5
