"""What each setting accepts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.setting_checks import (
    check_base_url,
    check_duration,
    check_file_reference,
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


def test_what_need_not_be_set_may_be_left_out() -> None:
    """None stays none."""
    checks = (check_siem_url, check_siem_otlp_url, check_reference, check_file_reference)
    assert [check(None) for check in checks] == [None] * 4
