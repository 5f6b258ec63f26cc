"""Tests of how configurations and stops come into force."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest
from sqlalchemy import Engine, insert

from gateway.clock import monotonic_s
from gateway.exchange.snapshot import Snapshot
from gateway.refresh import (
    SnapshotKeeper,
    SnapshotRefused,
    StopListReader,
    compile_rules,
    compile_snapshot,
)
from gateway.registry.configuration import Configuration, read_directory
from gateway.registry.store import Registry, RegistryUnavailable, StopKind, Stopped
from gateway.registry.tables import Stop
from tests.configured import PACK, pack_configuration

BASE_URL = "https://gateway.example"
EVENT_TIMEOUT_S = 10


def compiled(
    configuration: Configuration, revision: int = 1, *, allow_loopback: bool = False
) -> Snapshot:
    """Compile a configuration for a gateway of the tests."""
    return compile_snapshot(
        configuration,
        organisation="ods:X9Z",
        public_base_url=BASE_URL,
        revision=revision,
        allow_loopback=allow_loopback,
    )


def with_service(configuration: Configuration, **members: object) -> Configuration:
    """Return the configuration with other members of one service."""
    service = {**configuration.services["nhse-spl"], **members}
    return replace(configuration, services={**configuration.services, "nhse-spl": service})


def spoiled(configuration: Configuration) -> Configuration:
    """Return a configuration in which one agreement cannot be read."""
    broken: Mapping[str, object] = {**configuration.agreements["DSA-2020-0001"], "version": "four"}
    return replace(configuration, agreements={**configuration.agreements, "DSA-2020-0001": broken})


def test_a_snapshot_holds_the_whole_configuration() -> None:
    """Services, issuers, routes, agreements and law come from one revision."""
    snapshot = compiled(pack_configuration(), revision=7)
    route = snapshot.routes.match(("spl", "v1", "people"))

    assert snapshot.revision == 7
    assert route is not None
    assert route.service == "nhse-spl"
    assert snapshot.services["nhse-spl"].audiences == {f"{BASE_URL}/nhse-spl"}
    assert len(snapshot.audiences) == len(snapshot.services)
    assert snapshot.issuers["https://idp.nhse-syn.example"].organisations == {"ods:X9Z"}
    assert "COPI-NOTICE-GENERAL" in snapshot.law.instruments


def test_what_an_issuers_document_says_is_in_its_profile() -> None:
    """What it does not say keeps the profile's default."""
    configuration = pack_configuration()
    issuer = "https://idp.nhse-syn.example"
    said = {**configuration.issuers[issuer], "algorithms": ["PS256"], "lifetime_s_max": 300}
    other = replace(configuration, issuers={**configuration.issuers, issuer: said})

    assert compiled(other).issuers[issuer].algorithms == {"PS256"}
    assert compiled(other).issuers[issuer].lifetime_s_max == 300
    assert not compiled(other).issuers[issuer].proof_required


def test_rules_can_be_compiled_without_addresses() -> None:
    """An offline policy test needs nobody's address; a snapshot does."""
    offline = read_directory(PACK)

    assert set(compile_rules(offline).services) == set(offline.services)
    with pytest.raises(SnapshotRefused) as refused:
        compiled(offline)
    assert len(refused.value.faults) == len(offline.services)


@pytest.mark.parametrize(
    "address",
    ["http://service.example", "http://127.0.0.1:9", "ftp://x.example", "https://u:p@x.example",
     "https://x.example/?a=b", "https://[", "https://x.example:port", "service.example",
     "https://x.example/a//b", "https://x.example/../b"],
)  # fmt: skip
def test_an_address_that_is_not_safe_is_refused(address: str) -> None:
    """Services are reached by TLS, at a plain address."""
    with pytest.raises(SnapshotRefused, match="nhse-spl"):
        compiled(with_service(pack_configuration(), base_url=address))


