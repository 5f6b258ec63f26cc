"""Tests of reading bodies and issuers."""

from __future__ import annotations

from gateway.registry.documents import Overlay
from gateway.registry.parties import overlay_issuers, read_issuers, read_parties
from policies.reading import Fault

ONE = {"ref": "ods:X9Z", "name": "One", "issuer": "https://idp.example", "public_authority": True}
TWO = {"ref": "ods:R9Z", "name": "Two", "issuer": "https://idp.example"}


def test_an_issuer_speaks_for_the_bodies_that_name_it() -> None:
    """Two bodies may share an issuer; one without an issuer has none."""
    faults: list[Fault] = []
    three = {"ref": "urn:x", "name": "Three", "issuer": None}
    organisations, issuers = read_parties({"parties": [ONE, TWO, three]}, faults)

    assert faults == []
    assert set(organisations) == {"ods:X9Z", "ods:R9Z", "urn:x"}
    assert organisations["ods:X9Z"]["public_authority"] is True
    assert issuers == {
        "https://idp.example": {
            "issuer": "https://idp.example",
            "organisations": ["ods:R9Z", "ods:X9Z"],
        }
    }


def test_faults_of_parties_are_all_told() -> None:
    """A body listed twice, an unknown member and a wrong type are three faults."""
    faults: list[Fault] = []
    wrong = {"ref": "ods:X9Z", "name": 7, "isuer": "https://idp.example"}
    read_parties({"parties": [ONE, wrong]}, faults)

    assert [(fault.pointer, fault.code) for fault in faults] == [
        (("parties", 1, "isuer"), "unknown-key"),
        (("parties", 1, "ref"), "duplicate"),
        (("parties", 1, "name"), "wrong-type"),
    ]


def test_the_issuers_file_adds_what_it_says() -> None:
    """Metadata address, algorithms and the need for proof come from the issuers' own file."""
    faults: list[Fault] = []
    _, issuers = read_parties({"parties": [ONE]}, faults)
    entry = {"issuer": "https://idp.example", "algorithms": ["PS256"], "proof_required": True}
    read_issuers({"issuers": [entry]}, issuers, faults)
    overlay_issuers(issuers, Overlay(metadata_urls={"https://idp.example": "https://m.example"}))

    assert faults == []
    assert issuers["https://idp.example"] == {
        "issuer": "https://idp.example",
        "organisations": ["ods:X9Z"],
        "algorithms": ["PS256"],
        "proof_required": True,
        "metadata_url": "https://m.example",
    }


def test_faults_of_issuers_are_all_told() -> None:
    """A shared-key algorithm, an entry listed twice and one that speaks for nobody are refused."""
    faults: list[Fault] = []
    _, issuers = read_parties({"parties": [ONE]}, faults)
    entries = [
        {"issuer": "https://idp.example", "algorithms": ["HS256"]},
        {"issuer": "https://idp.example"},
        {"issuer": "https://other.example"},
    ]
    read_issuers({"issuers": entries}, issuers, faults)

    assert [fault.code for fault in faults] == ["not-one-of", "duplicate", "issuer-unused"]
