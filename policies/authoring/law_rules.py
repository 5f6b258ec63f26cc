"""The rules that the law sets for agreements: what each code stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from policies.authoring.codes import Code, Guidance

_ARTICLE6 = "UK GDPR Art 6(1)"
_SCHEDULE1 = "DPA 2018 ss.10, 11 and Sch 1"
_PART3 = "DPA 2018 Part 3"
_DEA = "Digital Economy Act 2017"

LAW_RULES: Final[Mapping[Code, Guidance]] = {
    Code.PARTY_UNKNOWN: Guidance(
        "Every party but the public is a body that the directory knows.",
        "ICO data sharing code, parties to an agreement",
        "Add the body to parties.yaml, or correct its reference.",
    ),
    Code.CODE_NOT_IN_VOCABULARY: Guidance(
        "Bases, conditions, exemptions and gateways are codes of the closed lists.",
        "legal/vocabulary.yaml",
        "Use a code of the list that is named.",
    ),
    Code.CODE_NOT_IN_FORCE: Guidance(
        "A code can be relied on only from the day on which it is law.",
        "Commencement of the provision; for Art 6(1)(ea), SI 2026/82 reg 2 (5 February 2026)",
        "Rely on a provision that is in force when the agreement starts.",
    ),
    Code.REGIME_CONTRADICTS_DATA: Guidance(
        "The regime fits the data: personal data has one, anonymous data has not.",
        "UK GDPR Art 2 and recital 26; DPA 2018 s.29",
        "Change legal.regime, legal.data_types or the dataset, whichever is wrong.",
    ),
    Code.DATA_TYPE_NOT_DECLARED: Guidance(
        "What a field is said to be is among the data types of the agreement.",
        "ICO data sharing code Annex A: what information is shared",
        "Add the type to legal.data_types, or mark the field never.",
    ),
    Code.KIND_FIELD_MISSING: Guidance(
        "Each kind of agreement has members that it cannot do without.",
        "Concordat agreement schema: the kind picks the required members",
        "Fill in the member that is named, or choose another kind.",
    ),
    Code.DATA_PROTECTION_ROLE_MISSING: Guidance(
        "Who handles personal data is a controller, a processor or a competent authority.",
        "UK GDPR Art 4(7) and (8); DPA 2018 s.30",
        "Give the party its dp_role.",
    ),
    Code.JOINT_CONTROLLER_ALONE: Guidance(
        "Nobody is a joint controller alone.",
        "UK GDPR Art 26(1)",
        "Name the other joint controllers, or make the party a controller.",
    ),
    Code.PROCESSOR_NEEDS_PROCESSING_AGREEMENT: Guidance(
        "A processor needs processing terms, which only a dspa has.",
        "UK GDPR Art 28(3)",
        "Make it a dspa, or correct the party's dp_role.",
    ),
    Code.PARTY_CONTACT_MISSING: Guidance(
        "A public authority on an agreement about people names its DPO and its asset owner.",
        "UK GDPR Art 37(1)(a); ICO data sharing code, contacts",
        "Give the mailbox of the role, not of a person.",
    ),
    Code.DATA_PROTECTION_OFFICER_CONFLICT: Guidance(
        "The DPO is not also the asset owner or the SIRO.",
        "UK GDPR Art 38(3) and (6)",
        "Name another person for one of the two roles.",
    ),
    Code.ARTICLE6_MISSING: Guidance(
        "Each side that handles personal data under UK GDPR has a lawful basis.",
        _ARTICLE6,
        "Name a basis under article6 for the side.",
    ),
    Code.ARTICLE6_NOT_AVAILABLE_TO_PUBLIC_AUTHORITY: Guidance(
        "A public authority cannot rely on 6(1)(f) or (ea) for its own tasks.",
        "UK GDPR Art 6(1), closing words, as amended by DUAA 2025 s.70",
        "Use UKGDPR-6-1-e with the power it stands on, or UKGDPR-6-1-c.",
    ),
    Code.RECOGNISED_INTEREST_MISSING: Guidance(
        "Art 6(1)(ea) needs one of the conditions of Annex 1.",
        "UK GDPR Annex 1, inserted by DUAA 2025 Sch 4",
        "Name the condition under recognised_legitimate_interest of the same side.",
    ),
    Code.RECOGNISED_INTEREST_NEEDS_PUBLIC_TASK: Guidance(
        "Disclosure for a public task needs a receiver that relies on its public task.",
        "UK GDPR Annex 1 para 1",
        "Give the consumer UKGDPR-6-1-e, or choose another Annex 1 condition.",
    ),
    Code.ARTICLE9_MISSING: Guidance(
        "Special category data needs a condition of Art 9(2) on each side.",
        "UK GDPR Art 9(1) and (2)",
        "Name a condition under article9 for the side.",
    ),
    Code.SCHEDULE1_CONDITION_MISSING: Guidance(
        "Art 9(2)(b), (g), (h), (i) and (j) each need their condition of Schedule 1.",
        _SCHEDULE1,
        "Name a matching condition under schedule1 for the side.",
    ),
    Code.SCHEDULE1_CONDITION_NOT_APPLICABLE: Guidance(
        "A Schedule 1 condition supports something: its part fits the basis and the data.",
        _SCHEDULE1,
        "Take the condition out, or name the Art 9 basis or data type it belongs to.",
    ),
    Code.POLICY_DOCUMENT_MISSING: Guidance(
        "Conditions that ask for it need an appropriate policy document.",
        "DPA 2018 Sch 1 paras 1, 5 and 38 to 41; for Part 3, ss.35 and 42",
        "Name the document in legal.appropriate_policy_document.",
    ),
    Code.REQUEST_CONTEXT_MISSING: Guidance(
        "Where a condition has a test of its own, each disclosing request states the answers.",
        "DPA 2018 Sch 1 para 18(1)(c) and (2)",
        "Add the words to request_context_required of the rule.",
    ),
    Code.CRIMINAL_OFFENCE_CONDITION_MISSING: Guidance(
        "Criminal offence data needs official authority or a Schedule 1 condition.",
        "UK GDPR Art 10; DPA 2018 s.10(5)",
        "Name a Schedule 1 condition for the side.",
    ),
    Code.PART3_PARTY_NOT_COMPETENT_AUTHORITY: Guidance(
        "Only a competent authority handles data under Part 3.",
        "DPA 2018 s.30 and Sch 7",
        "Correct the party, its dp_role, or legal.regime.",
    ),
    Code.PART3_GROUND_MISSING: Guidance(
        "Law enforcement processing has one of the two grounds.",
        "DPA 2018 s.35(2)",
        "Name it under part3_ground of the side.",
    ),
    Code.PART3_PURPOSE_MISSING: Guidance(
        "Law enforcement processing is for a law enforcement purpose.",
        "DPA 2018 s.31",
        "Name it under purposes of the side.",
    ),
    Code.PART3_SENSITIVE_CONDITION_MISSING: Guidance(
        "Sensitive processing needs consent, or strict necessity with a Schedule 8 condition.",
        "DPA 2018 s.35(3) to (5) and Sch 8",
        "Name sensitive_ground, and schedule8 where the ground is s.35(5).",
    ),
    Code.SUBJECT_CATEGORY_MISSING: Guidance(
        "A competent authority says whom its request is about: suspect, victim, witness …",
        "DPA 2018 s.38(3)",
        "List part3.subject_categories, and ask for subject_category in each of its rules.",
    ),
    Code.CASE_DECISION_MISSING: Guidance(
        "Disclosures to law enforcement on request are decided one by one.",
        "ICO law enforcement toolkit; DPA 2018 Sch 2 para 2",
        "Ask for decision_ref and operation_ref in request_context_required.",
    ),
    Code.LAW_ENFORCEMENT_REUSE_NOT_AUTHORISED: Guidance(
        "Data of a competent authority leaves Part 3 only where law authorises it.",
        "DPA 2018 s.36(4)",
        "Say in legal.part3.note which law authorises it.",
    ),
    Code.PURPOSE_NOT_COVERED: Guidance(
        "Every purpose is one of some instrument that the agreement names.",
        "ICO data sharing code, legal power to share",
        "Name an instrument for the purpose, or take the purpose out.",
    ),
    Code.INSTRUMENT_NOT_IN_FORCE: Guidance(
        "Every purpose has an instrument that is in force when the agreement begins to bind.",
        "legal/instruments.yaml: the versions of the instrument",
        "Wait for the instrument, or name one that is in force.",
    ),
    Code.GATEWAY_NOT_IN_VOCABULARY: Guidance(
        "The gateway of an instrument is one of the closed lists, and law on the day.",
        "legal/vocabulary.yaml",
        "Correct the gateway in instruments.yaml.",
    ),
    Code.GATEWAY_ONLY_A_POWER: Guidance(
        "A general power to act is no gateway by itself.",
        "Localism Act 2011 s.1",
        "Name the statutory gateway as well.",
    ),
    Code.GATEWAY_OUT_OF_JURISDICTION: Guidance(
        "A gateway is relied on by bodies of the nations to which it extends.",
        "The extent of the Act",
        "Name the gateway of the nation, or take the party out.",
    ),
    Code.GATEWAY_DETAILS_MISSING: Guidance(
        "Sharing under DEA 2017 Part 5 names its section, and for s.35 its objective.",
        f"{_DEA} s.35",
        "Fill in legal.dea.section and legal.dea.objective.",
    ),
    Code.GATEWAY_OBJECTIVE_MISMATCH: Guidance(
        "Agreement and instrument name the same section and objective.",
        f"{_DEA} s.35",
        "Make legal.dea and the instrument agree.",
    ),
    Code.GATEWAY_PARTY_NOT_SPECIFIED: Guidance(
        "All parties are specified persons for the same objective.",
        f"{_DEA} s.35 and Sch 4; SI 2018/912",
        "Take the party out, or use a gateway that is open to it.",
    ),
    Code.REGISTER_ENTRY_MISSING: Guidance(
        "An agreement that must stand in the public register is entered before it is signed.",
        f"{_DEA} Part 5 codes of practice: the register",
        "Enter it, and give the entry's number in legal.dea.register_id.",
    ),
    Code.ONWARD_SHARING_BARRED: Guidance(
        "Information received under Chapter 1 is not passed on.",
        f"{_DEA} s.41",
        "Set onward_sharing.permitted to false.",
    ),
    Code.ONWARD_BAR_NOT_STATED: Guidance(
        "Where a statute bars passing on, the agreement says which.",
        f"{_DEA} s.41",
        "Name it in onward_sharing.statutory_bar.",
    ),
    Code.ONWARD_SHARING_CONTRADICTION: Guidance(
        "An agreement that permits no onward sharing has no recipients.",
        "ICO data sharing code, onward sharing",
        "Empty recipients, or permit it.",
    ),
}
