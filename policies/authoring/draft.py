"""An agreement beside the law and the facts about its parties, as authoring rules see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from policies.agreement import Agreement, Dataset, Party, Rule
from policies.authoring.catalogue import CATALOGUE
from policies.authoring.codes import Code
from policies.decision import PUBLIC
from policies.law import Lawbook
from policies.reading import Pointer

BINDING_STATUSES: Final = frozenset({"approved", "signed", "active", "suspended", "review_due"})
"""The states of an agreement that somebody has decided on and that may answer, now or later."""
SIGNED_STATUSES: Final = BINDING_STATUSES - {"approved"}
ACTIVATED_STATUSES: Final = SIGNED_STATUSES - {"signed"}

NOT_CONFIDENTIAL: Final = "CLDC-NOT-CONFIDENTIAL"

_BINDING_STEPS: Final = frozenset({"signature", "activation"})
_PERSONAL: Final = frozenset({"personal", "special_category", "criminal_offence", "pseudonymised"})
_ABOUT_PEOPLE: Final = frozenset({"identifiable", "pseudonymised"})
_NATIONS: Final = {"E": "GB-ENG", "W": "GB-WLS", "S": "GB-SCT", "N": "GB-NIR"}
_GSS: Final = "gss:"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthoringFault:
    """Why an agreement cannot be signed as it stands, and what its author can do.

    `pointer` is the clause; `source` the statute or guidance that the rule comes from.
    """

    code: Code
    pointer: Pointer
    message: str
    source: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyFacts:
    """What a body is in law; `dea_paragraph` is that of DEA 2017 Sch 4, None for a body not in it.

    `nation` is that of its GSS code (ISO 3166-2), None where that is not known.
    """

    reference: str
    public_authority: bool = False
    competent_authority: bool = False
    dea_paragraph: int | None = None
    nation: str | None = None

    @classmethod
    def of(cls, document: Mapping[str, object]) -> PartyFacts:
        """Return the facts of a body's entry, once a reader has accepted it."""
        reference, paragraph = str(document["ref"]), document.get("dea_sch4")
        gss = str(document.get("gss") or reference.removeprefix(_GSS))
        known = "gss" in document or reference.startswith(_GSS)
        return cls(
            reference=reference,
            public_authority=document.get("public_authority") is True,
            competent_authority=document.get("competent_authority") is True,
            dea_paragraph=paragraph if isinstance(paragraph, int) else None,
            nation=_NATIONS.get(gss[:1]) if known else None,
        )


class Side(Enum):
    """Who gives and who receives; the value names its member of ``legal``."""

    PROVIDER = "provider_basis"
    CONSUMER = "consumer_basis"

    @property
    def role(self) -> str:
        """The role that parties of this side have."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An agreement, the law, and the facts about its parties; `at` is when it is checked."""

    agreement: Agreement
    law: Lawbook
    parties: Mapping[str, PartyFacts]
    at: datetime

    @property
    def day(self) -> datetime:
        """The instant whose law governs: when the agreement was signed or begins.

        For one that nobody has decided on yet, it is the later of its start and now: the law of
        the day on which it could first apply.
        """
        start = self.agreement.term.start
        if self.agreement.status not in BINDING_STATUSES:
            return max(start, self.at)
        bound = (step.at for step in self.agreement.governance if step.step in _BINDING_STEPS)
        return max((start, *bound))

    @property
    def personal(self) -> bool:
        """Whether the agreement says that the data is about people."""
        return bool(_PERSONAL & set(self.agreement.legal.data_types))

    @property
    def confidential_patient_data(self) -> bool:
        """Whether special category data of people moves under a duty of confidence."""
        legal = self.agreement.legal
        return (
            "special_category" in legal.data_types
            and legal.confidentiality_basis != NOT_CONFIDENTIAL
            and any(about_people(one) for one in self.agreement.datasets)
        )

    def ukgdpr(self, side: Side) -> bool:
        """Whether a side handles the data under UK GDPR."""
        regime = self.agreement.legal.regime
        return regime == "ukgdpr" or (regime == "ukgdpr_to_part3" and side is Side.PROVIDER)

    def part3(self, side: Side) -> bool:
        """Whether a side handles the data under DPA 2018 Part 3."""
        regime = self.agreement.legal.regime
        return regime == "part3" or (regime == "ukgdpr_to_part3" and side is Side.CONSUMER)

    def basis(self, side: Side, name: str) -> tuple[str, ...]:
        """Return the codes that a side names in one of its lists."""
        legal = self.agreement.legal
        bases = legal.provider_basis if side is Side.PROVIDER else legal.consumer_basis
        return bases.get(name, ())

    def members(self, side: Side) -> Iterator[tuple[int, Party]]:
        """Yield the parties of a side with their positions, the public left out."""
        for position, party in self.bodies():
            if side.role in party.roles:
                yield position, party

    def bodies(self) -> Iterator[tuple[int, Party]]:
        """Yield every party with its position, the public left out."""
        for position, party in enumerate(self.agreement.parties):
            if party.ref != PUBLIC:
                yield position, party

    def facts(self, party: Party) -> PartyFacts:
        """Return what a party is in law; of one that nobody knows, nothing is."""
        return self.parties.get(party.ref) or PartyFacts(reference=party.ref)

    def rules(self) -> Iterator[tuple[Pointer, Rule, Dataset | None]]:
        """Yield every rule with its place and its dataset."""
        datasets = {one.dataset: one for one in self.agreement.datasets}
        for position, rule in enumerate(self.agreement.rules):
            dataset = datasets.get(rule.dataset) if rule.dataset is not None else None
            yield ("access", "rules", position), rule, dataset


def fault(code: Code, pointer: Pointer, message: str) -> AuthoringFault:
    """Return a fault with the source and the mend of its code."""
    guidance = CATALOGUE[code]
    return AuthoringFault(
        code=code, pointer=pointer, message=message, source=guidance.source, mend=guidance.mend
    )


def about_people(dataset: Dataset) -> bool:
    """Whether a dataset's records are of people who can be told apart."""
    return dataset.identifiability in _ABOUT_PEOPLE