@pytest.mark.parametrize(
    "address",
    ["https://u:marker-secret@x.example", "https://marker-secret@x.example/a",
     "https://x.example/?key=marker-secret", "http://u:marker-/secret@x.example",
     "https://u:marker-secret@[", "//u:marker-secret@x.example", "https://x.example#marker-secret"],
)  # fmt: skip
def test_a_refused_address_is_told_without_the_secret_in_it(address: str) -> None:
    """What is refused is shown on a terminal, and stays in its history."""
    with pytest.raises(SnapshotRefused) as refused:
        compiled(with_service(pack_configuration(), base_url=address))

    assert "nhse-spl" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_kind_that_nobody_offers_is_refused_before_any_worker_meets_it() -> None:
    """A Snapshot that compiles can be adopted."""
    with pytest.raises(SnapshotRefused, match="carrier-pigeon"):
        compiled(with_service(pack_configuration(), kind="carrier-pigeon"))


@pytest.mark.parametrize("host", ["127.0.0.1:9", "[::1]:9", "localhost:9"])
def test_plain_http_is_for_loopback_and_only_where_told(host: str) -> None:
    """The demo may reach its own departments without TLS, and nobody else's."""
    local = with_service(pack_configuration(), base_url=f"http://{host}")

    assert compiled(local, allow_loopback=True).services["nhse-spl"].base_url == f"http://{host}"
    with pytest.raises(SnapshotRefused):
        compiled(with_service(local, base_url="http://10.0.0.1:9"), allow_loopback=True)


def test_every_place_of_a_service_is_judged() -> None:
    """The second address and a token endpoint are as safe as the first address, or refused."""
    plain = pack_configuration()
    service = dict(plain.services["nhse-spl"])
    del service["base_url"]
    base = replace(plain, services={**plain.services, "nhse-spl": service})
    good = with_service(base, base_urls=["https://a.example", "https://b.example"])
    reach = compiled(good).services["nhse-spl"].reach
    assert (reach.base_url, reach.further_urls) == ("https://a.example", ("https://b.example",))

    with pytest.raises(SnapshotRefused, match="not encrypted"):
        compiled(with_service(base, base_urls=["https://a.example", "http://b.example"]))
    token = {
        "kind": "oauth",
        "token_url": "http://issuer.example/token",
        "client_id": "concordat",
        "secret": "file:client",
    }
    with pytest.raises(SnapshotRefused, match=r"token_url: .* is not encrypted"):
        compiled(with_service(good, credentials=token))
    with pytest.raises(SnapshotRefused, match=r"service nhse-spl, credentials: 'secret' is miss"):
        compiled(with_service(good, credentials={"kind": "api-key", "header": "X-Key"}))


def test_every_fault_of_every_document_is_told() -> None:
    """Faults of an agreement do not hide those of a service."""
    with pytest.raises(SnapshotRefused) as refused:
        compiled(with_service(spoiled(pack_configuration()), base_url="ftp://x.example"))

    assert [fault.split(",")[0].split(":")[0] for fault in refused.value.faults] == [
        "agreement DSA-2020-0001",
        "service nhse-spl",
    ]


def test_the_last_snapshot_that_compiled_stays(registry_engine: Engine) -> None:
    """A configuration that does not compile changes nothing but the reason that is told."""
    registry = Registry(registry_engine)
    keeper = SnapshotKeeper(registry, compiled)
    good = pack_configuration()
    registry.apply(good, by="test")
    assert keeper.refresh()
    assert not keeper.refresh()
    first = keeper.current
    assert first is not None

    registry.apply(spoiled(good), by="test")
    assert not keeper.refresh()
    assert keeper.current is first
    assert keeper.refused is not None

    registry.apply(good, by="test")
    assert keeper.refresh()
    assert keeper.current is not None
    assert keeper.current.revision == 3
    assert keeper.refused is None


