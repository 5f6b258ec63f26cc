"""The code lists: read strictly, and looked up on a day."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.registry.lawbooks import product_document
from policies.reading import DocumentInvalid
from policies.vocabulary import Period, read_vocabulary
from tests.configured import pack_configuration

PRODUCT = product_document("vocabulary")
PACK = pack_configuration().law["vocabulary"]
INTEREST = "UKGDPR-6-1-ea"
COMMENCED = datetime(2026, 2, 5, tzinfo=UTC)


def spoiled(**lists: object) -> dict[str, Any]:
    """Return the product's vocabulary with other lists."""
    return {**copy.deepcopy(dict(PRODUCT)), **lists}


def codes_of(document: object) -> set[tuple[str, ...]]:
    """Return place and code of each fault of a document."""
    with pytest.raises(DocumentInvalid) as refused:
        read_vocabulary(document)
    return {(*map(str, fault.pointer), fault.code) for fault in refused.value.faults}


@pytest.mark.parametrize("document", [PRODUCT, PACK], ids=["product", "pack"])
def test_a_code_is_law_from_its_day(document: object) -> None:
    """Whether the day stands with the code or in a rule about it, the look-up knows it."""
    vocabulary = read_vocabulary(document)
    before = COMMENCED - timedelta(seconds=1)
    assert vocabulary.find("ukgdpr_article6", INTEREST, before) is None
    assert vocabulary.find("ukgdpr_article6", INTEREST, COMMENCED) is not None
    assert vocabulary.find("ukgdpr_article6", "UKGDPR-6-1-e", before) is not None


def test_the_lists_know_what_the_statutes_ask() -> None:
    """Conditions, powers, limits and opt-outs come out as values."""
    vocabulary = read_vocabulary(PACK)
    assert vocabulary.bars_public_authorities("UKGDPR-6-1-f")
    assert vocabulary.lists_needed(INTEREST) == {"recognised_legitimate_interest"}
    assert vocabulary.article9_needs["UKGDPR-9-2-h"] == {"DPA2018-Sch1-2"}
    assert len(vocabulary.article9_needs["UKGDPR-9-2-g"]) == 23
    assert vocabulary.conditions["DPA2018-Sch1-10"].spares_disclosure_to_competent_authority
    assert not vocabulary.conditions["DPA2018-Sch1-13"].spares_disclosure_to_competent_authority
    assert (
        "UNDER_18" in vocabulary.conditions["DPA2018-Sch1-18"].request_must_state["subject_group"]
    )
    assert vocabulary.powers["DEA2017-s35"].registered
    assert vocabulary.opt_out_applies["COPI-REG5"]


def test_a_gateway_is_found_in_whichever_list_names_it() -> None:
    """Statutes, DEA powers, confidentiality bases and exemptions are all gateways."""
    vocabulary = read_vocabulary(PRODUCT)
    at = datetime(2026, 11, 22, tzinfo=UTC)
    for code in ("CA1989-s47", "DEA2017-s35", "COPI-REG3-4-NOTICE", "DPA2018-Sch2-P1-para2"):
        found = vocabulary.gateway(code, at)
        assert found is not None
        assert found.code == code
    assert vocabulary.gateway("CA2004-s16LA", datetime(2026, 5, 31, tzinfo=UTC)) is None
    assert vocabulary.gateway("CA1989-s470", at) is None


def test_a_period_ends_just_before_its_end() -> None:
    """From is included, until is not, and no bound is none."""
    period = Period(from_=COMMENCED, until=COMMENCED + timedelta(days=1))
    assert period.covers(COMMENCED)
    assert not period.covers(COMMENCED + timedelta(days=1))
    assert Period().covers(COMMENCED)


def test_a_day_begins_at_its_london_midnight() -> None:
    """In summer that is an hour before midnight in UTC."""
    lists = {"exemption": {"X": {"label": "x", "in_force_from": "2026-06-01"}}}
    found = read_vocabulary(spoiled(**lists)).codes("exemption")["X"]
    assert found.in_force.from_ == datetime(2026, 5, 31, 23, tzinfo=UTC)


def test_every_fault_is_told_at_its_place() -> None:
    """Unknown codes, impossible periods and parts, missing and unknown lists, all at once."""
    found = codes_of(
        spoiled(
            colours={},
            exemption={
                "X": {"label": "x", "in_force_from": "2026-02-01", "in_force_until": "2026-01-01"}
            },
            ukgdpr_article9_needs_sch1={"UKGDPR-9-2-h": ["DPA2018-Sch1-99"], "UKGDPR-9-2-z": []},
            ukgdpr_article6_rules=[{"code": "UKGDPR-6-1-q", "not_for": "anybody"}],
            dpa2018_schedule1={"P4": {"part": 4, "label": "p", "apd": True}},
            ndoo_applies={"COPI-REG2": True},
        )
    )
    assert ("colours", "unknown-key") in found
    assert ("exemption", "X", "in_force_until", "contradiction") in found
    needs = "ukgdpr_article9_needs_sch1"
    assert (needs, "UKGDPR-9-2-h", "unknown-reference") in found
    assert (needs, "UKGDPR-9-2-z", "too-short") in found
    assert ("ukgdpr_article6_rules", "0", "code", "unknown-reference") in found
    assert ("ukgdpr_article6_rules", "0", "not_for", "not-one-of") in found
    assert ("dpa2018_schedule1", "P4", "part", "not-one-of") in found
    assert ("ndoo_applies", "missing-key") in found
    assert codes_of([]) >= {("wrong-type",)}


def test_the_packs_codes_are_the_products() -> None:
    """The two copies of the law do not drift apart."""
    pack, product = read_vocabulary(PACK), read_vocabulary(PRODUCT)
    for name, codes in pack.lists.items():
        if name != "sensitive_ground":  # the pack's line breaks one label in two
            assert set(codes) == set(product.lists[name]), name
    assert pack.conditions.keys() == product.conditions.keys()
    assert pack.powers.keys() == product.powers.keys()
    assert pack.opt_out_applies == product.opt_out_applies
    assert pack.article9_needs == product.article9_needs
