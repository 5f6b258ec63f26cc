"""The product's law, and what a directory says instead."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from gateway.registry.documents import Configuration
from gateway.registry.lawbooks import (
    lawbook_of,
    product_document,
    product_instruments,
    purposes_of,
    with_product_lists,
)
from policies.decision import ReasonCode
from tests.configured import pack_configuration

AT = datetime(2026, 11, 22, tzinfo=UTC)


def test_the_products_law_is_there_without_any_configuration() -> None:
    """An empty configuration still has all the law."""
    lawbook = lawbook_of(Configuration())
    assert lawbook.vocabulary.find("ukgdpr_article6", "UKGDPR-6-1-ea", AT) is not None
    assert lawbook.specified.specified("fuel_poverty", 12, AT)
    assert lawbook.law.instruments == {}


def test_the_products_reasons_are_the_gateways() -> None:
    """The list that ships is the list that decides, status by status in the catalogue's order."""
    assert set(product_document("vocabulary")["reason_code"]) == {one.value for one in ReasonCode}  # type: ignore[call-overload]  # plain


def test_instruments_come_with_the_purposes_they_are_for() -> None:
    """A deployment without a purpose gets no instrument for it."""
    every = purposes_of(product_document("vocabulary"))
    assert set(product_instruments(every)) == set(pack_configuration().instruments)
    assert set(product_instruments(frozenset({"LE_INVESTIGATION"}))) == {"LE-REQUEST-VOLUNTARY"}
    assert purposes_of({"purpose": ["no", "object"]}) == frozenset()


def test_a_list_that_is_left_out_is_the_products() -> None:
    """Purposes are the deployment's, statutes the product's."""
    merged = with_product_lists({"version": "mine", "purpose": {"WARM_HOMES": "Warm homes"}})
    lawbook = lawbook_of(replace(Configuration(), law={"vocabulary": merged}))
    assert lawbook.vocabulary.version == "mine"
    assert set(lawbook.vocabulary.codes("purpose")) == {"WARM_HOMES"}
    assert lawbook.vocabulary.powers["DEA2017-s35"].registered
