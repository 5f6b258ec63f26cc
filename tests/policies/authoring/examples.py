"""For each authoring code, a change to an agreement of the pack that brings exactly that fault."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from gateway.registry.authoring import party_facts
from gateway.registry.lawbooks import lawbook_of
from policies.authoring import AuthoringFault, Code, PartyFacts, check
from policies.document import read_agreement
from policies.law import Law, Lawbook
from tests.configured import pack_configuration

CONFIGURATION: Final = pack_configuration()
PACK_LAW: Final = lawbook_of(CONFIGURATION)
PRODUCT_LAW: Final = lawbook_of(replace(CONFIGURATION, law={}))
FACTS: Final = party_facts(CONFIGURATION.organisations)
DOCUMENTS: Final = {int(key[-1]): document for key, document in CONFIGURATION.agreements.items()}
"""The pack's agreements by scenario: shielding, safeguarding, fuel poverty, open data, police."""

AT: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
COUNCIL: Final = "gss:E06999001"
COUNTY: Final = "gss:E10999001"
DWP: Final = "govuk:synthetic-department-for-work-and-pensions"
POLICE: Final = "urn:ukfdx:org:police:SYN-EXF"


Change = Mapping[Any, object]
"""New values by pointer; the pointers are tuples of keys and positions, of any length."""


class Gone:
    """Stands for a member or item that is taken out."""


