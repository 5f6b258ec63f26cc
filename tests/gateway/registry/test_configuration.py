"""Tests of reading a directory of configuration files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.registry.configuration import (
    ConfigurationInvalid,
    Overlay,
    read_directory,
)
from gateway.registry.lawbooks import product_document
from tests.configured import CONNECTORS, PACK

AT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a copy of the built-in pack that may be spoiled."""
    return Path(shutil.copytree(PACK, tmp_path / "pack"))


def change(file: Path, old: str, new: str) -> int:
    """Change one text of a file and return the line on which it stands."""
    text = file.read_text()
    assert text.count(old) >= 1
    file.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def faults_of(directory: Path) -> set[tuple[str, int, str]]:
    """Return file, line and code of every fault of a directory that must be refused."""
    with pytest.raises(ConfigurationInvalid) as refused:
        read_directory(directory)
    return {
        (fault.path.relative_to(directory).as_posix(), fault.line, fault.code)
        for fault in refused.value.faults
    }


def test_the_built_in_pack_is_read() -> None:
    """Everything the pack configures is there by its key; the demo's own parts are left out."""
    configuration = read_directory(PACK)

    assert set(configuration.services) == set(CONNECTORS)
    assert len(configuration.organisations) == 10
    assert len(configuration.issuers) == 9
    assert configuration.issuers["https://idp.nhse-syn.example"]["organisations"] == ["ods:X9Z"]
    assert "COPI-NOTICE-GENERAL" in configuration.instruments
    assert configuration.agreements["DSA-2020-0001"]["version"] == 4


def test_an_overlay_fills_in_addresses() -> None:
    """Whoever runs the files says where services and issuers are."""
    overlay = Overlay(
        base_urls={"nhse-spl": "http://127.0.0.1:9"},
        metadata_urls={"https://idp.nhse-syn.example": "http://127.0.0.1:8/x"},
    )
    configuration = read_directory(PACK, overlay=overlay)

    assert configuration.services["nhse-spl"]["base_url"] == "http://127.0.0.1:9"
    assert "base_url" not in configuration.services["nv-housing"]
    issuer: Mapping[str, object] = configuration.issuers["https://idp.nhse-syn.example"]
    assert issuer["metadata_url"] == "http://127.0.0.1:8/x"


def test_an_overlay_replaces_every_place_of_a_service(directory: Path) -> None:
    """A service with several addresses has the one that the overlay says."""
    services = directory / "services.yaml"
    urls = "base_urls: ['https://a.example', 'https://b.example'], owner:"
    services.write_text(services.read_text().replace("owner:", urls, 1))
    overlay = Overlay(base_urls={"nhse-spl": "http://127.0.0.1:9"})

    assert read_directory(directory).services["nhse-spl"]["base_urls"]
    overlaid = read_directory(directory, overlay=overlay).services["nhse-spl"]
    assert overlaid["base_url"] == "http://127.0.0.1:9"
    assert "base_urls" not in overlaid


def test_faults_of_all_files_are_told_at_once(directory: Path) -> None:
    """Each fault has its file, its line and its code."""
    agreement = directory / "agreements" / "DSA-2020-0001.yaml"
    instrument = change(agreement, "instruments: [COPI-NOTICE-GENERAL]", "instruments: [COPI]")
    connector = change(agreement, "connector: nhse-spl", "connector: nhse-slp")
    status = change(directory / "agreements" / "DSA-2026-0002.yaml", "status: active", "status: on")
    owner = change(directory / "services.yaml", '"ods:R9Z"', '"ods:R9"')
    (directory / "service.yaml").write_text("services: []\n")

    found = faults_of(directory)

    assert ("agreements/DSA-2020-0001.yaml", connector, "unknown-reference") in found
    assert ("agreements/DSA-2026-0002.yaml", status, "not-one-of") in found
    assert ("services.yaml", owner, "unknown-reference") in found
    assert ("service.yaml", 1, "file-unknown") in found
    change(agreement, "connector: nhse-slp", "connector: nhse-spl")
    assert ("agreements/DSA-2020-0001.yaml", instrument, "unknown-reference") in faults_of(
        directory
    )


