"""Whatever a service answers, in whichever media type: no withheld value is in what leaves."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.exchange.duties.apply import Applied, Shape, apply_duties
from policies.decision import Duties, Restricted

MARKER = "MARKER"
NAMES = ("id", "town", "area", "protected", "note")
ALLOWED = frozenset({"id", "town"})


def rows_of(data: list[tuple[str, bool, bool]]) -> list[dict[str, str]]:
    """Build records whose withheld values are marked.

    `data` has for each record a free text, whether it is in scope, and whether its person is
    protected.
    """
    return [
        {
            "id": f"{text}{number}" if in_scope else f"{MARKER}-id",
            "town": f"{text}t" if in_scope and not protected else f"{MARKER}-town",
            "area": "E1" if in_scope else f"{MARKER}-area",
            "protected": "true" if protected else "false",
            "note": f"{MARKER}{text}",
        }
        for number, (text, in_scope, protected) in enumerate(data)
    ]


def as_json(rows: list[dict[str, str]], extra: object) -> bytes:
    """Write rows as a JSON service does, with more around them."""
    return json.dumps({"about": extra, "records": [*rows], "more": [extra]}).encode()


def as_csv(rows: list[dict[str, str]], _extra: object) -> bytes:
    """Write rows as CSV."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, NAMES)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, str]], extra: object) -> bytes:
    """Write rows as Parquet, uncompressed, with everything that a file can say besides."""
    schema = pa.schema(
        [pa.field(name, pa.string(), metadata={"x": f"{MARKER}-f"}) for name in NAMES],
        metadata={"x": f"{MARKER}-{extra}"},
    )
    sink = io.BytesIO()
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, sink, compression="NONE", write_page_index=True, row_group_size=2)
    return sink.getvalue()


def as_fhir(rows: list[dict[str, str]], extra: object) -> bytes:
    """Write rows as patients, in a Bundle that says more than it should."""
    entries = [
        {
            "fullUrl": f"urn:{MARKER}",
            "resource": {
                "resourceType": "Patient",
                "id": f"{MARKER}-id",
                "text": {"div": MARKER},
                "contained": [{"resourceType": "Person", "id": MARKER}],
                "extension": [{"url": "urn:x", "valueString": MARKER}],
                "identifier": [{"value": row["id"], "assigner": {"display": MARKER}}],
                "address": [{"city": row["town"], "state": row["area"], "text": row["note"]}],
                "active": row["protected"],
                "_active": {"extension": [{"url": "urn:x", "valueString": MARKER}]},
                "contact": [{"name": {"text": row["note"]}, "extra": extra}],
            },
        }
        for row in rows
    ]
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": entries}).encode()


FLAT = Duties(
    allowed=ALLOWED,
    declared=frozenset(NAMES),
    scope={"area": frozenset({"E1"})},
    restricted=Restricted(when={"protected": "true"}, redact=frozenset({"town"})),
    subject_field="id",
)
FHIR = Duties(
    allowed=frozenset({"Patient.identifier.value", "Patient.address.city"}),
    scope={"Patient.address.state": frozenset({"E1"})},
    restricted=Restricted(
        when={"Patient.active": "true"}, redact=frozenset({"Patient.address.city"})
    ),
    subject_field="Patient.identifier.value",
)
Writer = Callable[[list[dict[str, str]], object], bytes]
MEDIA: dict[str, tuple[Duties, Writer]] = {
    "application/json": (FLAT, as_json),
    "application/vnd.example+json": (FLAT, as_json),
    "text/csv": (FLAT, as_csv),
    "application/vnd.apache.parquet": (FLAT, as_parquet),
    "application/fhir+json": (FHIR, as_fhir),
}
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=6)
EXTRA: st.SearchStrategy[Any] = st.recursive(
    st.just(MARKER),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just(MARKER), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize("media_type", MEDIA)
@settings(max_examples=60)
@given(
    data=st.lists(st.tuples(TEXTS, st.booleans(), st.booleans()), min_size=1, max_size=5),
    extra=EXTRA,
)
def test_no_withheld_value_is_in_what_leaves(
    media_type: str, data: list[tuple[str, bool, bool]], extra: object
) -> None:
    """What may leave does leave, and not one byte of the rest."""
    duties, write = MEDIA[media_type]
    body = write(rows_of(data), extra)
    assert MARKER.encode() in body

    applied = apply_duties(duties, Shape(), media_type=media_type, body=body)

    assert isinstance(applied, Applied)
    assert MARKER.encode() not in applied.body
    assert applied.records == sum(in_scope for _, in_scope, _ in data)
    assert applied.records_dropped == len(data) - applied.records


@pytest.mark.parametrize("media_type", [*MEDIA, "text/xml", "application/x-ndjson", ""])
@settings(max_examples=60)
@given(body=st.binary(max_size=80).map(lambda junk: b'[{"note":"MARKER"}]' + junk))
def test_no_bytes_that_cannot_be_read_leave(media_type: str, body: bytes) -> None:
    """Cut short, trailed by junk, in another format than stated: released narrowed, or withheld."""
    duties = MEDIA.get(media_type, (FLAT, as_json))[0]
    found = apply_duties(duties, Shape(), media_type=media_type, body=body)

    assert MARKER not in repr(found)
