"""The table behind the glossary: per section and member its label, meaning, enforcement and how.

The letters are E for every call, V when it is written, M watched afterwards, R recorded only.
Sources are in uk-public-sector.md, section 2b.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from policies.glossary_access import ACCESS

Row = tuple[str, str, str, str]
"""Label, meaning, letters, how."""

_READ: Final = "Checked when it is read."
_KEPT: Final = "Kept on record."
_SHOWN: Final = "Shown with the agreement."

SECTIONS: Final[Mapping[str, Mapping[str, Row]]] = {
    "": {
        "schema_version": ("schema version", "The version of this format.", "V", _READ),
        "agreement_id": (
            "agreement", "The name that tokens and records use for the agreement.", "EV",
            "A token may name it. Every record keeps id, version and digest.",
        ),
        "version": (
            "version", "A changed text is a new version, and is signed again.", "EV",
            "Records keep the version that was applied.",
        ),
        "title": ("title", "What people call the agreement.", "V", "At most 160 characters."),
        "kind": ("kind", "What sort of agreement it is.", "V", "Decides which parts are needed."),
        "status": (
            "state", "Where the agreement is in its life.", "E",
            "It answers calls only while active, or under review.",
        ),
        "parties": ("parties", "The bodies that signed.", "EV", "Others learn nothing of it."),
        "purpose": ("purpose", "Why data is shared (UK GDPR Art 5(1)(b)).", "EV", "See below."),
        "legal": ("law", "The law that the sharing stands on.", "EV", "See below."),
        "data": ("data", "Which data is shared, field by field.", "E", "See below."),
        "access": ("access", "Who may do what, and how.", "E", "What no rule permits is refused."),
        "onward_sharing": (
            "onward sharing", "Whether the receiver may pass data on.", "E", "See below.",
        ),
        "security": ("security", "How the data is protected (UK GDPR Art 32).", "E", "See below."),
        "retention": ("keeping", "How long data and records are kept.", "M", "See below."),
        "rights": ("rights", "How people use their rights over their data.", "E", "See below."),
        "term": ("term", "When the agreement starts, ends and is reviewed.", "E", "See below."),
        "transparency": ("openness", "What the public can see of it.", "V", "See below."),
        "governance": ("approval", "Who advised, decided and signed.", "V", "See below."),
        "supersedes": ("replaces", "The version that this one replaces.", "R", _KEPT),
        "synthetic": ("test data", "Whether bodies and data are made up.", "R", _KEPT),
        "feedback": ("feedback", "How results go back to the data owner.", "M", "See below."),
        "costs": ("costs", "Who pays.", "R", "See below."),
    },
    "parties[]": {
        "ref": (
            "body", "The body, by its ODS, GSS, GOV.UK or URN reference.", "E",
            "The token's issuer must be registered to speak for it.",
        ),
        "roles": ("roles", "Whether it gives data, gets data, or both.", "V", _READ),
        "dp_role": (
            "data protection role",
            "Controller, joint controller (Art 26), processor (Art 28) or competent authority "
            "(DPA 2018 s.30).", "V", _READ,
        ),
        "single_point_of_contact": (
            "contact", "Whom to ask about a refusal.", "E", "Named in refusals to parties.",
        ),
        "dpo": ("data protection officer", "Who advises on the law.", "R", _KEPT),
        "iao": ("information asset owner", "Who owns the data.", "R", "Decides and signs."),
        "siro": ("senior risk owner", "Who accepts risk.", "R", "Accepts it in writing."),
        "caldicott_guardian": (
            "Caldicott Guardian", "Who guards confidential patient information.", "V", _READ,
        ),
        "clients": (
            "clients", "The programs that may call for this body.", "E",
            "Other programs are refused. Left out, any program of the body may call.",
        ),
    },
    "purpose": {
        "codes": (
            "purposes", "What the data may be used for.", "E",
            "The signed token must state one, and the rule must permit it.",
        ),
        "statement": ("statement", "The purpose in words.", "R", _SHOWN),
        "benefits": ("benefits", "Who gains, and how.", "R", _SHOWN),
        "necessity": ("necessity", "Why it cannot be done without this data.", "R", _SHOWN),
        "prohibited": (
            "forbidden purposes", "Uses that were ruled out by name.", "E",
            "Refused with an alert.",
        ),
        "less_intrusive_options": ("milder ways", "What was tried first.", "R", _SHOWN),
        "harm_of_not_sharing": (
            "harm of not sharing", "What happens without it (ICO Annex A).", "R", _SHOWN,
        ),
    },
    "legal": {
        "regime": ("regime", "UK GDPR, DPA 2018 Part 3, or not personal data.", "V", _READ),
        "data_types": ("kinds of data", "How sensitive the data is.", "V", _READ),
        "instruments": (
            "legal instruments", "The notices and powers it rests on.", "E",
            "One that covers the purpose must be in force at that instant. The record keeps which.",
        ),
        "confidentiality_basis": (
            "confidentiality", "How the duty of confidence is met.", "V", _READ,
        ),
        "provider_basis": ("giver's basis", "Lawful basis of the giver (Art 6, 9).", "V", _READ),
        "consumer_basis": ("receiver's basis", "Lawful basis of the receiver.", "V", _READ),
        "national_data_opt_out": ("national data opt-out", "The NHS opt-out.", "EV", "See below."),
        "dpia": ("impact assessment", "The DPIA (UK GDPR Art 35).", "V", "See below."),
        "appropriate_policy_document": (
            "policy document", "The Schedule 1 Part 4 document.", "V", _READ,
        ),
        "ropa_refs": ("processing records", "Entries under UK GDPR Art 30.", "R", _KEPT),
        "dea": ("Digital Economy Act", "The Part 5 power and entry.", "EV", "See below."),
        "part3": (
            "law enforcement", "Terms under DPA 2018 Part 3.", "E",
            "Its subject categories are the only ones a request may state (s.38(3)).",
        ),
        "exemptions": ("exemptions", "Exemptions relied on (Schedules 2 to 4).", "R", _KEPT),
    },
    "legal.national_data_opt_out": {
        "applies": (
            "applies", "Whether people who opted out are left out.", "EV",
            "Refused when the agreement is loaded if this gateway cannot do it.",
        ),
        "why": ("why", "Why it applies or not.", "R", _SHOWN),
    },
    "legal.dpia": {
        "ref": ("reference", "Where the assessment is.", "R", _KEPT),
        "outcome": ("outcome", "The risk that is left.", "V", _READ),
        "completed": ("completed", "When it was done.", "R", _KEPT),
        "next_review": ("next review", "When it is looked at again.", "M", _KEPT),
    },
    "legal.dea": {
        "section": ("section", "The section of the Act.", "V", _READ),
        "objective": ("objective", "The objective that both bodies share (s.35).", "V", _READ),
        "register_id": (
            "register entry", "The entry in the public register (s.44 code).", "E",
            "Without it nothing is shared under a power that needs one.",
        ),
        "register_url": ("register address", "Where the entry is.", "R", _SHOWN),
    },
    "data[]": {
        "dataset": ("dataset", "The name that rules use.", "V", "Its service must serve it."),
        "subjects": ("people", "Whom the data is about.", "R", _SHOWN),
        "identifiability": (
            "identifiability", "How easily people are known from it.", "E",
            "Counts marked as suppressed switch on the small-number guard.",
        ),
        "fields": ("fields", "Every field, by name.", "E", "Others never leave."),
        "title": ("title", "What people call the dataset.", "R", _SHOWN),
        "catalogue_identifier": ("catalogue entry", "Its catalogue record.", "R", _SHOWN),
        "period": ("period", "The time that the data covers.", "R", _SHOWN),
        "subject_identifier": (
            "person's identifier", "The field that tells people apart.", "E",
            "People are counted by it. Urgent access names one person by it.",
        ),
    },
    "data[].fields[]": {
        "name": ("name", "The field's name in the answer.", "E", "Fields not agreed are dropped."),
        "class": ("class", "How sensitive the field is.", "R", "Kept in each record."),
        "why": ("why", "Why this field is needed (Art 5(1)(c)).", "R", _SHOWN),
        "never": ("never", "Held by the service, never shared.", "E", "Never leaves."),
    },
    **ACCESS,
    "onward_sharing": {
        "permitted": (
            "permitted", "Whether the receiver may pass data on.", "EM",
            "Calls for others are refused. Answers carry a mark where it is not permitted.",
        ),
        "recipients": ("recipients", "Who may get it next.", "R", _SHOWN),
        "conditions": ("conditions", "On what terms.", "R", _SHOWN),
        "statutory_bar": ("bar in law", "An Act that forbids it (DEA s.41).", "R", _SHOWN),
    },
    "security": {
        "classification": ("classification", "The government marking.", "R", _KEPT),
        "transport": ("transport", "TLS, or TLS both ways.", "R", _KEPT),
        "sender_constrained_tokens": (
            "bound tokens", "A stolen token must be of no use.", "E",
            "Tokens need proof of the caller's key (RFC 9449 or RFC 8705).",
        ),
        "storage_location": ("location", "Where the receiver keeps data.", "R", _KEPT),
        "consumer_assurance": ("assurance", "Standards the receiver meets.", "R", _KEPT),
    },
    "retention": {
        "consumer_keeps_for": ("kept for", "How long the receiver keeps it.", "R", _SHOWN),
        "disposal": ("disposal", "How it is destroyed.", "R", _SHOWN),
        "audit_kept_for": ("records kept for", "How long records are kept.", "R", _KEPT),
        "disposal_certificate_due": ("certificate due", "When proof is due.", "R", _KEPT),
        "legal_hold": ("legal hold", "Why records must not be destroyed.", "R", _KEPT),
    },
    "rights": {
        "sar_contact": ("access requests", "Where people ask for their data.", "R", _SHOWN),
        "rectification": ("corrections", "How mistakes are put right (Art 16).", "R", _KEPT),
        "complaints": ("complaints", "Where people complain.", "R", _SHOWN),
        "subject_visibility": (
            "shown to the person", "Whether people may see that data was shared.", "E",
            "A restricted exchange is marked as hidden from the person's view.",
        ),
        "restriction_basis": ("basis for hiding", "The law that allows it.", "R", _KEPT),
    },
    "feedback": {
        "rule": ("rule", "The rule by which results go back.", "V", "It must be a rule here."),
        "outcomes": ("outcomes", "The results that may be reported.", "R", _KEPT),
        "owner_must_acknowledge_within": ("answer within", "The owner's time.", "R", _KEPT),
        "metrics": ("measures", "What is counted.", "R", _KEPT),
    },
    "costs": {
        "charging": ("charging", "Whether there is a charge.", "R", _KEPT),
        "borne_by": ("paid by", "Who pays.", "R", _KEPT),
        "usage_statement": ("statement", "Whether use is accounted for.", "R", _KEPT),
    },
    "term": {
        "start": ("start", "The first instant.", "E", "Earlier calls are refused."),
        "end": ("end", "The last instant; null for none.", "E", "Later calls are refused."),
        "review_by": ("review by", "The last day for the review.", "E", "Then the grace runs."),
        "review_grace": ("grace", "How long a late review is borne.", "E", "Then calls stop."),
        "notice": ("notice", "How long before it can be ended.", "R", _KEPT),
    },
    "transparency": {
        "publish": ("published", "How much the public may see.", "V", "Less asks for a reason."),
        "privacy_notice": ("privacy notice", "What people are told (Art 14).", "R", _SHOWN),
        "withheld_reason": ("why withheld", "The reason for showing less.", "R", _SHOWN),
    },
    "governance": {
        "decisions": ("decisions", "Each step of the approval, in order.", "V", "See below."),
        "ethics": ("ethics", "Answers to the Data and AI Ethics Framework.", "R", _KEPT),
    },
    "governance.decisions[]": {
        "step": ("step", "What was done.", "V", _READ),
        "role": ("role", "In which role. Owners decide; others advise.", "V", _READ),
        "org": ("body", "For which body.", "V", _KEPT),
        "outcome": ("outcome", "What came of it.", "V", _READ),
        "at": ("when", "When it was done.", "V", _READ),
        "person_ref": ("person", "Who did it, by a reference.", "R", _KEPT),
        "note": ("note", "Conditions, and how they were met.", "R", _KEPT),
    },
}  # fmt: skip