@pytest.mark.alone
def test_a_stop_is_seen_without_compiling(registry_engine: Engine) -> None:
    """What is stopped is on the list within a second, and gone from it when resumed."""
    registry = Registry(registry_engine)
    read = threading.Semaphore(0)
    reader = StopListReader(registry, on_read=read.release)
    assert reader.current.read_at_s == -math.inf
    reader.start()
    try:
        begun_s = monotonic_s()
        registry.stop(StopKind.CLIENT, "northvale-shielding-app", reason="lost key", by="test")
        while not reader.current.entries:
            assert read.acquire(timeout=EVENT_TIMEOUT_S)
        seen_s = monotonic_s()
    finally:
        reader.stop()

    assert reader.current.entries == {("client", "northvale-shielding-app")}
    assert reader.current.read_at_s <= seen_s
    assert seen_s - begun_s < 1


@pytest.mark.alone
def test_how_long_each_stop_took_is_told(registry_engine: Engine) -> None:
    """What was stopped before the reader began is not counted; each later stop is, once."""
    registry = Registry(registry_engine)
    registry.stop(StopKind.KEY, "old", reason="rolled", by="test")
    effects: list[int] = []
    told = threading.Semaphore(0)

    def tell(effect_us: int) -> None:
        effects.append(effect_us)
        told.release()

    reader = StopListReader(registry, on_effect=tell)
    reader.start()
    try:
        for key in ("k1", "k2"):
            registry.stop(StopKind.KEY, key, reason="lost", by="test")
            assert told.acquire(timeout=EVENT_TIMEOUT_S)
        registry.resume(StopKind.KEY, "k1")
    finally:
        reader.stop()

    assert len(effects) == 2
    assert all(0 <= effect_us < 1_000_000 for effect_us in effects)


def test_a_kind_of_stop_that_only_a_newer_version_knows_ends_nothing(
    registry_engine: Engine,
) -> None:
    """It is in force by its name, and so is what is stopped after it."""
    registry = Registry(registry_engine)
    reader = StopListReader(registry)
    reader.start()
    try:
        with registry._engine.begin() as connection:
            row = {"kind": "future", "key": "f", "reason": "", "stopped_by": "", "stopped_at_us": 0}
            connection.execute(insert(Stop).values(row))
        for expected in (("future", "f"), ("key", "k1")):
            deadline_s = monotonic_s() + EVENT_TIMEOUT_S
            while expected not in reader.current.entries and monotonic_s() < deadline_s:
                time.sleep(0.02)
            assert expected in reader.current.entries
            registry.stop(StopKind.KEY, "k1", reason="lost", by="test")
    finally:
        reader.stop()


class FailingSource:
    """A registry that answers once."""

    def __init__(self) -> None:
        """Begin with a good answer."""
        self.asked = threading.Semaphore(0)
        self._answers = [frozenset({("key", "k1")})]

    def stops(self) -> frozenset[tuple[str, str]]:
        """Answer once, then fail."""
        self.asked.release()
        if not self._answers:
            raise RegistryUnavailable("gone")
        return self._answers.pop()

    def stopped(self) -> tuple[Stopped, ...]:
        """Fail: it is asked when something is new, and nothing ever is."""
        raise AssertionError


def test_while_the_registry_is_gone_the_list_stays_and_ages() -> None:
    """Nothing is forgotten, and whoever decides can tell how old the list is."""
    source = FailingSource()
    reader = StopListReader(source)
    reader.start()
    first = reader.current
    for _ in range(3):
        assert source.asked.acquire(timeout=EVENT_TIMEOUT_S)
    reader.stop()

    assert first.entries == {("key", "k1")}
    assert reader.current is first


def test_recorded_decisions_are_part_of_the_snapshot() -> None:
    """What was decided case by case comes into force with everything else."""
    snapshot = compiled(pack_configuration())

    assert snapshot.forms["LER-2026-0001"].approved
    assert snapshot.forms["LER-2026-0001"].subject == {"uprn": "999000000501"}


def test_a_form_that_cannot_be_read_is_refused_by_its_name() -> None:
    """A snapshot with half a decision in it would refuse calls for no reason that anybody sees."""
    broken = replace(pack_configuration(), forms={"R-1": {"decision": {}}})

    with pytest.raises(SnapshotRefused) as refused:
        compiled(broken)
    assert all(fault.startswith("form R-1") for fault in refused.value.faults)