def test_an_agreement_of_an_unknown_party_or_purpose_is_refused(directory: Path) -> None:
    """Names must be known to the parties' file and to the vocabulary."""
    parties = directory / "parties.yaml"
    change(parties, '"gss:E06999001"', '"gss:E06999009"')
    change(directory / "legal" / "vocabulary.yaml", "  SHIELDING_FEEDBACK:", "  SHIELDING_BACK:")

    messages = {code for file, _, code in faults_of(directory) if file.startswith("agreements/")}

    assert messages == {"unknown-reference"}


def test_one_agreement_is_in_one_file(directory: Path) -> None:
    """The same id in two files is a fault, whatever the versions."""
    shutil.copy(
        directory / "agreements" / "DSA-2020-0001.yaml", directory / "agreements" / "other.yaml"
    )

    assert ("agreements/other.yaml", 3, "duplicate") in faults_of(directory)


@pytest.mark.parametrize("name", ["parties.yaml", "services.yaml"])
def test_a_missing_file_is_a_fault(directory: Path, name: str) -> None:
    """What a configuration cannot do without must be there."""
    (directory / name).unlink()

    assert (name, 1, "unreadable") in faults_of(directory)


def test_an_issuers_file_is_read_where_there_is_one(directory: Path) -> None:
    """It is optional, and strict like the others."""
    file = directory / "issuers.yaml"
    file.write_text('issuers: [{issuer: "https://idp.nhse-syn.example", algorithms: [PS256]}]\n')
    issuer = read_directory(directory).issuers["https://idp.nhse-syn.example"]
    assert issuer["algorithms"] == ["PS256"]

    file.write_text("issuers:\n  - {issuer: a}\n")
    assert ("issuers.yaml", 2, "issuer-unused") in faults_of(directory)


def test_without_law_of_its_own_a_directory_has_the_products(directory: Path) -> None:
    """Nothing of legal/ needs to be there; what is kept says what stood."""
    shutil.rmtree(directory / "legal")
    configuration = read_directory(directory, authored_at=AT)

    assert configuration.law == {
        name: product_document(name) for name in ("vocabulary", "dea2017-s35")
    }
    assert set(configuration.instruments) == set(read_directory(PACK).instruments)


def test_the_law_is_read_strictly(directory: Path) -> None:
    """A fault of the code lists or of a table stands at its line."""
    vocabulary = directory / "legal" / "vocabulary.yaml"
    needs = change(vocabulary, "UKGDPR-9-2-h: [DPA2018-Sch1-2]", "UKGDPR-9-2-h: [DPA2018-Sch1-5]")
    table = directory / "legal" / "dea2017-s35.yaml"
    objective = change(table, 'water_poverty: ["7-8"', 'water_poverty: ["8-7"')
    found = faults_of(directory)

    assert ("legal/vocabulary.yaml", needs, "unknown-reference") in found
    assert ("legal/dea2017-s35.yaml", objective, "malformed") in found


def test_an_agreement_that_breaks_a_rule_is_refused_at_its_line(directory: Path) -> None:
    """Only where it is asked for, and only of agreements that somebody has decided on."""
    agreement = directory / "agreements" / "DSA-2026-0003.yaml"
    line = change(agreement, 'register_id: "SYN-526"', "register_id: null")

    assert read_directory(directory).agreements
    with pytest.raises(ConfigurationInvalid) as refused:
        read_directory(directory, authored_at=AT)
    (fault,) = refused.value.faults
    assert (fault.path, fault.line, fault.code) == (agreement, line, "REGISTER_ENTRY_MISSING")
    change(agreement, "status: active", "status: in_review")
    assert read_directory(directory, authored_at=AT).agreements
