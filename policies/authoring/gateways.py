"""On which law the sharing stands: instruments, statutory gateways, and the public register."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.agreement import Dea
from policies.authoring.bases import check_code
from policies.authoring.codes import Code
from policies.authoring.draft import SIGNED_STATUSES, AuthoringFault, Draft, fault
from policies.law import Instrument
from policies.reading import Pointer, nearest

PUBLIC_SERVICE_DELIVERY: Final = "DEA2017-s35"
"""The section whose parties are named by objective (DEA 2017 s.35)."""

_CHAPTER_1: Final = 1
_DEA: Final[Pointer] = ("legal", "dea")


def check_gateways(draft: Draft) -> Iterator[AuthoringFault]:
    """Yield what is wrong with the instruments and the gateways behind them."""
    yield from _check_purposes(draft)
    for pointer, instrument in _instruments(draft):
        yield from _check_gateway(draft, pointer, instrument)
    yield from _check_dea(draft)
    yield from _check_register(draft)
    yield from _check_onward(draft)


def _instruments(draft: Draft) -> Iterator[tuple[Pointer, Instrument]]:
    """Yield the instruments that are named; one that nobody knows is a fault of reading."""
    for position, one in enumerate(draft.agreement.legal.instruments):
        instrument = draft.law.law.instruments.get(one)
        if instrument is not None:
            yield ("legal", "instruments", position), instrument


def _check_purposes(draft: Draft) -> Iterator[AuthoringFault]:
    vocabulary, at = draft.law.vocabulary, draft.day
    for position, purpose in enumerate(draft.agreement.purpose.codes):
        pointer = ("purpose", "codes", position)
        covering = [one for _, one in _instruments(draft) if purpose in one.purposes]
        in_force = [one for one in covering if one.in_force(at) is not None]
        gateways = [vocabulary.gateway(one.gateway, at) for one in in_force]
        if not covering:
            message = f"no instrument of the agreement is for {purpose}"
            yield fault(Code.PURPOSE_NOT_COVERED, pointer, message)
        elif not in_force:
            named = ", ".join(one.id for one in covering)
            message = f"{purpose}: {named} is not in force on {at.date().isoformat()}"
            yield fault(Code.INSTRUMENT_NOT_IN_FORCE, pointer, message)
        elif all(found is not None and found.never_alone for found in gateways):
            message = f"{purpose} stands on {in_force[0].gateway} alone, which is only a power"
            yield fault(Code.GATEWAY_ONLY_A_POWER, pointer, message)


def _check_gateway(
    draft: Draft, pointer: Pointer, instrument: Instrument
) -> Iterator[AuthoringFault]:
    gateway = draft.law.vocabulary.gateway(instrument.gateway, draft.day)
    if gateway is None:
        message = f"{instrument.id} goes through {instrument.gateway!r}, which is no gateway then"
        yield fault(Code.GATEWAY_NOT_IN_VOCABULARY, pointer, message)
        return
    for position, party in draft.bodies():
        nation = draft.facts(party).nation
        if nation and gateway.jurisdiction and nation not in gateway.jurisdiction:
            message = f"{gateway.code} does not extend to {nation}, where {party.ref} is"
            where = ("parties", position, "ref")
            yield fault(Code.GATEWAY_OUT_OF_JURISDICTION, where, message)


def _check_dea(draft: Draft) -> Iterator[AuthoringFault]:
    dea, powers = draft.agreement.legal.dea, draft.law.vocabulary.powers
    for pointer, instrument in _instruments(draft):
        if instrument.gateway not in powers:
            continue
        if dea is None or dea.section is None:
            message = (
                f"{instrument.id} goes through {instrument.gateway}; legal.dea does not say so"
            )
            yield fault(Code.GATEWAY_DETAILS_MISSING, _DEA, message)
            return
        mine = (dea.section, dea.objective)
        theirs = (instrument.gateway, instrument.objective or dea.objective)
        if mine != theirs:
            message = f"{instrument.id} is for {' '.join(filter(None, theirs))}"
            yield fault(Code.GATEWAY_OBJECTIVE_MISMATCH, pointer, message)
            return
    if dea is not None and dea.section is not None:
        yield from check_code(draft, "dea2017_part5", dea.section, (*_DEA, "section"))
    if dea is not None and dea.section == PUBLIC_SERVICE_DELIVERY:
        yield from _check_specified(draft, dea)


def _check_specified(draft: Draft, dea: Dea) -> Iterator[AuthoringFault]:
    """s.35(1) to (3): a specified person, to another specified person, for one objective."""
    persons, where = draft.law.specified, (*_DEA, "objective")
    if dea.objective is None:
        message = f"{dea.section} is for one objective, and none is named"
        yield fault(Code.GATEWAY_DETAILS_MISSING, where, message)
        return
    if not persons.has_objective(dea.objective, draft.day):
        near = nearest(dea.objective, persons.objectives)
        message = f"{dea.objective!r} is no objective of {dea.section} then{near}"
        yield fault(Code.CODE_NOT_IN_VOCABULARY, where, message)
        return
    for position, party in draft.bodies():
        paragraph = draft.facts(party).dea_paragraph
        if paragraph is None:
            message = f"{party.ref} is not in Schedule 4"
        elif persons.specified(dea.objective, paragraph, draft.day):
            continue
        else:
            body = persons.bodies.get(paragraph, "this kind of body")
            message = f"{party.ref}: {body} (Sch 4 para {paragraph}) is not for {dea.objective}"
        pointer = ("parties", position, "ref")
        yield fault(Code.GATEWAY_PARTY_NOT_SPECIFIED, pointer, message)


def _check_register(draft: Draft) -> Iterator[AuthoringFault]:
    agreement, powers = draft.agreement, draft.law.vocabulary.powers
    dea = agreement.legal.dea
    power = powers.get(dea.section) if dea is not None and dea.section else None
    asked = [one.id for _, one in _instruments(draft) if one.register_entry_required]
    if power is not None and power.registered:
        asked.insert(0, power.code)
    entered = dea is not None and dea.register_id
    if asked and not entered and agreement.status in SIGNED_STATUSES:
        message = f"{asked[0]} must stand in the public register before the agreement is signed"
        yield fault(Code.REGISTER_ENTRY_MISSING, (*_DEA, "register_id"), message)


def _check_onward(draft: Draft) -> Iterator[AuthoringFault]:
    onward, dea = draft.agreement.onward_sharing, draft.agreement.legal.dea
    power = draft.law.vocabulary.powers.get(dea.section) if dea and dea.section else None
    bar = draft.law.specified.onward
    if power is not None and power.chapter == _CHAPTER_1 and bar.prohibited:
        if onward.permitted:
            message = f"{bar.section} bars passing on what {power.code} let in"
            yield fault(Code.ONWARD_SHARING_BARRED, ("onward_sharing", "permitted"), message)
        if onward.statutory_bar != bar.section:
            message = f"{bar.section} is not named as the bar"
            pointer = ("onward_sharing", "statutory_bar")
            yield fault(Code.ONWARD_BAR_NOT_STATED, pointer, message)
    if not onward.permitted and onward.recipients:
        message = f"{onward.recipients[0]} is a recipient, and nothing may be passed on"
        pointer = ("onward_sharing", "recipients")
        yield fault(Code.ONWARD_SHARING_CONTRADICTION, pointer, message)
