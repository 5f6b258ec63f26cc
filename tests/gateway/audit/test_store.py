"""What callers may rely on about the ways in which appending fails."""

from __future__ import annotations

from gateway.audit.store import (
    AlreadyClosed,
    AppendRefused,
    ClaimTaken,
    CounterExceeded,
    LogBusy,
    LogFrozen,
    LogUnavailable,
    RecordRepeated,
)


def test_every_failure_has_a_code_of_its_own_and_one_of_two_parents() -> None:
    """Callers catch LogUnavailable for "nothing may be done", AppendRefused for "not this"."""
    failures: list[type[LogUnavailable]] = [LogUnavailable, LogBusy, LogFrozen]
    refusals: list[type[AppendRefused]] = [
        AppendRefused,
        ClaimTaken,
        CounterExceeded,
        RecordRepeated,
        AlreadyClosed,
    ]
    assert all(issubclass(kind, LogUnavailable) for kind in failures)
    assert all(issubclass(kind, AppendRefused) for kind in refusals)
    codes = [kind.code for kind in failures] + [kind.code for kind in refusals]
    assert len(set(codes)) == len(codes)


def test_no_key_is_in_a_refusals_text() -> None:
    """A claim's key may stand for a person's token, so texts do not show it."""
    assert "secret" not in str(ClaimTaken(b"secret"))
    assert "secret" not in str(CounterExceeded(b"secret"))
