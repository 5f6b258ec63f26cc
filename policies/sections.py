"""The descriptive sections of an agreement document, read one by one into frozen values."""

from __future__ import annotations

import re
from typing import Final

from policies import words
from policies.agreement import (
    Costs,
    Dataset,
    Dea,
    Dpia,
    Feedback,
    Field,
    GovernanceStep,
    Legal,
    OnwardSharing,
    OptOut,
    Party,
    Purpose,
    Retention,
    Rights,
    Security,
    Term,
    Transparency,
)
from policies.reading import Section

ORGANISATION: Final = re.compile(
    r"(?:ods:[A-Z0-9]{3,9}|gss:[EWSN][0-9]{8}|govuk:[a-z0-9-]+|urn:ukfdx:org:.+|public)"
)
"""A reference to an organisation, or the public."""


def read_parties(document: Section) -> tuple[Party, ...]:
    """Read ``parties``."""
    contacts = ("single_point_of_contact", "dpo", "iao", "siro", "caldicott_guardian")
    found = document.sections(
        "parties", required=("ref", "roles", "dp_role"), optional=(*contacts, "clients")
    )
    return tuple(
        Party(
            ref=one.text("ref", pattern=ORGANISATION),
            roles=one.texts("roles", words=words.PARTY_ROLES),
            dp_role=one.word("dp_role", words.DP_ROLES),
            single_point_of_contact=one.optional_text("single_point_of_contact"),
            dpo=one.optional_text("dpo"),
            iao=one.optional_text("iao"),
            siro=one.optional_text("siro"),
            caldicott_guardian=one.optional_text("caldicott_guardian"),
            clients=one.texts("clients") if one.given("clients") else None,
        )
        for one in found
    )


def read_purpose(document: Section) -> Purpose:
    """Read ``purpose``."""
    one = document.section(
        "purpose",
        required=("codes", "statement", "benefits", "necessity"),
        optional=("prohibited", "less_intrusive_options", "harm_of_not_sharing"),
    )
    return Purpose(
        codes=one.texts("codes"),
        statement=one.text("statement"),
        benefits=one.text("benefits"),
        necessity=one.text("necessity"),
        prohibited=one.texts("prohibited"),
        less_intrusive_options=one.optional_text("less_intrusive_options"),
        harm_of_not_sharing=one.optional_text("harm_of_not_sharing"),
    )


def read_legal(document: Section) -> Legal:
    """Read ``legal``."""
    one = document.section(
        "legal",
        required=("regime", "data_types", "instruments", "confidentiality_basis"),
        optional=(
            *("provider_basis", "consumer_basis", "national_data_opt_out", "dpia", "dea"),
            *("appropriate_policy_document", "ropa_refs", "part3", "exemptions"),
        ),
    )
    instruments = one.texts("instruments")
    if one.given("instruments") and not instruments:
        one.fault("instruments", "too-short", "at least one legal instrument is asked for")
    return Legal(
        regime=one.word("regime", words.REGIMES),
        data_types=one.texts("data_types", words=words.DATA_TYPES),
        instruments=instruments,
        confidentiality_basis=one.text("confidentiality_basis"),
        provider_basis=one.lists("provider_basis"),
        consumer_basis=one.lists("consumer_basis"),
        national_data_opt_out=_read_opt_out(one),
        dpia=_read_dpia(one),
        appropriate_policy_document=one.nullable_text("appropriate_policy_document"),
        ropa_refs=one.texts("ropa_refs"),
        dea=_read_dea(one),
        part3=one.free("part3"),
        exemptions=one.texts("exemptions"),
    )


def _read_opt_out(legal: Section) -> OptOut | None:
    if not legal.given("national_data_opt_out"):
        return None
    one = legal.section("national_data_opt_out", required=("applies", "why"))
    return OptOut(applies=one.flag("applies"), why=one.text("why"))


def _read_dpia(legal: Section) -> Dpia | None:
    if not legal.given("dpia"):
        return None
    one = legal.section("dpia", required=("ref", "outcome"), optional=("completed", "next_review"))
    return Dpia(
        ref=one.text("ref"),
        outcome=one.word("outcome", words.DPIA_OUTCOMES),
        completed=one.optional_day("completed"),
        next_review=one.optional_day("next_review"),
    )


def _read_dea(legal: Section) -> Dea | None:
    if not legal.given("dea"):
        return None
    one = legal.section("dea", optional=("section", "objective", "register_id", "register_url"))
    return Dea(
        section=one.optional_text("section"),
        objective=one.optional_text("objective"),
        register_id=one.nullable_text("register_id"),
        register_url=one.nullable_text("register_url"),
    )


