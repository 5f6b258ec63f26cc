"""The calls of a scenario pack as values: who calls, with what, and what is expected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from policies.decision import PUBLIC


class PackInvalid(Exception):
    """A file of the pack cannot be read as one; the message names file, call and word."""


class ProofKind(StrEnum):
    """The DPoP proof that goes with a bound token: a good one, or how it is spoiled."""

    GOOD = "good"
    NONE = "none"
    OTHER_KEY = "other_key"
    OTHER_METHOD = "other_method"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlass:
    """The urgent grant that a token invokes, and the state that the gateway holds for its user."""

    reason: str
    justification: str
    started_at: datetime | None = None
    subjects_so_far: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFacts:
    """What the issuer is to assert. `client` None is a caller without a token.

    `agreement` and `purpose` None leave that word out of ``authorization_details``; `subject`
    None is an application acting for nobody.
    """

    organisation: str
    client: str | None
    issuer: str | None
    subject: str | None
    roles: tuple[str, ...]
    acr: str | None
    purpose: str | None
    agreement: str | None
    context: Mapping[str, str]
    on_behalf_of: str | None
    break_glass: BreakGlass | None
    bound: bool

    @property
    def public(self) -> bool:
        """Whether the caller sends no token at all: only a client can have one."""
        return self.organisation == PUBLIC or self.client is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the pack says of the answer; None or empty where it says nothing.

    `fields` is the exact set of fields of each record, `fields_withheld` a subset of what the
    record says was withheld; `eligible` counts the records that answer yes.
    """

    decision: str
    status: int
    reason: str
    rule: str | None = None
    records: int | None = None
    fields: frozenset[str] | None = None
    fields_withheld: frozenset[str] = frozenset()
    redacted_subjects: int | None = None
    eligible: int | None = None
    content_type: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditExpectation:
    """What the pack says of the record; `alert` False is not checked (scenarios/README.md)."""

    action: str | None = None
    subjects: int | None = None
    instrument: str | None = None
    alert: bool = False
    notify: frozenset[str] = frozenset()
    review_due: datetime | None = None
    subject_view: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioCall:
    """One call of the pack, at its own instant, with what is expected of it.

    `batch_rows` stands for a body of that many made-up rows; `connector_returns` is the data file
    the department serves instead; `decision_already_used` is state from before the call.
    """

    id: str
    title: str
    at: datetime
    token: TokenFacts
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, object] | None = None
    batch_rows: int | None = None
    proof: ProofKind = ProofKind.GOOD
    connector_returns: str | None = None
    decision_already_used: bool = False
    expect: Expectation
    audit: AuditExpectation = field(default_factory=AuditExpectation)

    @property
    def trouble(self) -> str | None:
        """Why no client could ever make this call, or None."""
        if not _METHOD.fullmatch(self.method):
            return f"{self.method!r} is not a method of HTTP"
        if not _PATH.fullmatch(self.path):
            return (
                f"{self.path!r} is not a path: one begins with a slash, has no control characters, "
                "and what would follow a question mark is in query"
            )
        if not self.token.public and self.token.issuer is None:
            return "issuer is missing: the client needs one for its token"
        urgent = self.token.break_glass
        for name, at in (("at", self.at), ("started_at", urgent.started_at if urgent else None)):
            if at is not None and at.year not in YEARS:
                return f"{name} is in {at.year}, and calls are of {YEARS.start} to {YEARS.stop - 1}"
        return None


YEARS: Final = range(1700, 2250)
"""Years in which a call can be made.

Records keep microseconds since 1970 in the 53 bits that JSON carries exactly (RFC 8259, section 6):
1684 to 2255. The rest is room for what falls due after the call.
"""
_METHOD: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A method of HTTP (RFC 9110, sections 5.6.2 and 9.1)."""
_PATH: Final = re.compile(r"/[^\x00-\x1f\x7f?#\ud800-\udfff]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthoringRefusal:
    """A change to an agreement that nobody must be able to make.

    `change` maps a member of the agreement, or a short word for one, to its new value; `error` is
    the code with which it is refused, None for any.
    """

    id: str
    title: str
    agreement: str | None = None
    change: Mapping[str, object] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSheet:
    """All calls to play, in order, and the authoring attempts that must be refused."""

    calls: tuple[ScenarioCall, ...]
    authoring_refusals: tuple[AuthoringRefusal, ...]
