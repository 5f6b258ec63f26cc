"""What the catalogue knows about one kind of problem."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Origin(StrEnum):
    """Where it broke, and so whose turn it is."""

    CLIENT = "client"
    GATEWAY = "gateway"
    PEER = "peer"
    SERVICE = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One kind of problem: `explanation` says what it means, `mend` what the reader can do.

    `code` is the last part of ``/problems/<code>``; `status` its HTTP status; `title` the short
    summary that is the same at every occurrence (RFC 9457, section 3.1.3).
    """

    code: str
    status: int
    title: str
    explanation: str
    mend: str
    origin: Origin
