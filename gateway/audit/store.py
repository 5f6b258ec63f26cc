"""What the log asks of a driver, and the ways in which appending is refused or fails."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol

from gateway.audit.keys.files import KeysUnavailable
from gateway.audit.seal import Sealed
from policies.hot import hot_value


class LogUnavailable(Exception):
    """Nothing can be recorded, so nothing may be done (invariant I10)."""

    code: ClassVar[str] = "audit-unavailable"


def not_sealed(fault: Exception) -> Exception:
    """Return why a record was not sealed: without the day's key nothing can be recorded (I10)."""
    return LogUnavailable(str(fault)) if isinstance(fault, KeysUnavailable) else fault


class LogBusy(LogUnavailable):
    """The queue is full or the deadline passed: nothing may rest on the record.

    It was not stored and never will be, with one exception: a commit that PostgreSQL was at when
    the deadline passed may still succeed. The log then closes what an intent has begun, and has
    the outcome that is left in another's place settle the difference (`overdue`). A later append
    may succeed.
    """

    code: ClassVar[str] = "audit-busy"


class LogFull(LogBusy):
    """The disk has no room, or too little to begin anything: the record was not stored.

    What room is left is for the ends of what has begun.
    """

    code: ClassVar[str] = "audit-full"


class LogFrozen(LogUnavailable):
    """The log and its signed heads contradict each other; only an operator can go on."""

    code: ClassVar[str] = "audit-frozen"


class AppendRefused(Exception):
    """The store refused this record and nothing else: it took no index and left no trace."""

    code: ClassVar[str] = "append-refused"


class ClaimTaken(AppendRefused):
    """Somebody holds the claim and it has not expired: a replay, or a form used twice."""

    code: ClassVar[str] = "claim-taken"

    def __init__(self, key: bytes) -> None:
        """Keep the key of the claim."""
        super().__init__("a claim is already taken")
        self.key = key


class CounterExceeded(AppendRefused):
    """The addition would take a counter above its maximum."""

    code: ClassVar[str] = "counter-exceeded"

    def __init__(self, key: bytes) -> None:
        """Keep the key of the counter."""
        super().__init__("a counter would pass its maximum")
        self.key = key


class GrantExhausted(AppendRefused):
    """The urgent grant would cover more people than it may."""

    code: ClassVar[str] = "grant-exhausted"

    def __init__(self, holder: bytes) -> None:
        """Keep the tag of the grant's holder."""
        super().__init__("an urgent grant would cover too many people")
        self.holder = holder


class RecordRepeated(AppendRefused):
    """The record's identifier, or the open exchange's, is already in the log."""

    code: ClassVar[str] = "record-repeated"


class AlreadyClosed(AppendRefused):
    """The exchange has its terminal record, so it is not indeterminate (invariant I4)."""

    code: ClassVar[str] = "already-closed"


class Overtaken(AppendRefused):
    """A key or hold that was to change is not as it was when the change was planned."""

    code: ClassVar[str] = "overtaken"


class Claim(NamedTuple):
    """A key that one record alone may hold until `expires_at_us` (system time)."""

    key: bytes
    expires_at_us: int


class CounterChange(NamedTuple):
    """An addition to a durable counter, refused if it would take it above `maximum`.

    The period a counter is for is part of its key. A negative addition gives back, at most to 0.
    """

    key: bytes
    add: int
    maximum: int


class PeopleChange(NamedTuple):
    """Counts `people` (tags, each once) for a counter, or gives them back (`add` -1).

    Somebody counts once, however many exchanges count them, until all of those have given them
    back. Refused (CounterExceeded) if the counter would pass its `maximum`. After `until_us`
    (system time) the tags are forgotten; the period that they are for is part of `key`.
    """

    key: bytes
    people: Sequence[bytes]
    add: int
    maximum: int
    until_us: int


class Grant(NamedTuple):
    """The latest urgent grant of a holder: when it began, and the tags of the people it covers.

    `started_us` is decision time in microseconds. `said` tells whether the words that were asked
    about have been used in it, or in one before it.
    """

    started_us: int
    subjects: frozenset[bytes]
    said: bool


class GrantUse(NamedTuple):
    """One use of an urgent grant, refused if it would then cover more than `subjects_max` people.

    `seen_us` is when the holder's latest grant began, as the decision found it; None where there
    was none. The use begins a new grant if `begins` and nobody was faster, and otherwise goes on
    with the one there is. `started_us` is when the grant counts from: what a token says may make
    that earlier, never later. `holder`, `words` and `subjects` are tags.
    """

    holder: bytes
    words: bytes
    seen_us: int | None
    begins: bool
    started_us: int
    subjects: Sequence[bytes]
    subjects_max: int


class KeyChange(NamedTuple):
    """Wraps the keys of a record's sections `anew`, without those to erase; None leaves no key.

    The record is refused (Overtaken) if the stored keys are no longer `wrapped`, as they were read.
    """

    leaf_index: int
    wrapped: bytes
    anew: bytes | None


class HoldsUnchanged(NamedTuple):
    """Refuses the record (Overtaken) if a hold was added or released since this version."""

    version: int


class HoldAdded(NamedTuple):
    """Puts a legal hold in force; its columns are told in `holds`."""

    hold: bytes
    kind: str
    target: bytes
    reason: str
    since_us: int


class HoldReleased(NamedTuple):
    """Ends a legal hold; the record is refused (Overtaken) where somebody else has ended it."""

    hold: bytes


Beside = KeyChange | HoldsUnchanged | HoldAdded | HoldReleased
"""A change of keys or holds, which lie beside the records; no exchange has one."""
Change = CounterChange | PeopleChange | GrantUse | Beside
"""What a record changes beside itself, in the transaction that stores it."""


@hot_value(frozen=True, slots=True, kw_only=False)
class Position:
    """Where a durable record lies: its index is final and without gaps (invariants I3, I4)."""

    index: int
    leaf_hash: bytes


class Append(NamedTuple):
    """A sealed record, and what must hold or change in the transaction that stores it.

    After `deadline_s` (monotonic time) it is not stored any more: its caller has been told so.
    """

    sealed: Sealed
    claims: Sequence[Claim] = ()
    releases: Sequence[bytes] = ()
    counters: Sequence[Change] = ()
    deadline_s: float = math.inf


Answer = Position | AppendRefused | LogBusy
"""What becomes of one record of a batch; LogBusy is for one that came too late to be stored."""


class LogStore(Protocol):
    """Where records become durable, from as many processes as like."""

    async def append(self, batch: Sequence[Append]) -> Sequence[Answer]:
        """Store a batch in one transaction and one sync; answer for each record in its order.

        A refused or late record takes no index, and its batch mates are stored. From the look at
        the deadlines until the answer the event loop does nothing else. Raises LogBusy if nothing
        was written and a later try may succeed, LogUnavailable if the store cannot be trusted
        any more, LogFrozen if it was frozen.
        """

    async def find_grant(self, holder: bytes, words: bytes) -> Grant | None:
        """Return the latest urgent grant of a holder; LogUnavailable if it cannot be told."""

    async def is_claimed(self, key: bytes) -> bool:
        """Tell whether somebody holds a claim now; LogUnavailable if it cannot be told."""

    def close(self) -> None:
        """Give up the store's files."""
