"""Which elements a FHIR R4 resource cannot be without, so that a missing one is explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Required:
    """An element of cardinality 1.. in FHIR R4.

    `name` is its JSON name; for a choice of types (``occurrence[x]``) the name of one of them, and
    `choice` is what all of them begin with. `structured` says that its value is an object,
    `repeats` that it is a list.
    """

    name: str
    choice: str | None = None
    structured: bool = False
    repeats: bool = False

    def is_among(self, names: Mapping[str, object]) -> bool:
        """Whether the element is there, in whichever type and with a value or without."""
        if self.choice is None:
            return self.name in names or f"_{self.name}" in names
        return any(
            name.removeprefix("_").startswith(self.choice)
            and name.removeprefix("_")[len(self.choice) :][:1].isupper()
            for name in names
        )


_TABLE: Final = """\
AllergyIntolerance: patient{}
AllergyIntolerance.note: text
AllergyIntolerance.reaction: manifestation{}*
AllergyIntolerance.reaction.note: text
Appointment: participant{}* status
Appointment.participant: status
CarePlan: intent status subject{}
CarePlan.activity.detail: status
CarePlan.activity.progress: text
CarePlan.note: text
CareTeam:
CareTeam.note: text
ClinicalImpression: status subject{}
ClinicalImpression.investigation: code{}
ClinicalImpression.note: text
Communication: status
Communication.note: text
Communication.payload: content[x]=contentString
CommunicationRequest: status
CommunicationRequest.note: text
CommunicationRequest.payload: content[x]=contentString
Composition: author{}* date status title type{}
Composition.attester: mode
Composition.relatesTo: code target[x]{}=targetIdentifier
Condition: subject{}
Condition.note: text
Consent: category{}* scope{} status
Consent.provision.actor: reference{} role{}
Consent.provision.data: meaning reference{}
Consent.verification: verified{}
Coverage: beneficiary{} payor{}* status
Coverage.class: type{} value
Coverage.costToBeneficiary: value[x]{}=valueMoney
Coverage.costToBeneficiary.exception: type{}
Device:
Device.deviceName: name type
Device.note: text
Device.property: type{}
Device.specialization: systemType{}
Device.version: value
DiagnosticReport: code{} status
DiagnosticReport.media: link{}
DocumentReference: content{}* status
DocumentReference.content: attachment{}
DocumentReference.relatesTo: code target{}
Encounter: class{} status
Encounter.classHistory: class{} period{}
Encounter.diagnosis: condition{}
Encounter.location: location{}
Encounter.statusHistory: period{} status
EpisodeOfCare: patient{} status
EpisodeOfCare.diagnosis: condition{}
EpisodeOfCare.statusHistory: period{} status
FamilyMemberHistory: patient{} relationship{} status
FamilyMemberHistory.condition: code{}
FamilyMemberHistory.condition.note: text
FamilyMemberHistory.note: text
Flag: code{} status subject{}
Goal: description{} lifecycleStatus subject{}
Goal.note: text
Group: actual type
Group.characteristic: code{} exclude value[x]{}=valueCodeableConcept
Group.member: entity{}
HealthcareService:
HealthcareService.notAvailable: description
ImagingStudy: status subject{}
ImagingStudy.note: text
ImagingStudy.series: modality{} uid
ImagingStudy.series.instance: sopClass{} uid
ImagingStudy.series.performer: actor{}
Immunization: occurrence[x]=occurrenceDateTime patient{} status vaccineCode{}
Immunization.note: text
Immunization.performer: actor{}
Immunization.protocolApplied: doseNumber[x]=doseNumberPositiveInt
ImmunizationRecommendation: date patient{} recommendation{}*
ImmunizationRecommendation.recommendation: forecastStatus{}
ImmunizationRecommendation.recommendation.dateCriterion: code{} value
List: mode status
List.entry: item{}
List.note: text
Location:
Location.position: latitude longitude
Medication:
Medication.ingredient: item[x]{}=itemCodeableConcept
MedicationAdministration: effective[x]=effectiveDateTime medication[x]{}=medicationCodeableConcept \
status subject{}
MedicationAdministration.note: text
MedicationAdministration.performer: actor{}
MedicationDispense: medication[x]{}=medicationCodeableConcept status
MedicationDispense.note: text
MedicationDispense.performer: actor{}
MedicationDispense.substitution: wasSubstituted
MedicationRequest: intent medication[x]{}=medicationCodeableConcept status subject{}
MedicationRequest.note: text
MedicationRequest.substitution: allowed[x]=allowedBoolean
MedicationStatement: medication[x]{}=medicationCodeableConcept status subject{}
MedicationStatement.note: text
NutritionOrder: dateTime intent patient{} status
NutritionOrder.note: text
Observation: code{} status
Observation.component: code{}
Observation.component.valueSampledData: dimensions origin{} period
Observation.note: text
Observation.valueSampledData: dimensions origin{} period
Organization:
Patient:
Patient.communication: language{}
Patient.link: other{} type
Person:
Person.link: target{}
Practitioner:
Practitioner.qualification: code{}
PractitionerRole:
PractitionerRole.notAvailable: description
Procedure: status subject{}
Procedure.focalDevice: manipulated{}
Procedure.note: text
Procedure.performer: actor{}
Provenance: agent{}* recorded target{}*
Provenance.agent: who{}
Provenance.entity: role what{}
Provenance.entity.agent: who{}
Provenance.signature: type{}* when who{}
RelatedPerson: patient{}
RelatedPerson.communication: language{}
RiskAssessment: status subject{}
RiskAssessment.note: text
Schedule: actor{}*
ServiceRequest: intent status subject{}
ServiceRequest.note: text
Slot: end schedule{} start status
Specimen:
Specimen.note: text
"""
"""Paths of resources and of structures in them, each with its required elements: ``{}`` marks an
object, ``*`` a list, ``[x]=`` a choice of types. From the StructureDefinitions of HL7 FHIR 4.0.1
and 4.3.0, which agree on these. A resource without a line here is not understood."""


def _read(token: str) -> Required:
    name, _, chosen = token.partition("=")
    repeats, structured = name.endswith("*"), "{}" in name
    name = name.removesuffix("*").removesuffix("{}")
    choice = name.removesuffix("[x]") if name.endswith("[x]") else None
    return Required(name=chosen or name, choice=choice, structured=structured, repeats=repeats)


REQUIRED: Final[Mapping[str, tuple[Required, ...]]] = {
    path: tuple(map(_read, tokens.split()))
    for path, _, tokens in (line.partition(":") for line in _TABLE.strip().splitlines())
}
"""The required elements of each resource and structure, by its path."""
