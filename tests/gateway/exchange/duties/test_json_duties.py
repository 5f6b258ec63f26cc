"""Duties on JSON: nothing outside the allow-list leaves, and what leaves is as it came."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.duties.applied import Applied, Shape, Withheld
from gateway.exchange.duties.json_duties import apply_to_json
from policies.decision import Duties, ReasonCode, Restricted

ALLOWED = Duties(allowed=frozenset({"nhs_number", "town", "size"}))
SHIELDED = Duties(
    allowed=frozenset({"nhs_number", "town"}),
    declared=frozenset({"nhs_number", "town", "reason"}),
    scope={"lad_code": frozenset({"E06999001"})},
    restricted=Restricted(when={"pds_restricted": "true"}, redact=frozenset({"town"})),
    subject_field="nhs_number",
)
NAMES = st.sampled_from(["nhs_number", "town", "size", "SIZE", "reason", "records", "", '"', "é"])
SCALARS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters() | st.sampled_from('":{[\\'), max_size=5)
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(NAMES, SCALARS, max_size=5), max_size=4)


def apply(duties: Duties, body: bytes, *, at: str = "/records") -> Applied:
    """Apply duties to an answer that is expected to be released."""
    applied = apply_to_json(duties, Shape(records_at=at), body, fhir=False)
    assert isinstance(applied, Applied)
    return applied


def person(number: int, **more: str) -> dict[str, str]:
    """Build one record of the shielded patients list."""
    usual = {"town": "Northvale", "lad_code": "E06999001", "pds_restricted": "false"}
    return {"nhs_number": f"999100{number:04}", "reason": "SYN", **usual, **more}


@given(RECORDS, VALUES)
def test_nothing_but_allowed_members_leaves(records: list[dict[str, Any]], around: Any) -> None:
    """Every record keeps its allowed members in order; nothing else of the answer stays."""
    body = json.dumps({"before": around, "records": records, "after": around}).encode()
    expected = [
        {name: value for name, value in record.items() if name in (ALLOWED.allowed or ())}
        for record in records
    ]

    applied = apply(ALLOWED, body)

    assert json.loads(applied.body) == {"records": expected}
    assert applied.records == len(records)
    assert set(applied.fields_sent) == {name for record in expected for name in record}


@given(VALUES, st.lists(st.dictionaries(NAMES, VALUES, max_size=5), max_size=4))
def test_one_pass_reads_what_two_would(document: Any, records: list[dict[str, Any]]) -> None:
    """An answer is read in one pass where all that is declared may leave, with the same result."""
    two_passes = replace(ALLOWED, declared=frozenset({"elsewhere"}))
    for value in (document, records, {"records": records}, {"records": document}):
        body = json.dumps(value).encode()
        shape = Shape(known_subjects=frozenset({"9991000001"}))
        once = apply_to_json(ALLOWED, shape, body, fhir=False)
        twice = apply_to_json(two_passes, shape, body, fhir=False)
        if isinstance(twice, Applied):
            withheld = tuple(name for name in twice.fields_withheld if name != "elsewhere")
            twice = replace(twice, fields_withheld=withheld)
        assert once == twice


@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=5), min_size=1, max_size=4))
def test_an_allowed_field_holds_a_single_value(records: list[dict[str, Any]]) -> None:
    """A list or an object under an allowed name could hold anything: all is withheld."""
    structured = any(
        isinstance(record.get(name), list | dict)
        for record in records
        for name in ALLOWED.allowed or ()
    )

    for indent in (None, 1):
        body = json.dumps(records, indent=indent).encode()
        applied = apply_to_json(ALLOWED, Shape(), body, fhir=False)
        assert isinstance(applied, Withheld) is structured


@pytest.mark.parametrize(
    "body",
    [
        b'[{"town":{"clinical_note":"secret"}}]',
        b'[{"size":1},{"town":\n[]}]',
        b'{"records":[{"town":"A"},{"town": {} }]}',
        b'{"town":["secret"],"other":1}',
    ],
)
def test_a_structure_in_an_allowed_field_withholds_the_answer(body: bytes) -> None:
    """An agreement knows no fields inside fields, so nobody can say what such a value holds."""
    withheld = apply_to_json(ALLOWED, Shape(), body, fhir=False)

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.DUTY_NOT_APPLICABLE
    assert "secret" not in repr(withheld)


@pytest.mark.parametrize(
    "body", [b'[{"town":"\\":{\\":["}]', b'[{"other":{"town":[]},"town":"A"}]', b'[{"x":[1]}]']
)
def test_text_that_looks_like_a_structure_leaves(body: bytes) -> None:
    """Text is text whatever it holds, and what is left out anyway may have any form."""
    assert apply(ALLOWED, body).records == 1


@given(VALUES)
def test_any_document_is_filtered_or_withheld(document: Any) -> None:
    """Whatever its shape, an answer gives objects of allowed members only, or nothing."""
    applied = apply_to_json(ALLOWED, Shape(), json.dumps(document).encode(), fhir=False)
    if isinstance(applied, Withheld):
        assert applied.reason is ReasonCode.DUTY_NOT_APPLICABLE
        return
    found = json.loads(applied.body)
    found = found.get("records", found) if isinstance(found, dict) else found
    for record in found if isinstance(found, list) else [found]:
        assert record.keys() <= {"nhs_number", "town", "size"}


@given(RECORDS)
def test_applying_twice_is_applying_once(records: list[dict[str, Any]]) -> None:
    """What may leave is left alone, byte for byte."""
    once = apply(ALLOWED, json.dumps(records).encode())

    assert apply(ALLOWED, once.body).body == once.body


@given(st.binary(max_size=80))
def test_any_bytes_give_an_answer(body: bytes) -> None:
    """Unreadable answers are withheld; nothing is ever raised."""
    assert isinstance(apply_to_json(SHIELDED, Shape(), body, fhir=False), Applied | Withheld)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[{}",
        b"[{},]",
        b"42",
        b'"text"',
        b"null",
        b"[1]",
        b"[[]]",
        b"[{},null]",
        b'{"records":{}}',
        b'{"records":null}',
        b'{"records":[[{"town":1}]]}',
        b'{"town":1}\n{"town":2}',
        b'{"town":NaN}',
        b'{"town":Infinity}',
        b'{"other":-Infinity}',
        b'{"town":01}',
        b'{"town":.5}',
        b'{"town":"a\nb"}',
        b'{"town":"\\ud800"}',
        b'{"town":"\\x41"}',
        b'{"town":"\xff"}',
        b'{"other":"\xed\xa0\x80"}',
        b'{"\xff":1}',
        b"\xef\xbb\xbf[]",
        "[]".encode("utf-16"),
        b"[" * 100_000 + b"]" * 100_000,
        b'{"town":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"other":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_what_cannot_be_read_is_withheld(body: bytes) -> None:
    """Broken, ambiguous, badly encoded or bottomless answers do not leave."""
    withheld = apply_to_json(ALLOWED, Shape(), body, fhir=False)

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.DUTY_NOT_APPLICABLE


@pytest.mark.parametrize(
    ("body", "at", "expected"),
    [
        (b'[{"town":"A","x":1}]', "/records", b'[{"town":"A"}]'),
        (b'{"n":2,"records":[{"town":"A","x":1}]}', "/records", b'{"records":[{"town":"A"}]}'),
        (b'{"a":{"b":[{"town":"A"}],"c":1}}', "/a/b", b'{"a":{"b":[{"town":"A"}]}}'),
        (b'{"a/b":[{"town":"A"}],"x":1}', "/a~1b", b'{"a/b":[{"town":"A"}]}'),
        (b'{"town":"A","x":1}', "/records", b'{"town":"A"}'),
        (b'{"town":"A","x":1}', "", b'{"town":"A"}'),
        (b" \n[ ]", "/records", b"[]"),
        (b'{"records":[{"x":1}],"records":[]}', "/records", b'{"records":[]}'),
        (b"[{}]", "/records", b"[{}]"),
    ],
)
def test_records_are_found_where_the_service_puts_them(
    body: bytes, at: str, expected: bytes
) -> None:
    """A bare list is its own list; an object without the pointer is one record."""
    assert apply(ALLOWED, body, at=at).body == expected


def test_a_pointer_that_cannot_be_used_withholds() -> None:
    """A name that no reader can be built for is a fault of configuration, not a leak."""
    body = b'{"a\\"b":[{"town":1}]}'

    assert isinstance(apply_to_json(ALLOWED, Shape(records_at='/a"b'), body, fhir=False), Withheld)


@pytest.mark.parametrize("digits", [b"1.50", b"1e3", b"-0.0", b"12345678901234567890123", b"1E+2"])
def test_numbers_keep_their_digits(digits: bytes) -> None:
    """No number is read and written again on its way through."""
    assert apply(ALLOWED, b'[{"size": ' + digits + b" }]").body == b'[{"size":' + digits + b"}]"


def test_the_last_of_two_members_is_checked_and_sent() -> None:
    """A member given twice can carry nothing past a check: one value counts, and only it leaves."""
    body = b'[{"town":"A","lad_code":"E06999002","town":"B","lad_code":"E06999001"}]'
    duties = Duties(allowed=frozenset({"town", "lad_code"}), scope=SHIELDED.scope)

    assert json.loads(apply(duties, body).body) == [{"town": "B", "lad_code": "E06999001"}]
    assert b"E06999002" not in apply(duties, body).body


def test_names_in_another_spelling_are_other_names() -> None:
    """Case, spaces and look-alike letters make another field; escapes do not."""
    body = '[{"Town":1,"town ":2,"tоwn":3,"\\u0074own":4}]'.encode()

    assert apply(ALLOWED, body).body == b'[{"town":4}]'


def test_rows_out_of_scope_are_dropped_and_counted() -> None:
    """A row leaves only if its scope column says so; the order of the others is kept."""
    records = [person(1), person(2, lad_code="E06999002"), person(3), {"nhs_number": "x"}]

    applied = apply(SHIELDED, json.dumps(records).encode())

    assert [row["nhs_number"] for row in json.loads(applied.body)] == ["9991000001", "9991000003"]
    assert (applied.records, applied.records_dropped) == (2, 2)
    assert applied.subjects == {"9991000001", "9991000003"}


def test_protected_people_lose_their_address() -> None:
    """A redacted field is absent from the record; the person is counted once."""
    records = [person(1, pds_restricted="true"), person(1, pds_restricted="true"), person(2)]

    applied = apply(SHIELDED, json.dumps(records).encode())

    assert json.loads(applied.body)[0] == {"nhs_number": "9991000001"}
    assert json.loads(applied.body)[2] == {"nhs_number": "9991000002", "town": "Northvale"}
    assert applied.redacted_subjects == 1
    assert applied.subjects_counted == 2


def test_a_boolean_mark_protects_like_its_text() -> None:
    """Services write the mark as text or as a JSON boolean."""
    body = b'[{"town":"A","lad_code":"E06999001","pds_restricted":true}]'

    assert apply(SHIELDED, body).body == b"[{}]"


def test_the_only_record_may_be_dropped() -> None:
    """An answer that is one record becomes an empty object."""
    applied = apply(SHIELDED, json.dumps(person(1, lad_code="E06999002")).encode())

    assert (applied.body, applied.records, applied.records_dropped) == (b"{}", 0, 1)


def test_too_many_records_are_withheld() -> None:
    """Only records that would leave count against the limit."""
    duties = Duties(scope=SHIELDED.scope, records_max=1)
    one = json.dumps([person(1), person(2, lad_code="E06999002")]).encode()
    two = json.dumps([person(1), person(2)]).encode()

    assert apply(duties, one).records == 1

    withheld = apply_to_json(duties, Shape(), two, fhir=False)

    assert isinstance(withheld, Withheld)
    assert withheld.reason is ReasonCode.VOLUME_EXCEEDED


def test_the_record_says_what_was_withheld() -> None:
    """Declared names and names seen are listed; what is neither declared nor needed stands out."""
    applied = apply(SHIELDED, json.dumps([person(1, note="x")]).encode())

    assert applied.fields_sent == ("nhs_number", "town")
    assert applied.fields_withheld == ("lad_code", "note", "pds_restricted", "reason")
    assert applied.leaked == ("note",)


@pytest.mark.parametrize("never", [frozenset[str](), frozenset({"nhs_number"})])
def test_what_is_declared_and_not_returned_was_withheld_too(never: frozenset[str]) -> None:
    """Also where every record has nothing but what may leave, so that no name is found in them."""
    duties = Duties(allowed=frozenset({"a"}), declared=frozenset({"a", "nhs_number"}), never=never)

    assert apply(duties, b'{"records":[{"a":1}]}').fields_withheld == ("nhs_number",)


def test_names_of_all_records_are_looked_at() -> None:
    """A field that only a later record has is withheld and stands out like any other."""
    duties = replace(SHIELDED, never=frozenset({"reason", "pds_restricted"}))
    first = {name: value for name, value in person(1).items() if name != "reason"}

    clean = apply(duties, json.dumps([first, first]).encode())
    later = apply(duties, json.dumps([first, person(2)]).encode())
    other = apply(duties, json.dumps([first, first | {"note": "x"}]).encode())

    assert clean.leaked == ()
    assert clean.fields_withheld == ("lad_code", "pds_restricted", "reason")
    assert later.leaked == ("reason",)
    assert other.leaked == ("note",)
    assert other.fields_withheld == ("lad_code", "note", "pds_restricted", "reason")


def test_without_an_allow_list_the_answer_is_only_counted() -> None:
    """Counting changes no byte; dropping a row writes the rest anew."""
    body = b'{ "records" : [ {"nhs_number":"1", "lad_code":"E06999001"}, {"lad_code":"x"} ] }'
    counted = apply(Duties(subject_field="nhs_number"), body)
    scoped = apply(Duties(scope=SHIELDED.scope), body)

    assert counted.body == body
    assert counted.subjects_counted == 2
    assert scoped.body == b'{"records":[{"nhs_number":"1","lad_code":"E06999001"}]}'


@pytest.mark.parametrize("body", [b"[]", b'{"records":[]}'])
def test_an_answer_without_records_passes(body: bytes) -> None:
    """Nobody was found: that is an answer too."""
    assert apply(SHIELDED, body).body == body
