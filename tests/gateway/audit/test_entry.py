"""Entries, sections and commitments against published vectors and properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.entry import (
    INTEGER_MAX,
    SECTION_BYTES_MAX,
    Entry,
    EntryInvalid,
    Kind,
    StoredSection,
    canonical,
    commit,
    commitment_text,
    derive_section_keys,
    format_entry,
    open_body,
    open_section,
    pack_sections,
    parse_entry,
    section_context,
    unpack_sections,
    unwrap_keys,
)
from tests.gateway.audit.records import ORIGIN, VECTORS, unhex

SECTIONS = VECTORS["sections"]
PUBLISHED = [text.encode() for text in VECTORS["tree5"]["entries"][:2]]
uuids = st.binary(min_size=16, max_size=16)
names = st.from_regex(r"[a-z0-9_]{1,32}", fullmatch=True)


def test_the_published_entries_are_parsed_and_written_again() -> None:
    """Both entries of the vectors come back byte for byte."""
    entries = [parse_entry(entry) for entry in PUBLISHED]
    assert [format_entry(entry) for entry in entries] == PUBLISHED
    assert [entry.kind for entry in entries] == [Kind.INTENT, Kind.OUTCOME]
    assert entries[0].exchange == entries[1].exchange


def test_the_published_commitments_are_computed() -> None:
    """Commitments to the clear section and to the sealed one are those of the vectors."""
    core = SECTIONS["core"]
    commitment = commit("core", unhex(core["salt"]), core["body"].encode())
    assert commitment.hex() == core["commitment"]
    assert ("core", commitment_text(commitment)) in parse_entry(PUBLISHED[0]).commitments


def test_the_published_sealed_section_opens() -> None:
    """Salt, key, ciphertext and commitment of the erasable example are those of the vectors."""
    example = SECTIONS["erasable_example"]
    key = unhex(example["k"])
    assert [part.hex() for part in derive_section_keys(key)] == [
        example["salt"],
        example["enc_key"],
    ]
    record_id = unhex("019b76daa80070008000" + "0000000000a1")
    context = section_context(ORIGIN, record_id, "subject")
    assert context.decode() == example["aad"]
    salt, body = open_section(key, context, unhex(example["ciphertext_and_tag"]))
    assert open_body(key, context, unhex(example["ciphertext_and_tag"])) == body
    assert body.decode() == example["plaintext"]
    assert commit("subject", salt, body).hex() == example["commitment"]
    for opens in (open_section, open_body):
        with pytest.raises(EntryInvalid):
            opens(bytes(32), context, unhex(example["ciphertext_and_tag"]))


@given(
    st.builds(
        Entry,
        uuids,
        st.sampled_from(Kind),
        st.none() | uuids,
        st.integers(0, INTEGER_MAX),
        st.dictionaries(names, st.binary(min_size=32, max_size=32), max_size=8).map(
            lambda found: tuple((name, commitment_text(found[name])) for name in sorted(found))
        ),
    )
)
def test_an_entry_survives_its_bytes(entry: Entry) -> None:
    """parse(format(x)) is x."""
    assert parse_entry(format_entry(entry)) == entry


@given(
    st.binary()
    | st.sampled_from(PUBLISHED).flatmap(
        lambda entry: st.integers(0, len(entry) - 1).map(lambda at: entry[:at] + entry[at + 1 :])
    )
)
def test_any_bytes_are_an_entry_or_refused(unverified: bytes) -> None:
    """The parsers of entries, section blocks and wrapped keys are total."""
    for parse in (
        parse_entry,
        unpack_sections,
        lambda item: unwrap_keys(bytes(32), "x", b"", item),
    ):
        try:
            parse(unverified)
        except EntryInvalid:
            continue


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"v":1', b'"v":2'),
        (b'"t":1', b'"t":01'),
        (b'"t":1767225600000000', b'"t":9007199254740992'),
        (b"exchange.intent", b"exchange.unheard"),
        (b'"c":{"actor"', b'"c":{"zzz"'),
        (b"019b76da", b"019B76DA"),
        (b'"core"', b'"actor"'),
        (b"HJdbA", b"HJdbB"),
    ],
)
def test_other_spellings_of_an_entry_are_refused(old: bytes, new: bytes) -> None:
    """Only the canonical spelling of an entry is one."""
    with pytest.raises(EntryInvalid):
        parse_entry(PUBLISHED[0].replace(old, new))


@given(
    st.lists(
        st.builds(
            StoredSection,
            names,
            st.none() | st.binary(min_size=16, max_size=16),
            st.binary(max_size=50),
        ),
        max_size=4,
    )
)
def test_a_section_block_survives_its_bytes(sections: list[StoredSection]) -> None:
    """unpack(pack(x)) is x."""
    assert list(unpack_sections(pack_sections(sections))) == sections


def test_what_json_cannot_carry_is_refused() -> None:
    """Floats, big integers, foreign types, lone surrogates, deep and long sections are refused."""
    deep: dict[str, object] = {}
    for _ in range(10):
        deep = {"deep": deep}
    bad: list[dict[str, object]] = [
        {"a": 1.5},
        {"a": INTEGER_MAX + 1},
        {"a": b"bytes"},
        {"a": "\ud800"},
        {"\u00e9": 1},
        {"a": [{"b": {1: 2}}]},
        {"a": "x" * SECTION_BYTES_MAX},
        deep,
    ]
    for section in bad:
        with pytest.raises(EntryInvalid):
            canonical(section)
    assert (
        canonical({"b": [True, None, -1], "a": "\u2028"})
        == '{"a":"\u2028","b":[true,null,-1]}'.encode()
    )