def read_datasets(document: Section) -> tuple[Dataset, ...]:
    """Read ``data``."""
    found = document.sections(
        "data",
        required=("dataset", "subjects", "identifiability", "fields"),
        optional=("title", "catalogue_identifier", "period", "subject_identifier"),
    )
    return tuple(
        Dataset(
            dataset=one.text("dataset"),
            subjects=one.text("subjects"),
            identifiability=one.word("identifiability", words.IDENTIFIABILITIES),
            fields=tuple(
                Field(
                    name=each.text("name"),
                    class_=each.word("class", words.FIELD_CLASSES),
                    why=each.optional_text("why"),
                    never=each.flag("never"),
                )
                for each in one.sections(
                    "fields", required=("name", "class"), optional=("why", "never")
                )
            ),
            title=one.optional_text("title"),
            catalogue_identifier=one.optional_text("catalogue_identifier"),
            period=one.optional_text("period"),
            subject_identifier=one.nullable_text("subject_identifier"),
        )
        for one in found
    )


def read_onward_sharing(document: Section) -> OnwardSharing:
    """Read ``onward_sharing``."""
    one = document.section(
        "onward_sharing",
        required=("permitted",),
        optional=("recipients", "conditions", "statutory_bar"),
    )
    return OnwardSharing(
        permitted=one.flag("permitted"),
        recipients=one.texts("recipients"),
        conditions=one.optional_text("conditions"),
        statutory_bar=one.optional_text("statutory_bar"),
    )


def read_security(document: Section) -> Security:
    """Read ``security``."""
    one = document.section(
        "security",
        required=("classification", "transport"),
        optional=("sender_constrained_tokens", "storage_location", "consumer_assurance"),
    )
    return Security(
        classification=one.word("classification", words.CLASSIFICATIONS),
        transport=one.word("transport", words.TRANSPORTS),
        sender_constrained_tokens=one.flag("sender_constrained_tokens"),
        storage_location=one.optional_text("storage_location"),
        consumer_assurance=one.texts("consumer_assurance"),
    )


def read_retention(document: Section) -> Retention:
    """Read ``retention``."""
    one = document.section(
        "retention",
        required=("consumer_keeps_for", "disposal", "audit_kept_for"),
        optional=("disposal_certificate_due", "legal_hold"),
    )
    return Retention(
        consumer_keeps_for=one.text("consumer_keeps_for"),
        disposal=one.text("disposal"),
        audit_kept_for=one.duration("audit_kept_for"),
        disposal_certificate_due=one.optional_text("disposal_certificate_due"),
        legal_hold=one.nullable_text("legal_hold"),
    )


def read_rights(document: Section) -> Rights:
    """Read ``rights``."""
    one = document.section(
        "rights",
        required=("sar_contact",),
        optional=("rectification", "complaints", "subject_visibility", "restriction_basis"),
    )
    return Rights(
        sar_contact=one.text("sar_contact"),
        rectification=one.optional_text("rectification"),
        complaints=one.optional_text("complaints"),
        subject_visibility=(
            one.word("subject_visibility", words.VISIBILITIES)
            if one.given("subject_visibility")
            else "visible"
        ),
        restriction_basis=one.nullable_text("restriction_basis"),
    )


def read_feedback(document: Section) -> Feedback | None:
    """Read ``feedback``, where there is any."""
    if not document.given("feedback"):
        return None
    one = document.section(
        "feedback", optional=("rule", "outcomes", "owner_must_acknowledge_within", "metrics")
    )
    return Feedback(
        rule=one.optional_text("rule"),
        outcomes=one.texts("outcomes"),
        owner_must_acknowledge_within=one.optional_duration("owner_must_acknowledge_within"),
        metrics=one.texts("metrics"),
    )


def read_costs(document: Section) -> Costs | None:
    """Read ``costs``, where there are any."""
    if not document.given("costs"):
        return None
    one = document.section("costs", optional=("charging", "borne_by", "usage_statement"))
    return Costs(
        charging=one.word("charging", words.CHARGING) if one.given("charging") else "none",
        borne_by=one.optional_text("borne_by"),
        usage_statement=one.flag("usage_statement"),
    )


def read_term(document: Section) -> Term:
    """Read ``term``."""
    one = document.section(
        "term", required=("start", "end", "review_by", "review_grace"), optional=("notice",)
    )
    return Term(
        start=one.instant("start"),
        end=one.nullable_instant("end"),
        review_by=one.day("review_by"),
        review_grace=one.duration("review_grace"),
        notice=one.optional_duration("notice"),
    )


def read_transparency(document: Section) -> Transparency:
    """Read ``transparency``."""
    one = document.section(
        "transparency", required=("publish",), optional=("privacy_notice", "withheld_reason")
    )
    return Transparency(
        publish=one.word("publish", words.PUBLISHING),
        privacy_notice=one.optional_text("privacy_notice"),
        withheld_reason=one.optional_text("withheld_reason"),
    )


def read_governance(governance: Section) -> tuple[GovernanceStep, ...]:
    """Read ``governance.decisions``."""
    found = governance.sections(
        "decisions",
        required=("step", "role", "org", "outcome", "at"),
        optional=("person_ref", "note"),
    )
    return tuple(
        GovernanceStep(
            step=one.word("step", words.STEPS),
            role=one.word("role", words.STEP_ROLES),
            org=one.text("org"),
            outcome=one.word("outcome", words.STEP_OUTCOMES),
            at=one.instant("at"),
            person_ref=one.optional_text("person_ref"),
            note=one.optional_text("note"),
        )
        for one in found
    )
