"""Applying a decision's duties to a service's answer: what may leave, and nothing else, leaves."""

from __future__ import annotations

from gateway.exchange.duties.applied import Applied, Shape, Withheld, not_applicable
from gateway.exchange.duties.csv_duties import apply_to_csv
from gateway.exchange.duties.csv_stream import CsvStream
from gateway.exchange.duties.fhir_duties import apply_to_fhir
from gateway.exchange.duties.json_duties import apply_to_json
from gateway.exchange.duties.media import CSV, JSON, OTHER, PARQUET, read_media
from gateway.exchange.duties.parquet_duties import apply_to_parquet
from gateway.exchange.duties.small_numbers import small_numbers_withheld
from gateway.exchange.duties.streamed import NoDuties, StreamedDuties
from policies.decision import Duties

__all__ = [
    "Applied",
    "Shape",
    "Withheld",
    "apply_duties",
    "has_body_duties",
    "may_stream",
    "streamed_duties",
]


def has_body_duties(duties: Duties) -> bool:
    """Whether an answer has to be read at all before it is released."""
    return (
        duties.allowed is not None
        or duties.small_number_guard
        or duties.restricted is not None
        or bool(duties.scope)
        or duties.records_max is not None
        or duties.subject_field is not None
        or duties.counts_subjects
    )


def may_stream(duties: Duties, *, media_type: str) -> bool:
    """Whether `duties` can be applied to an answer in pieces.

    Small numbers, caps on records and counts of people are duties over the whole body, and the
    records of a JSON document cannot be told before its end.
    """
    if not has_body_duties(duties):
        return True
    whole = (
        duties.counts_subjects
        or duties.small_number_guard
        or duties.records_max is not None
        or duties.subject_field is not None
    )
    return not whole and read_media(media_type).format is CSV


def streamed_duties(duties: Duties, shape: Shape) -> StreamedDuties:
    """Return what applies `duties` to an answer in pieces, where they `may_stream`."""
    return CsvStream(duties, shape) if has_body_duties(duties) else NoDuties(shape)


def apply_duties(
    duties: Duties, shape: Shape, *, media_type: str, body: bytes
) -> Applied | Withheld:
    """Return what of `body` may be released under `duties`, or why nothing may; total.

    A duty that cannot be applied withholds the answer. An answer in a media type that cannot be
    read is withheld as a small number where the guard is on: nobody can say that it has none.
    """
    known = shape.known_subjects
    if not body or not has_body_duties(duties):
        return Applied(body=body, subjects=known, subjects_counted=len(known))
    media = read_media(media_type)
    if duties.small_number_guard and (media.format is OTHER or not shape.count_at):
        return small_numbers_withheld()
    if media.fhir and duties.allowed is not None and not duties.aggregate:
        return apply_to_fhir(duties, shape, body)
    if media.format is JSON:
        return apply_to_json(duties, shape, body, fhir=media.fhir)
    if media.format is CSV:
        return apply_to_csv(duties, shape, body)
    if media.format is PARQUET:
        return apply_to_parquet(duties, shape, body)
    return not_applicable("The service answered in a media type to which no duty can be applied.")
