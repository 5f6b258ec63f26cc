"""What a check of `concordat doctor` found, and the line that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What a check found."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: what it looked at, how it came out, and what mends it."""

    check: str
    state: State
    detail: str
    mend: str = ""


def ok(check: str, detail: str) -> Finding:
    """Return that all is well."""
    return Finding(check=check, state=State.OK, detail=detail)


def failed(check: str, detail: str, mend: str) -> Finding:
    """Return what is wrong; `mend` begins with the command that mends it."""
    return Finding(check=check, state=State.FAILED, detail=detail, mend=mend)


def unknown(check: str, detail: str, mend: str) -> Finding:
    """Return what could not be looked at, and what makes that possible."""
    return Finding(check=check, state=State.UNKNOWN, detail=detail, mend=mend)
