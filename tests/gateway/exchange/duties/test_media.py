"""Media types: what the duties can read, and what they leave alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.duties.media import Format, Media, read_media

JSON = Media(format=Format.JSON)
FHIR = Media(format=Format.JSON, fhir=True)
CSV = Media(format=Format.CSV)
PARQUET = Media(format=Format.PARQUET)
OTHER = Media(format=Format.OTHER)


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("application/json", JSON),
        ("Application/JSON ; charset=UTF-8", JSON),
        ('application/json;charset="utf-8"', JSON),
        ("application/problem+json", JSON),
        ("application/fhir+json; fhirVersion=4.0", FHIR),
        ("text/csv", CSV),
        ("text/csv; header=present; charset=us-ascii", CSV),
        ("text/csv; header=absent", OTHER),
        ("text/csv; charset=windows-1252", OTHER),
        ("application/json; charset=utf-16", OTHER),
        ("application/json; charset=utf-8; charset=utf-16", OTHER),
        ("application/json, text/csv", OTHER),
        ("application/x-ndjson", OTHER),
        ("application/json-seq", OTHER),
        ("application/vnd.apache.parquet", PARQUET),
        ("application/octet-stream", OTHER),
        ("application/x-parquet", OTHER),
        ("application/fhir+xml", OTHER),
        ("application/json+fhir", OTHER),
        ("application/gzip", OTHER),
        ("multipart/byteranges; boundary=x", OTHER),
        ("text/json", OTHER),
        ("", OTHER),
    ],
)
def test_a_media_type_is_read_or_it_is_other(media_type: str, expected: Media) -> None:
    """JSON and CSV in UTF-8, and Parquet, are readable; everything else is OTHER."""
    assert read_media(media_type) == expected


@given(st.text())
def test_any_text_has_a_reading(text: str) -> None:
    """Reading is total: whatever a service sends as its media type."""
    assert isinstance(read_media(text), Media)
