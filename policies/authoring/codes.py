"""The closed list of authoring faults."""

from __future__ import annotations

from enum import StrEnum, auto
from typing import NamedTuple


class Code(StrEnum):
    """A stable code for each way in which an agreement cannot be signed or put into force."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:
        """Return the name itself, so that code and value cannot differ."""
        del start, count, last_values
        return name

    PARTY_UNKNOWN = auto()
    CODE_NOT_IN_VOCABULARY = auto()
    CODE_NOT_IN_FORCE = auto()
    REGIME_CONTRADICTS_DATA = auto()
    DATA_TYPE_NOT_DECLARED = auto()
    KIND_FIELD_MISSING = auto()
    DATA_PROTECTION_ROLE_MISSING = auto()
    JOINT_CONTROLLER_ALONE = auto()
    PROCESSOR_NEEDS_PROCESSING_AGREEMENT = auto()
    PARTY_CONTACT_MISSING = auto()
    DATA_PROTECTION_OFFICER_CONFLICT = auto()

    ARTICLE6_MISSING = auto()
    ARTICLE6_NOT_AVAILABLE_TO_PUBLIC_AUTHORITY = auto()
    RECOGNISED_INTEREST_MISSING = auto()
    RECOGNISED_INTEREST_NEEDS_PUBLIC_TASK = auto()
    ARTICLE9_MISSING = auto()
    SCHEDULE1_CONDITION_MISSING = auto()
    SCHEDULE1_CONDITION_NOT_APPLICABLE = auto()
    POLICY_DOCUMENT_MISSING = auto()
    REQUEST_CONTEXT_MISSING = auto()
    CRIMINAL_OFFENCE_CONDITION_MISSING = auto()

    PART3_PARTY_NOT_COMPETENT_AUTHORITY = auto()
    PART3_GROUND_MISSING = auto()
    PART3_PURPOSE_MISSING = auto()
    PART3_SENSITIVE_CONDITION_MISSING = auto()
    SUBJECT_CATEGORY_MISSING = auto()
    CASE_DECISION_MISSING = auto()
    LAW_ENFORCEMENT_REUSE_NOT_AUTHORISED = auto()

    PURPOSE_NOT_COVERED = auto()
    INSTRUMENT_NOT_IN_FORCE = auto()
    GATEWAY_NOT_IN_VOCABULARY = auto()
    GATEWAY_ONLY_A_POWER = auto()
    GATEWAY_OUT_OF_JURISDICTION = auto()
    GATEWAY_DETAILS_MISSING = auto()
    GATEWAY_OBJECTIVE_MISMATCH = auto()
    GATEWAY_PARTY_NOT_SPECIFIED = auto()
    REGISTER_ENTRY_MISSING = auto()
    ONWARD_SHARING_BARRED = auto()
    ONWARD_BAR_NOT_STATED = auto()
    ONWARD_SHARING_CONTRADICTION = auto()

    CONFIDENTIALITY_BASIS_CONTRADICTS_DATA = auto()
    OPT_OUT_CONTRADICTS_BASIS = auto()
    REVIEW_TOO_LATE = auto()
    CALDICOTT_GUARDIAN_MISSING = auto()
    IMPACT_ASSESSMENT_MISSING = auto()
    IMPACT_ASSESSMENT_NOT_COMPLETED = auto()
    PERSONAL_DATA_TO_PUBLIC = auto()
    SMALL_NUMBER_GUARD_MISSING = auto()
    RESTRICTION_BASIS_MISSING = auto()
    WITHHELD_WITHOUT_REASON = auto()
    BREAK_GLASS_RELAXES_TOO_MUCH = auto()
    BREAK_GLASS_NEEDS_PERSON = auto()
    BREAK_GLASS_TELLS_NOBODY = auto()

    STEP_NOT_FOR_ROLE = auto()
    STEP_OUTCOME_IMPOSSIBLE = auto()
    STEP_BY_STRANGER = auto()
    DUTIES_NOT_SEPARATED = auto()
    OWNER_DECISION_MISSING = auto()
    ADVICE_MISSING = auto()
    ADVICE_NOT_ANSWERED = auto()
    RISK_NOT_ACCEPTED = auto()
    SIGNATURE_MISSING = auto()
    ACTIVATION_MISSING = auto()
    STEPS_OUT_OF_ORDER = auto()
    STATUS_CONTRADICTS_STEPS = auto()

    SUPERSESSION_UNCLEAR = auto()
    VERSION_NOT_INCREASED = auto()
    SIGNED_VERSION_CHANGED = auto()


class Guidance(NamedTuple):
    """What a code stands for: the rule, where it comes from, and what its author can do."""

    rule: str
    source: str
    mend: str
