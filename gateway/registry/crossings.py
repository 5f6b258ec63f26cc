"""What the documents of a configuration name in each other must be there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from policies.agreement import Agreement
from policies.decision import PUBLIC, ReasonCode
from policies.law import Instrument
from policies.reading import Fault, Pointer, nearest
from policies.service import ServiceFacts

_REASONS: Final = frozenset(reason.value for reason in ReasonCode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The keys that documents may name."""

    parties: Collection[str]
    instruments: Collection[str]
    purposes: Collection[str]


def check_reasons(reasons: object) -> Iterator[Fault]:
    """Yield a fault for each reason code that this gateway does not give."""
    if not isinstance(reasons, Mapping):
        message = "an object is expected: each reason code with its HTTP status"
        yield Fault(pointer=("reason_code",), code="wrong-type", message=message)
        return
    for reason in reasons:
        yield from _check("reason", reason, _REASONS, ("reason_code", reason))


def check_services(services: Iterable[ServiceFacts], parties: Collection[str]) -> Iterator[Fault]:
    """Yield a fault for each service whose owner is not a party."""
    for position, service in enumerate(services):
        yield from _check("party", service.owner, parties, ("services", position, "owner"))


def check_instruments(
    instruments: Iterable[Instrument], purposes: Collection[str]
) -> Iterator[Fault]:
    """Yield a fault for each purpose of an instrument that the vocabulary lacks."""
    for position, instrument in enumerate(instruments):
        for purpose in sorted(instrument.purposes):
            pointer = ("instruments", position, "purposes")
            yield from _check("purpose", purpose, purposes, pointer)


def check_agreement(agreement: Agreement, known: Known) -> Iterator[Fault]:
    """Yield a fault for each party, purpose and instrument that an agreement names in vain.

    What its rules ask of services is checked where they are compiled (`policies.compile`).
    """
    for position, party in enumerate(agreement.parties):
        if party.ref != PUBLIC:
            yield from _check("party", party.ref, known.parties, ("parties", position, "ref"))
    purposes = agreement.purpose
    for member, codes in (("codes", purposes.codes), ("prohibited", purposes.prohibited)):
        for position, code in enumerate(codes):
            yield from _check("purpose", code, known.purposes, ("purpose", member, position))
    for position, instrument in enumerate(agreement.legal.instruments):
        yield from _check(
            "instrument", instrument, known.instruments, ("legal", "instruments", position)
        )


def _check(what: str, name: str, known: Collection[str], pointer: Pointer) -> Iterator[Fault]:
    if name not in known:
        yield Fault(
            pointer=pointer,
            code="unknown-reference",
            message=f"there is no {what} {name!r}{nearest(name, known)}",
        )
