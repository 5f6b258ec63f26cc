"""What is known of one exchange once it is decided, and how it ended: the matter of its records."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from connectors.base import Failure
from gateway.audit.store import Position
from gateway.exchange.duties.named_people import NamedPeople
from gateway.exchange.messages import Headers, Request
from gateway.exchange.snapshot import Service, Snapshot
from gateway.identity.caller import Authenticated
from gateway.telemetry import TraceContext, format_traceparent
from policies.compile import Policy
from policies.decision import Decision, Query, ReasonCode
from policies.hot import hot_value


@hot_value(frozen=True, slots=True, kw_only=True)
class HeldGrant:
    """A user's urgent grant as the decision found it.

    `holder` and `words` are tags of user and justification; `seen_us` is when the grant that was
    found had begun, None where there was none, and `started_us` when it counts from now on, both
    in decision time. `begins` tells whether this call begins a new one.
    """

    holder: bytes
    words: bytes
    seen_us: int | None
    begins: bool
    started_us: int


@hot_value(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One exchange after its decision.

    `started_us` is system time and `began_us` monotonic time, both in microseconds; `at` is the
    decision time. `authenticated` is None for a public caller, `service` and `policy` are None
    where none was found. `body` is the whole request body; it is empty where `unread` says that
    the body was not needed for the decision, and goes upstream as it comes. `trace` is the caller's
    trace context, if it sent one. `grant` is the urgent grant that the call invokes, if the
    agreement has any. `snapshot` is what was in force.
    """

    id: bytes
    at: datetime
    started_us: int
    began_us: int
    trace: TraceContext | None
    request: Request
    query: Query
    decision: Decision
    snapshot: Snapshot
    authenticated: Authenticated | None = None
    service: Service | None = None
    policy: Policy | None = None
    body: bytes = b""
    grant: HeldGrant | None = None
    unread: bool = False

    @property
    def client(self) -> str | None:
        """Who is known to call, as one word of issuer and client; None for the public."""
        if self.authenticated is None:
            return None
        claims = self.authenticated.claims
        return f"{claims.issuer} {claims.client_id}"

    @property
    def trace_id(self) -> str:
        """The trace that the exchange is part of: the caller's, or its own (32 hex digits)."""
        return self.trace.trace_id if self.trace else self.id.hex()

    @property
    def span_id(self) -> str:
        """The gateway's own span in that trace (16 hex digits)."""
        return self.id.hex()[16:]

    @property
    def traceparent(self) -> bytes:
        """The field that continues the trace upstream (W3C Trace Context)."""
        sampled = self.trace is not None and self.trace.sampled
        return format_traceparent(self.trace_id, self.span_id, sampled=sampled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What passed through an exchange whose bodies were not held whole.

    `answer_bytes` were released to the consumer, None where the answer was whole; `request_bytes`
    went upstream, None where the request was whole. The digests are those of whole bodies only.
    `cut` says why a body, or the wait for the service, broke off before its end.
    """

    answer_bytes: int | None = None
    answer_digest: str | None = None
    request_bytes: int | None = None
    request_digest: str | None = None
    cut: str | None = None


@hot_value(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an exchange ended: what the consumer gets, and what the outcome record says of it.

    `problem` is the problem code where no data was released; `sent` is false only where the
    service surely never saw the call, and `failure` says how the call itself failed. `subjects`
    are the identifiers of the people in the answer, and `subjects_counted` the number of people,
    those that cannot be told apart included. Where `named` has what the record says of them, no
    more `subjects` are there than a grant or a day's count asks for. `flow` is for bodies that were
    not held whole. `end_unproved` tells that only the end of its connection ended the service's
    answer, so that it may have been cut. `recorded` is where the outcome lies, for those who want a
    receipt of it.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    reason: ReasonCode = ReasonCode.OK
    problem: str | None = None
    detail: str | None = None
    origin: str | None = None
    sent: bool = True
    failure: Failure | None = None
    service_status: int | None = None
    records: int = 0
    records_dropped: int = 0
    subjects: frozenset[str] = frozenset()
    subjects_counted: int = 0
    named: NamedPeople | None = None
    redacted_subjects: int = 0
    fields_sent: tuple[str, ...] = field(default=())
    fields_withheld: tuple[str, ...] = field(default=())
    leaked: tuple[str, ...] = field(default=())
    flow: Flow | None = None
    end_unproved: bool = False
    recorded: Position | None = None
