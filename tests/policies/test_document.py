"""Agreement documents are read strictly, and have one canonical form."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.document import (
    INTEGER_MAX,
    NESTING_MAX,
    DocumentInvalid,
    canonical_bytes,
    digest,
    read_agreement,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
MODEL = st.recursive(
    st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
Change = Callable[..., dict[str, Any]]


def faults_of(document: object) -> set[tuple[str, str]]:
    """Return the faults of a document as places and codes."""
    with pytest.raises(DocumentInvalid) as raised:
        read_agreement(document)
    return {(".".join(map(str, one.pointer)), one.code) for one in raised.value.faults}


def test_every_agreement_of_the_pack_is_read(pack: Any) -> None:
    """The whole schema is understood."""
    assert len(pack.agreements) == len(pack.documents)
    assert pack.agreements["DSA-2020-0001"].rules[0].hours.opens == "06:00"


def test_all_faults_are_told_at_once(changed: Change) -> None:
    """Faults of several sections come together, in one exception."""
    document = changed(
        "DSA-2026-0003",
        {
            ("agreement_id",): "DSA-3",
            ("kind",): "dea-isa",
            ("parties", 0, "ref"): "dwp",
            ("access", "rules", 0, "path"): "/a//b",
            ("access", "rules", 0, "hours", "tz"): "Europe/Lodnon",
            ("term", "start"): "2026-09-01",
        },
    )
    document["titel"] = document.pop("title")
    assert faults_of(document) == {
        ("titel", "unknown-key"),
        ("", "missing-key"),
        ("agreement_id", "malformed"),
        ("kind", "not-one-of"),
        ("parties.0.ref", "malformed"),
        ("access.rules.0.path", "malformed"),
        ("access.rules.0.hours", "malformed"),
        ("term.start", "malformed"),
    }


def test_contradictions_are_told_when_the_sections_read_well(changed: Change) -> None:
    """References must meet what they name."""
    document = changed("DSA-2026-0003", {("access", "rules", 0, "purposes"): ["MARKETING"]})
    assert faults_of(document) == {("access.rules.0.purposes.0", "unknown-reference")}


@given(MODEL)
def test_any_other_document_is_refused(value: object) -> None:
    """Reading is total: any value gives an agreement or the one exception."""
    assert faults_of(value)


def test_canonical_bytes_are_those_of_rfc_8785() -> None:
    """Members are sorted by UTF-16 code units; escapes are the shortest."""
    value = {
        "\u20ac": "Euro",
        "\r": "CR",
        "\U0001f600": "smile",
        "\ufb33": [None, True, 10],
        "1": {},
    }
    expected = '{"\\r":"CR","1":{},"€":"Euro","😀":"smile","\ufb33":[null,true,10]}'
    assert canonical_bytes(value).decode() == expected
    assert canonical_bytes('\x0f\n\x7f"\\') == b'"\\u000f\\n\x7f\\"\\\\"'


@given(MODEL)
def test_canonical_bytes_say_the_same_and_forget_the_order(value: Any) -> None:
    """What is read back is equal, and writing it again gives the same bytes."""
    written = canonical_bytes(value)
    assert json.loads(written) == value
    assert canonical_bytes(json.loads(written)) == written


@pytest.mark.parametrize("value", [1.5, INTEGER_MAX + 1, {1: 2}, b"x", "\ud800", {"\ud800": 1}])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    """Fractions, large numbers, other keys, bytes and lone surrogates are refused."""
    with pytest.raises(ValueError, match=r"."):
        canonical_bytes(value)


def test_nesting_is_bounded() -> None:
    """A document that is too deep is refused, not recursed into."""
    value: list[Any] = []
    for _ in range(NESTING_MAX):
        value = [value]
    with pytest.raises(ValueError, match="deep"):
        canonical_bytes(value)


def test_a_digest_names_its_algorithm() -> None:
    """SHA-256 of the canonical bytes."""
    assert digest({}).startswith(
        "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    )
