"""The closed words of the agreement schema, version 0.1, and of the statutes behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SCHEMA_VERSIONS: Final = ("0.1",)
KINDS: Final = (
    "dsa",
    "dea_isa",
    "dspa",
    "safeguarding_protocol",
    "open_publication",
    "le_disclosure_protocol",
)
STATUSES: Final = (
    *("draft", "submitted", "in_review", "returned", "rejected", "approved", "signed", "active"),
    *("suspended", "review_due", "expired", "terminated", "superseded", "archived"),
)
PARTY_ROLES: Final = ("provider", "consumer", "feedback_provider", "feedback_consumer")
DP_ROLES: Final = ("controller", "joint_controller", "processor", "competent_authority", "none")
REGIMES: Final = ("ukgdpr", "ukgdpr_to_part3", "part3", "not_personal")
DATA_TYPES: Final = (
    *("personal", "special_category", "criminal_offence", "pseudonymised"),
    *("anonymous", "aggregate"),
)
DPIA_OUTCOMES: Final = (
    "low",
    "medium",
    "high_mitigated",
    "high_prior_consultation",
    "not_required",
)
IDENTIFIABILITIES: Final = (
    *("identifiable", "pseudonymised", "anonymous"),
    *("aggregate_unsuppressed", "aggregate_suppressed"),
)
FIELD_CLASSES: Final = (
    *("identifier", "personal", "special_category", "criminal_offence", "operational"),
    "aggregate",
)
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
ACTIONS: Final = (
    *("collection", "alteration", "consultation", "disclosure", "combination", "erasure"),
)
"""The processing operations that DPA 2018 s.62(1) asks to be logged."""
ACTOR_MODES: Final = ("public", "application", "user")
ASSURANCE_LEVELS: Final = ("AAL1", "AAL2", "AAL3")
"""Levels of authentication assurance, weakest first."""
OBLIGATIONS: Final = (
    *("redact_restricted_address", "withhold_protected_address", "small_number_guard"),
    *("hide_from_subject_view", "single_use_decision", "fields_limited_to_decision"),
    "signed_receipt",
)
CLASSIFICATIONS: Final = ("OFFICIAL", "OFFICIAL-SENSITIVE", "NOT_APPLICABLE")
TRANSPORTS: Final = ("tls", "mtls")
VISIBILITIES: Final = ("visible", "restricted")
CHARGING: Final = ("none", "cost_recovery", "fixed_fee")
PUBLISHING: Final = ("full", "summary", "withheld")
STEPS: Final = (
    *("submit", "legal_advice", "dpo_advice", "caldicott_review", "risk_acceptance"),
    *("owner_decision", "signature", "activation", "suspension", "review"),
)
STEP_ROLES: Final = (
    *("requester", "legal", "dpo", "caldicott_guardian", "siro", "information_asset_owner"),
    "operator",
)
STEP_OUTCOMES: Final = (
    *("submitted", "favourable", "favourable_with_conditions", "unfavourable", "approved"),
    *("rejected", "accepted", "signed", "activated", "suspended", "continued", "not_required"),
)

SAFEGUARDING_CONDITION: Final = "DPA2018-Sch1-18"
SAFEGUARDING_CONTEXT: Final[Mapping[str, frozenset[str]]] = {
    "no_consent_reason": frozenset(
        {"CANNOT_BE_GIVEN", "CANNOT_REASONABLY_BE_OBTAINED", "WOULD_PREJUDICE_PROTECTION"}
    ),
    "subject_group": frozenset({"UNDER_18", "ADULT_AT_RISK"}),
}
"""DPA 2018 Sch 1 para 18(1)(c) and (2): why consent was not sought, and whom it protects."""
SUBJECT_CATEGORIES: Final = frozenset({"suspect", "convicted", "victim", "witness", "other"})
"""DPA 2018 s.38(3): the categories of people that law enforcement data must tell apart."""
