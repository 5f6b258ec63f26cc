"""How a call and its answer are handled under a decision's duties, settled once for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.exchange.derived import Derived
from gateway.exchange.duties.apply import Shape, has_body_duties, may_stream
from gateway.exchange.messages import Headers
from policies.decision import Duties
from policies.service import ServiceFacts

FORWARDED: Final = frozenset(
    {
        b"accept",
        b"accept-language",
        b"content-language",
        b"content-type",
        b"prefer",
        b"via",
        b"x-correlation-id",
    }
)
"""End-to-end request fields that a service may see; nothing that names or proves the caller."""
CONDITIONS: Final = frozenset(
    {b"if-match", b"if-modified-since", b"if-none-match", b"if-unmodified-since"}
)
"""Fields by which a caller asks about what a service has (RFC 9110, section 13.1).

Where duties apply, what it has is not what the caller may know: an entity tag may be a hash of
what is withheld, which whoever guesses right would learn, and that nothing changed would be told
also of records that are out of scope or protected. So a request that only reads goes without them,
and its answer is a whole one. A request that changes something must not lose its condition, lest
it overwrite what the caller has not seen: `*` and dates, which are no guess, go with it.
"""
FORWARDED_UNTOUCHED: Final = CONDITIONS | {b"accept-encoding", b"range", b"if-range"}
"""Fields that go upstream only where no duty has to read the answer."""
UNCODED: Final[Headers] = ((b"accept-encoding", b"identity"),)
"""What a service is told where a duty has to read the answer: a coded one would be withheld, and
who does not say so takes any coding (RFC 9110, section 12.5.3)."""
RELEASED: Final = frozenset(
    {
        b"content-language",
        b"content-type",
        b"data-as-of",
        b"retry-after",
    }
)
"""Response fields of a service that a consumer may see."""
RELEASED_COMPLETE: Final = frozenset({b"last-modified"})
"""Response fields that are about every record of an answer, and so tell when one has changed that a
duty drops or protects. Who has all of them needs the date to change one safely."""
RELEASED_UNTOUCHED: Final = frozenset(
    {b"accept-ranges", b"content-disposition", b"content-encoding", b"content-range", b"etag"}
)
"""Response fields that are true only of a body that no duty has changed. An entity tag may be a
hash of what is withheld, and a file's name may say whom it is about."""

_CODING: Final = b"content-encoding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """What `duties` ask of a call and of its answer.

    `reads` tells whether an answer has to be read before it is released, and `may_stream` whether
    there is a media type in which that can be done in pieces. `forwarded` are the fields that go
    upstream of a request that only reads, `forwarded_changing` those of any other. `released` are
    the answer's that may leave, and `told` those and what else has to be known of it.
    """

    duties: Duties
    reads: bool
    may_stream: bool
    forwarded: frozenset[bytes]
    forwarded_changing: frozenset[bytes]
    added: Headers
    released: frozenset[bytes]
    told: frozenset[bytes]


def _handle(duties: Duties) -> Handling:
    reads = has_body_duties(duties)
    released = RELEASED if reads else RELEASED | RELEASED_UNTOUCHED
    if not duties.scope and duties.restricted is None:
        released |= RELEASED_COMPLETE
    forwarded = FORWARDED if reads else FORWARDED | FORWARDED_UNTOUCHED
    return Handling(
        duties=duties,
        reads=reads,
        may_stream=may_stream(duties, media_type="text/csv"),
        forwarded=forwarded,
        forwarded_changing=forwarded | CONDITIONS,
        added=UNCODED if reads else (),
        released=released,
        told=released | {_CODING},
    )


HANDLINGS: Final[Derived[Duties, Handling]] = Derived(_handle)
"""How exchanges are handled, by their duties; those of a rule are one object for all of them."""

SHAPES: Final[Derived[ServiceFacts, Shape]] = Derived(
    lambda facts: Shape(records_at=facts.records_at, count_at=facts.count_at)
)
"""Where things stand in a service's answers, where the request has no part in that."""


class AnswerHead(NamedTuple):
    """What matters of the fields of a service's answer.

    `media_type` is empty where none or more than one is stated: which of two a consumer would
    believe is not known, so no duty can be applied. `coded` tells whether the body is encoded,
    `headers` are the fields that may leave.
    """

    media_type: str
    coded: bool
    headers: Headers


def read_head(fields: Headers, handling: Handling) -> AnswerHead:
    """Return what matters of an answer's `fields`; total."""
    names = handling.told
    headers = tuple([field for field in fields if field[0] in names])
    media_type = b""
    stated, codings = 0, 0
    coded = False
    for name, value in headers:
        if name == b"content-type":
            media_type = value
            stated += 1
        elif name == _CODING:
            coded = coded or value != b"identity"
            codings += 1
    if codings and _CODING not in handling.released:
        headers = tuple([field for field in headers if field[0] != _CODING])
    return AnswerHead(media_type.decode("latin-1") if stated == 1 else "", coded, headers)
