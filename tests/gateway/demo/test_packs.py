"""What a pack knows as a whole: rules, services, clients, made-up rows."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.demo.packs import BUILT_IN, Pack, read_pack, seats
from gateway.demo.scenario import PackInvalid, ScenarioCall
from gateway.registry.documents import ConfigurationInvalid
from policies.identifiers import is_identifier


def _batch_call(pack: Pack) -> ScenarioCall:
    return next(call for call in pack.sheet.calls if call.batch_rows is not None)


def test_knows_every_issuer_and_client_of_its_calls(pack: Pack) -> None:
    """Issuers and clients are those of parties and agreements, and those that only calls name."""
    for call in pack.sheet.calls:
        if not call.token.public:
            assert call.token.issuer in pack.issuers
            assert call.token.client in pack.clients
    assert len(set(pack.issuers)) == len(pack.issuers)


def test_a_path_that_nobody_serves_belongs_to_its_nearest_service(pack: Pack) -> None:
    """A caller of an unknown path asks the service with the longest path in common."""
    for call in pack.sheet.calls:
        if call.expect.reason == "ENDPOINT_NOT_PERMITTED":
            assert pack.rule_of(call) is None
            served = {
                rule.connector for rule in pack.rules if rule.agreement == call.token.agreement
            }
            assert pack.connector_of(call.path) in served


def test_a_batch_is_made_of_valid_rows(pack: Pack) -> None:
    """A batch that only states its size gets that many rows of the rule's fields, all valid."""
    call = _batch_call(pack)
    body = pack.body_of(call)
    rule = pack.rule_of(call)
    assert body is not None
    assert rule is not None
    rows = body["batch"]
    assert isinstance(rows, list)
    assert len(rows) == call.batch_rows
    assert all(tuple(row) == rule.body_fields for row in rows)
    assert len({row["uprn"] for row in rows}) == len(rows)


def test_made_up_identifiers_have_the_right_form(pack: Pack) -> None:
    """Numbers that are made up pass the checks of their kind."""
    call = replace(_batch_call(pack), batch_rows=200)
    body = pack.body_of(call)
    assert body is not None
    rows = body["batch"]
    assert isinstance(rows, list)
    assert all(is_identifier("uprn", row["uprn"]) for row in rows)


def test_every_party_of_every_agreement_has_its_seat(pack: Pack) -> None:
    """Each client that an agreement admits is found with its organisation and purposes."""
    found = {client: seat for seat in seats(pack.configuration) for client in seat.clients}
    for call in pack.sheet.calls:
        if call.expect.decision == "permit" and call.token.client is not None:
            seat = found[call.token.client]
            assert seat.organisation == call.token.organisation
            assert call.token.purpose in seat.purposes


def test_a_pack_without_services_or_paths_is_none(tmp_path: Path) -> None:
    """There is nobody to ask, or nothing to ask for."""
    folder = shutil.copytree(BUILT_IN, tmp_path / "pack")
    services = folder / "services.yaml"
    shutil.rmtree(folder / "agreements")
    written = services.read_text()
    services.write_text(written[: written.index("\ndepartment:")] + "\ndepartment: {}\n")
    with pytest.raises(PackInvalid, match=r"services\.yaml: neither a department nor an agreement"):
        read_pack(folder)
    services.write_text("services: []\ndepartment: {}\n")
    with pytest.raises((PackInvalid, ConfigurationInvalid), match=r"services\.yaml"):
        read_pack(folder)
