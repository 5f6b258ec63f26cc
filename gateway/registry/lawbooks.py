"""The law as documents: the product's own, what a directory says instead, and the two as values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, cast

from gateway.documents import load_document
from gateway.registry.documents import Configuration, PlainDocument
from policies.law import Law, Lawbook, read_instruments
from policies.statutes import read_specified_persons
from policies.vocabulary import PURPOSES, read_vocabulary

PRODUCT_LAW: Final = Path(__file__).parents[1] / "law"
"""The law that ships with the product, as data (docs/decisions/0007-law-as-data.md)."""

VOCABULARY: Final = "vocabulary"
SPECIFIED_PERSONS: Final = "dea2017-s35"
"""Keys of the law's documents in the registry; the files have the same names."""


@cache
def product_document(name: str) -> PlainDocument:
    """Return a document of the product's law as it ships."""
    return cast("PlainDocument", load_document(PRODUCT_LAW / f"{name}.yaml").value)


def product_instruments(purposes: frozenset[str]) -> dict[str, PlainDocument]:
    """Return the product's instruments by id: those all of whose purposes are in `purposes`."""
    document = product_document("instruments")
    entries = cast("list[PlainDocument]", document["instruments"])
    return {
        instrument.id: entry
        for instrument, entry in zip(read_instruments(document), entries, strict=True)
        if instrument.purposes <= purposes
    }


def with_product_lists(document: Mapping[str, object]) -> PlainDocument:
    """Return a directory's vocabulary; the lists that it leaves out are the product's."""
    return {**product_document(VOCABULARY), **document}


def vocabulary_version(configuration: Configuration) -> str:
    """Return the version of a configuration's code lists; the product's, where it has none."""
    return str(with_product_lists(configuration.law.get(VOCABULARY, {})).get("version", ""))


def purposes_of(vocabulary: Mapping[str, object]) -> frozenset[str]:
    """Return the purposes of a vocabulary's document, which may have faults elsewhere."""
    listed = vocabulary.get(PURPOSES)
    return frozenset(listed) if isinstance(listed, Mapping) else frozenset()


def lawbook_of(configuration: Configuration) -> Lawbook:
    """Return the law of a configuration; what it does not say is the product's.

    Raises:
        policies.reading.DocumentInvalid: a document that no reader has accepted is among them.
    """
    law, instruments = configuration.law, list(configuration.instruments.values())
    return Lawbook(
        vocabulary=read_vocabulary(with_product_lists(law.get(VOCABULARY, {}))),
        specified=read_specified_persons(
            law.get(SPECIFIED_PERSONS, product_document(SPECIFIED_PERSONS))
        ),
        law=Law(
            instruments={one.id: one for one in read_instruments({"instruments": instruments})}
        ),
    )
