"""Every authoring rule by its code: those of the law, of safeguards, and of who decides what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from policies.authoring.codes import Code, Guidance
from policies.authoring.law_rules import LAW_RULES

_LIFECYCLE = "Lifecycle of an agreement; ICO data sharing code, accountability"

_SAFEGUARD_RULES: Final[Mapping[Code, Guidance]] = {
    Code.CONFIDENTIALITY_BASIS_CONTRADICTS_DATA: Guidance(
        "What is shared as health data about people is confidential.",
        "Common law duty of confidentiality; UK GDPR Art 9(3)",
        "Name the basis on which the duty of confidence is met.",
    ),
    Code.OPT_OUT_CONTRADICTS_BASIS: Guidance(
        "Whether the national data opt-out applies follows from the confidentiality basis.",
        "National data opt-out operational policy, sections 5 and 6",
        "Correct national_data_opt_out, or the basis.",
    ),
    Code.REVIEW_TOO_LATE: Guidance(
        "The review comes no later than the instrument or the basis allows.",
        "The instrument's review_at_most_every; for COPI, SI 2002/1438 reg 7",
        "Bring term.review_by forward.",
    ),
    Code.CALDICOTT_GUARDIAN_MISSING: Guidance(
        "Where confidential patient information flows, a Caldicott Guardian is named.",
        "National Data Guardian, guidance of 2021 on Caldicott Guardians",
        "Give the mailbox in caldicott_guardian of the party.",
    ),
    Code.IMPACT_ASSESSMENT_MISSING: Guidance(
        "An agreement about people names its DPIA, or says that none is required.",
        "UK GDPR Art 35; ICO data sharing code Annex A",
        "Fill in legal.dpia.",
    ),
    Code.IMPACT_ASSESSMENT_NOT_COMPLETED: Guidance(
        "The DPIA is completed before the owner decides; a high risk was put to the ICO first.",
        "UK GDPR Arts 35(1) and 36(1)",
        "Complete the assessment, and give its day in legal.dpia.completed.",
    ),
    Code.PERSONAL_DATA_TO_PUBLIC: Guidance(
        "Nothing that is about a person is open to the public.",
        "UK GDPR Arts 5(1)(b) and (f)",
        "Take the rule out, or publish an anonymous dataset.",
    ),
    Code.SMALL_NUMBER_GUARD_MISSING: Guidance(
        "Counts that are published pass the small-number guard.",
        "Disclosure control for Hospital Episode Statistics",
        "Add small_number_guard to the obligations of the rule.",
    ),
    Code.RESTRICTION_BASIS_MISSING: Guidance(
        "What is hidden from the people it is about has a basis for hiding it.",
        "UK GDPR Art 23; DPA 2018 Schs 2 to 4, ss.44 and 45",
        "Name the exemption in rights.restriction_basis.",
    ),
    Code.WITHHELD_WITHOUT_REASON: Guidance(
        "An agreement that is not published says why.",
        "Freedom of Information Act 2000 s.17",
        "Give transparency.withheld_reason.",
    ),
    Code.BREAK_GLASS_RELAXES_TOO_MUCH: Guidance(
        "Urgent access never relaxes purpose, party, instrument, fields or the record.",
        "DPA 2018 Sch 1 para 18; Caldicott principles 3 and 4",
        "Take the word out of relaxes.",
    ),
    Code.BREAK_GLASS_NEEDS_PERSON: Guidance(
        "Urgent access is used by a named person in a role, for a stated reason.",
        "Caldicott principle 4",
        "Use rules of mode user, and list roles and reasons.",
    ),
    Code.BREAK_GLASS_TELLS_NOBODY: Guidance(
        "Urgent access is told to the DPO and the owner, and to the Guardian of patient data.",
        "UK GDPR Art 39(1)(b); Caldicott principle 5",
        "Add the role to notify, and its mailbox to a party.",
    ),
}

_CONDUCT_RULES: Final[Mapping[Code, Guidance]] = {
    Code.STEP_NOT_FOR_ROLE: Guidance(
        "The owner decides, others advise, the SIRO accepts risk, the operator only stops.",
        _LIFECYCLE,
        "Record the step under the role that may take it.",
    ),
    Code.STEP_OUTCOME_IMPOSSIBLE: Guidance(
        "Each step has its own outcomes; advice is never approval.",
        "UK GDPR Art 39(1)(a); lifecycle of an agreement",
        "Give one of the outcomes of the step.",
    ),
    Code.STEP_BY_STRANGER: Guidance(
        "Only parties take steps; only the operator may be another body.",
        _LIFECYCLE,
        "Correct org, or add the body to the parties.",
    ),
    Code.DUTIES_NOT_SEPARATED: Guidance(
        "Who decides has neither asked for the data nor advised on the decision.",
        "UK GDPR Art 38(6); lifecycle of an agreement",
        "Let another person decide or advise.",
    ),
    Code.OWNER_DECISION_MISSING: Guidance(
        "The asset owner of every provider has approved.",
        _LIFECYCLE,
        "Record the owner's decision of each provider.",
    ),
    Code.ADVICE_MISSING: Guidance(
        "The DPO has advised on personal data, and the Guardian on patient data, in time.",
        "UK GDPR Arts 35(2) and 39; National Data Guardian",
        "Record the advice before the owner decides.",
    ),
    Code.ADVICE_NOT_ANSWERED: Guidance(
        "Conditional or unfavourable advice is answered in the note of the decision.",
        "UK GDPR Art 38(1); ICO data sharing code, accountability",
        "Say in the note of the owner's decision how the advice was met.",
    ),
    Code.RISK_NOT_ACCEPTED: Guidance(
        "A high or overridden risk is accepted by a SIRO before the agreement is active.",
        "Data Security and Protection Toolkit; UK GDPR Art 36",
        "Record risk_acceptance by the SIRO of a party.",
    ),
    Code.SIGNATURE_MISSING: Guidance(
        "Every party but the public has signed.",
        "ICO data sharing code: senior sign-off",
        "Record the signature of the party's asset owner.",
    ),
    Code.ACTIVATION_MISSING: Guidance(
        "A provider's asset owner put the agreement into force.",
        _LIFECYCLE,
        "Record the activation.",
    ),
    Code.STEPS_OUT_OF_ORDER: Guidance(
        "Asked, advised, decided, signed, activated, reviewed: in this order.",
        _LIFECYCLE,
        "Correct the instant, or take the step again.",
    ),
    Code.STATUS_CONTRADICTS_STEPS: Guidance(
        "The status follows from the steps.",
        _LIFECYCLE,
        "Correct the status, or record the step that led to it.",
    ),
    Code.SUPERSESSION_UNCLEAR: Guidance(
        "A later version names the earlier version of itself that it replaces.",
        "Versions of an agreement: a new version has new signatures",
        "Write supersedes as the agreement's id, @, and an earlier version.",
    ),
    Code.VERSION_NOT_INCREASED: Guidance(
        "The version of an agreement never falls.",
        "Versions of an agreement: one is in force at an instant",
        "Give the changed agreement the next version.",
    ),
    Code.SIGNED_VERSION_CHANGED: Guidance(
        "What was signed stays as it was signed; only its status and its steps go on.",
        "Versions of an agreement: a new version has new signatures",
        "Make it a new version that supersedes this one, and have it signed.",
    ),
}

CATALOGUE: Final[Mapping[Code, Guidance]] = {**LAW_RULES, **_SAFEGUARD_RULES, **_CONDUCT_RULES}
"""Every code with its rule, source and mend."""
