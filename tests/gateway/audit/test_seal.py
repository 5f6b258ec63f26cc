"""The hot path's writer against the readers of the formats."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.entry import (
    EntryInvalid,
    Kind,
    Record,
    canonical,
    commit,
    commitment_text,
    open_section,
    pack_sections,
    parse_entry,
    section_context,
    unpack_sections,
    unwrap_keys,
)
from gateway.audit.merkle import leaf_hash
from gateway.audit.seal import Sealer, SharedSection
from tests.gateway.audit.records import ORIGIN, intent, keys_in, outcome, record

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(max_codepoint=126)), inner, max_size=3)
    ),
    max_leaves=6,
)
sections = st.dictionaries(st.text(st.characters(max_codepoint=126)), values, max_size=5)


@pytest.fixture(scope="module")
def sealer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sealer, Path]:
    """A sealer and where its keys are."""
    directory = tmp_path_factory.mktemp("seal")
    return Sealer(ORIGIN, keys_in(directory)), directory


@given(core=sections, actor=sections, net=sections)
def test_sealed_records_open_to_what_was_written(
    sealer: tuple[Sealer, Path],
    core: dict[str, object],
    actor: dict[str, object],
    net: dict[str, object],
) -> None:
    """Bytes are those of `canonical`, commitments fit, and every sealed section opens."""
    made = record(Kind.INTENT, bytes(16), core=core, actor=actor, net=net)
    sealed = sealer[0].seal(made)
    assert sealed.leaf_hash == leaf_hash(sealed.entry)
    entry = parse_entry(sealed.entry)
    assert (entry.record_id, entry.exchange, entry.at_us) == (
        made.record_id,
        made.exchange,
        made.at_us,
    )
    stored = unpack_sections(sealed.sections)
    assert pack_sections(stored) == sealed.sections
    kek = keys_in(sealer[1]).find_day_key(sealed.day)
    assert kek is not None
    assert sealed.wrapped_keys is not None
    keys = unwrap_keys(kek, ORIGIN, made.record_id, sealed.wrapped_keys)
    for section, (name, committed) in zip(stored, entry.commitments, strict=True):
        salt, body = section.salt, section.body
        if salt is None:
            context = section_context(ORIGIN, made.record_id, name)
            salt, body = open_section(keys[name], context, body)
        assert body == canonical(dict(made.sections[name]))
        assert commitment_text(commit(name, salt, body)) == committed


@given(section=sections)
def test_a_shared_section_has_the_bytes_of_its_content(section: dict[str, object]) -> None:
    """However often it is asked, and equal to what it was made from."""
    shared = SharedSection(section)
    assert shared == section
    assert shared.body() == shared.body() == canonical(section)


def test_personal_sections_are_not_readable_in_what_is_stored(
    sealer: tuple[Sealer, Path],
) -> None:
    """Only `core` lies in clear; the actor's name is nowhere in the stored bytes (I9)."""
    sealed = sealer[0].seal(intent())
    stored = b"".join([sealed.entry, sealed.sections, sealed.wrapped_keys or b""])
    assert b"DSA-2026-0003" in stored
    assert b"council-app" not in stored


def test_an_outcome_can_be_written_as_a_late_one(sealer: tuple[Sealer, Path]) -> None:
    """A late outcome keeps everything but its kind and leaf hash."""
    sealed = sealer[0].seal(outcome(bytes(16)))
    late = sealed.as_late()
    assert parse_entry(late.entry) == parse_entry(sealed.entry)._replace(kind=Kind.LATE_OUTCOME)
    assert late.leaf_hash == leaf_hash(late.entry)
    assert late.sections == sealed.sections


def test_sections_of_the_same_names_stand_under_every_kind(sealer: tuple[Sealer, Path]) -> None:
    """What is remembered of a layout is of its kind, and of records with or without an exchange."""
    for kind in Kind:
        for exchange in (bytes(16), None):
            made = record(kind, exchange, core={"a": 1})
            if exchange is None and kind.startswith("exchange."):
                with pytest.raises(EntryInvalid):
                    sealer[0].seal(made)
                continue
            entry = parse_entry(sealer[0].seal(made).entry)
            assert (entry.record_id, entry.kind, entry.exchange) == (made.record_id, kind, exchange)


def test_poison_is_refused_before_it_is_queued(sealer: tuple[Sealer, Path]) -> None:
    """A record that could not be stored or verified fails at sealing, alone (F23)."""
    good = intent()
    bad = [
        record(Kind.INTENT, None, core={}),
        record(Kind.INTENT, b"short", core={}),
        record(Kind.CHANGE, None, **{"Bad-Name": {}}),
        record(Kind.CHANGE, None, **{f"s{number}": {} for number in range(9)}),
        record(Kind.CHANGE, None, core={"a": 0.5}),
        record(Kind.CHANGE, None, core={"a": 2**53}),
        record(Kind.CHANGE, None, core={"a": "\ud800"}),
        record(Kind.CHANGE, None, core={"a": "x" * 70_000}),
        record(Kind.CHANGE, None, core={1: 2}),  # type: ignore[dict-item]  # the mistake it is about
        Record(
            record_id=good.record_id, kind=good.kind, exchange=good.exchange, at_us=-1, sections={}
        ),
    ]
    for made in bad:
        with pytest.raises(EntryInvalid):
            sealer[0].seal(made)
