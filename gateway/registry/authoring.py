"""The authoring rules as configuration meets them: what may be applied, and in place of what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.registry.documents import Configuration, PlainDocument
from gateway.registry.lawbooks import lawbook_of
from policies.agreement import Agreement
from policies.authoring import (
    BINDING_STATUSES,
    AuthoringFault,
    PartyFacts,
    check,
    check_succession,
)
from policies.law import Lawbook
from policies.reading import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Examiner:
    """Checks agreements against the law and the bodies of one configuration."""

    law: Lawbook
    parties: Mapping[str, PartyFacts]

    @classmethod
    def of(cls, configuration: Configuration) -> Examiner:
        """Return the examiner of a configuration that was read without faults."""
        return cls(law=lawbook_of(configuration), parties=party_facts(configuration.organisations))

    def examine(self, agreement: Agreement, at: datetime) -> tuple[AuthoringFault, ...]:
        """Return every authoring fault of an agreement, as of `at`."""
        return check(agreement, law=self.law, parties=self.parties, at=at)

    def refusals(self, agreement: Agreement, at: datetime) -> Iterator[Fault]:
        """Yield why an agreement may not be applied; one that is still being written may be."""
        if agreement.status in BINDING_STATUSES:
            for found in self.examine(agreement, at):
                yield Fault(pointer=found.pointer, code=found.code, message=sentence(found))


def party_facts(organisations: Mapping[str, PlainDocument]) -> dict[str, PartyFacts]:
    """Return what the bodies of a configuration are in law, by reference."""
    return {reference: PartyFacts.of(document) for reference, document in organisations.items()}


def sentence(found: AuthoringFault) -> str:
    """Return a fault as its author reads it: what is wrong, the mend, and the source."""
    return f"{found.message}. {found.mend} ({found.source})"


def succession_faults(
    newest: Mapping[str, PlainDocument], proposed: Mapping[str, PlainDocument]
) -> tuple[str, ...]:
    """Return a sentence for each agreement that may not take the place of what is here by its id.

    `newest` are the newest documents ever applied, those that were removed since as well: nothing
    that was signed changes by going away and coming back.
    """
    return tuple(
        f"agreement {key}: {sentence(found)} [{found.code}]"
        for key, document in proposed.items()
        if key in newest
        for found in check_succession(newest[key], document)
    )