GONE: Final = Gone()


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A change of scenario `of`, of facts and of gateways; `also` are faults that it entails."""

    code: Code
    of: int
    change: Change = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    gateways: Mapping[str, str] = field(default_factory=dict)
    also: frozenset[Code] = frozenset()

    @property
    def faults(self) -> tuple[AuthoringFault, ...]:
        """What the rules say of the agreement as it was changed."""
        return faults_of(self.of, self.change, facts=self.facts, gateways=self.gateways)


def faults_of(
    of: int,
    change: Change,
    *,
    facts: Mapping[str, Mapping[str, object]] | None = None,
    gateways: Mapping[str, str] | None = None,
    at: datetime = AT,
) -> tuple[AuthoringFault, ...]:
    """Return what the rules say of scenario `of`, changed at the pointers given."""
    parties: dict[str, PartyFacts] = dict(FACTS)
    for reference, others in (facts or {}).items():
        parties[reference] = replace(parties[reference], **others)  # type: ignore[arg-type]  # named in the tests
    agreement = read_agreement(changed(DOCUMENTS[of], change))
    return check(agreement, law=_law(gateways or {}), parties=parties, at=at)


def changed(document: Mapping[str, object], change: Change) -> dict[str, Any]:
    """Return a copy of a document, changed at the pointers given."""
    copied: dict[str, Any] = copy.deepcopy(dict(document))
    for pointer, value in change.items():
        target: Any = copied
        for step in pointer[:-1]:
            target = target[step]
        if value is GONE:
            del target[pointer[-1]]
        else:
            target[pointer[-1]] = value
    return copied


def _law(gateways: Mapping[str, str]) -> Lawbook:
    instruments = dict(PRODUCT_LAW.law.instruments)
    for one, gateway in gateways.items():
        instruments[one] = replace(instruments[one], gateway=gateway)
    return replace(PRODUCT_LAW, law=Law(instruments=instruments))


PROVIDER: Final = ("legal", "provider_basis")
CONSUMER: Final = ("legal", "consumer_basis")
STEPS: Final = ("governance", "decisions")
CONTEXT: Final = ("access", "rules", 0, "request_context_required")
BREAK_GLASS: Final = ("access", "break_glass")

STANDING: Final = (
    Example(code=Code.PARTY_UNKNOWN, of=2, change={("parties", 2, "ref"): "urn:ukfdx:org:x"}),
    Example(
        code=Code.REGIME_CONTRADICTS_DATA,
        of=4,
        change={("data", 0, "identifiability"): "pseudonymised"},
        also=frozenset({Code.PERSONAL_DATA_TO_PUBLIC}),
    ),
    Example(
        code=Code.DATA_TYPE_NOT_DECLARED,
        of=3,
        change={("data", 0, "fields", 3, "class"): "special_category"},
    ),
    Example(code=Code.KIND_FIELD_MISSING, of=2, change={("purpose", "harm_of_not_sharing"): GONE}),
    Example(
        code=Code.DATA_PROTECTION_ROLE_MISSING, of=3, change={("parties", 1, "dp_role"): "none"}
    ),
    Example(
        code=Code.JOINT_CONTROLLER_ALONE,
        of=3,
        change={("parties", 1, "dp_role"): "joint_controller"},
    ),
    Example(
        code=Code.PROCESSOR_NEEDS_PROCESSING_AGREEMENT,
        of=3,
        change={("parties", 1, "dp_role"): "processor"},
    ),
    Example(code=Code.PARTY_CONTACT_MISSING, of=3, change={("parties", 1, "dpo"): GONE}),
    Example(
        code=Code.DATA_PROTECTION_OFFICER_CONFLICT,
        of=3,
        change={("parties", 1, "dpo"): "siro@northvale.example"},
    ),
)

BASES: Final = (
    Example(
        code=Code.CODE_NOT_IN_VOCABULARY, of=1, change={(*PROVIDER, "article6"): ["UKGDPR-6-1-z"]}
    ),
    Example(
        code=Code.CODE_NOT_IN_FORCE,
        of=1,
        change={(*PROVIDER, "recognised_legitimate_interest"): ["RLI-EMERGENCY"]},
    ),
    Example(code=Code.ARTICLE6_MISSING, of=3, change={PROVIDER: {}}),
    Example(
        code=Code.ARTICLE6_NOT_AVAILABLE_TO_PUBLIC_AUTHORITY,
        of=3,
        change={(*CONSUMER, "article6"): ["UKGDPR-6-1-f"]},
    ),
    Example(
        code=Code.RECOGNISED_INTEREST_MISSING,
        of=3,
        change={(*CONSUMER, "article6"): ["UKGDPR-6-1-ea"]},
        facts={COUNCIL: {"public_authority": False}},
    ),
    Example(
        code=Code.RECOGNISED_INTEREST_NEEDS_PUBLIC_TASK,
        of=3,
        change={
            PROVIDER: {
                "article6": ["UKGDPR-6-1-ea"],
                "recognised_legitimate_interest": ["RLI-PUBLIC-TASK-DISCLOSURE"],
            },
            (*CONSUMER, "article6"): ["UKGDPR-6-1-c"],
        },
        facts={DWP: {"public_authority": False}},
    ),
    Example(
        code=Code.ARTICLE9_MISSING,
        of=1,
        change={(*PROVIDER, "article9"): [], (*PROVIDER, "schedule1"): []},
    ),
    Example(
        code=Code.SCHEDULE1_CONDITION_MISSING,
        of=1,
        change={(*PROVIDER, "schedule1"): ["DPA2018-Sch1-2"]},
    ),
    Example(
        code=Code.SCHEDULE1_CONDITION_NOT_APPLICABLE,
        of=1,
        change={(*PROVIDER, "schedule1"): ["DPA2018-Sch1-2", "DPA2018-Sch1-3", "DPA2018-Sch1-29"]},
    ),
    Example(
        code=Code.POLICY_DOCUMENT_MISSING,
        of=2,
        change={("legal", "appropriate_policy_document"): None},
    ),
    Example(
        code=Code.REQUEST_CONTEXT_MISSING,
        of=2,
        change={("access", "rules", 1, "request_context_required"): ["case_reference"]},
    ),
    Example(
        code=Code.CRIMINAL_OFFENCE_CONDITION_MISSING,
        of=3,
        change={("legal", "data_types"): ["personal", "criminal_offence"]},
    ),
)

PART3: Final = (
    Example(
        code=Code.PART3_PARTY_NOT_COMPETENT_AUTHORITY,
        of=5,
        facts={POLICE: {"competent_authority": False}},
    ),
    Example(code=Code.PART3_GROUND_MISSING, of=5, change={(*CONSUMER, "part3_ground"): GONE}),
    Example(code=Code.PART3_PURPOSE_MISSING, of=5, change={(*CONSUMER, "purposes"): GONE}),
    Example(
        code=Code.PART3_SENSITIVE_CONDITION_MISSING,
        of=5,
        change={
            ("legal", "part3", "sensitive_processing"): True,
            ("legal", "appropriate_policy_document"): "APD-1",
        },
    ),
    Example(
        code=Code.SUBJECT_CATEGORY_MISSING,
        of=5,
        change={CONTEXT: ["decision_ref", "operation_ref"]},
    ),
    Example(
        code=Code.CASE_DECISION_MISSING,
        of=5,
        change={CONTEXT: ["operation_ref", "subject_category"]},
    ),
    Example(
        code=Code.LAW_ENFORCEMENT_REUSE_NOT_AUTHORISED, of=2, change={("legal", "part3"): GONE}
    ),
)

GATEWAYS: Final = (
    Example(
        code=Code.PURPOSE_NOT_COVERED,
        of=3,
        change={
            ("purpose", "codes"): ["FUEL_POVERTY_ASSISTANCE", "SERVICE_EVALUATION"],
            ("purpose", "prohibited"): [],
        },
    ),
    Example(
        code=Code.INSTRUMENT_NOT_IN_FORCE,
        of=1,
        change={("term", "start"): "2022-07-01T00:00:00+01:00"},
    ),
    Example(code=Code.GATEWAY_NOT_IN_VOCABULARY, of=4, gateways={"OGL3": "OGL9"}),
    Example(code=Code.GATEWAY_ONLY_A_POWER, of=4, gateways={"OGL3": "LA2011-s1"}),
    Example(code=Code.GATEWAY_OUT_OF_JURISDICTION, of=2, facts={COUNTY: {"nation": "GB-SCT"}}),
    Example(code=Code.GATEWAY_DETAILS_MISSING, of=3, change={("legal", "dea", "section"): GONE}),
    Example(
        code=Code.GATEWAY_OBJECTIVE_MISMATCH,
        of=3,
        change={("legal", "dea", "objective"): "water_poverty"},
    ),
    Example(code=Code.GATEWAY_PARTY_NOT_SPECIFIED, of=3, facts={COUNCIL: {"dea_paragraph": 22}}),
    Example(code=Code.REGISTER_ENTRY_MISSING, of=3, change={("legal", "dea", "register_id"): None}),
    Example(code=Code.ONWARD_SHARING_BARRED, of=3, change={("onward_sharing", "permitted"): True}),
    Example(
        code=Code.ONWARD_BAR_NOT_STATED, of=3, change={("onward_sharing", "statutory_bar"): GONE}
    ),
    Example(
        code=Code.ONWARD_SHARING_CONTRADICTION,
        of=3,
        change={("onward_sharing", "recipients"): ["public"]},
    ),
)

SAFEGUARDS: Final = (
    Example(
        code=Code.CONFIDENTIALITY_BASIS_CONTRADICTS_DATA,
        of=1,
        change={("legal", "confidentiality_basis"): "CLDC-NOT-CONFIDENTIAL"},
    ),
    Example(
        code=Code.OPT_OUT_CONTRADICTS_BASIS,
        of=1,
        change={("legal", "national_data_opt_out", "applies"): True},
    ),
    Example(code=Code.REVIEW_TOO_LATE, of=1, change={("term", "review_by"): "2023-02-15"}),
    Example(
        code=Code.CALDICOTT_GUARDIAN_MISSING,
        of=1,
        change={("parties", 0, "caldicott_guardian"): GONE},
    ),
    Example(code=Code.IMPACT_ASSESSMENT_MISSING, of=3, change={("legal", "dpia"): GONE}),
    Example(
        code=Code.IMPACT_ASSESSMENT_NOT_COMPLETED,
        of=3,
        change={("legal", "dpia", "completed"): "2026-08-04"},
    ),
    Example(
        code=Code.PERSONAL_DATA_TO_PUBLIC,
        of=4,
        change={("data", 0, "identifiability"): "identifiable"},
        also=frozenset({Code.REGIME_CONTRADICTS_DATA}),
    ),
    Example(
        code=Code.SMALL_NUMBER_GUARD_MISSING,
        of=4,
        change={("access", "rules", 1, "obligations"): []},
    ),
    Example(
        code=Code.RESTRICTION_BASIS_MISSING, of=5, change={("rights", "restriction_basis"): None}
    ),
    Example(
        code=Code.WITHHELD_WITHOUT_REASON, of=2, change={("transparency",): {"publish": "withheld"}}
    ),
    Example(
        code=Code.BREAK_GLASS_RELAXES_TOO_MUCH,
        of=2,
        change={(*BREAK_GLASS, "relaxes"): ["hours", "fields"]},
    ),
    Example(code=Code.BREAK_GLASS_NEEDS_PERSON, of=2, change={(*BREAK_GLASS, "roles"): []}),
    Example(code=Code.BREAK_GLASS_TELLS_NOBODY, of=2, change={(*BREAK_GLASS, "notify"): ["dpo"]}),
)

GOVERNANCE: Final = (
    Example(code=Code.STEP_NOT_FOR_ROLE, of=3, change={(*STEPS, 2, "role"): "siro"}),
    Example(code=Code.STEP_OUTCOME_IMPOSSIBLE, of=3, change={(*STEPS, 1, "outcome"): "approved"}),
    Example(code=Code.STEP_BY_STRANGER, of=3, change={(*STEPS, 1, "org"): "ods:X9Z"}),
    Example(
        code=Code.DUTIES_NOT_SEPARATED,
        of=3,
        change={(*STEPS, 2, "person_ref"): "p-1", (*STEPS, 4, "person_ref"): "p-1"},
    ),
    Example(code=Code.OWNER_DECISION_MISSING, of=3, change={(*STEPS, 4, "outcome"): "rejected"}),
    Example(code=Code.ADVICE_MISSING, of=3, change={(*STEPS, 2, "outcome"): "not_required"}),
    Example(
        code=Code.ADVICE_NOT_ANSWERED,
        of=3,
        change={(*STEPS, 2, "outcome"): "favourable_with_conditions"},
    ),
    Example(code=Code.RISK_NOT_ACCEPTED, of=3, change={("security", "consumer_assurance"): []}),
    Example(code=Code.SIGNATURE_MISSING, of=3, change={(*STEPS, 5): GONE}),
    Example(code=Code.ACTIVATION_MISSING, of=3, change={(*STEPS, 7): GONE}),
    Example(code=Code.STEPS_OUT_OF_ORDER, of=3, change={(*STEPS, 5, "at"): "2026-08-03T08:59:59Z"}),
    Example(code=Code.STATUS_CONTRADICTS_STEPS, of=3, change={("status",): "suspended"}),
)

SUCCESSION: Final = (
    Example(code=Code.SUPERSESSION_UNCLEAR, of=1, change={("supersedes",): "DSA-2020-0001@4"}),
)

EXAMPLES: Final = (
    *STANDING, *BASES, *PART3, *GATEWAYS, *SAFEGUARDS, *GOVERNANCE, *SUCCESSION,
)  # fmt: skip


def named(example: Example) -> str:
    """Return an example as test ids show it."""
    return example.code.value


def brings_its_fault(example: Example) -> bool:
    """Whether the change brings its fault and those it entails, and no other."""
    return {one.code for one in example.faults} == {example.code, *example.also}
