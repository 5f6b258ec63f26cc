"""The calls of a scenario pack as values: who calls, with what, and what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

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
        """Whether the caller sends no token at all."""
        return self.organisation == PUBLIC


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
