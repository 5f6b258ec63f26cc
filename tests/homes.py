"""Homes of gateways for tests, with a registry and the packaged scenarios."""

from __future__ import annotations

from pathlib import Path

from gateway.database import open_engine, upgrade
from gateway.registry.configuration import Configuration, read_directory
from gateway.registry.documents import Overlay
from gateway.registry.store import Registry
from gateway.settings import Settings, load_settings
from tests.world import PACK

CONNECTORS = (
    "nhse-spl", "r9z-safeguarding", "exf-public-protection", "dwp-eligibility", "r9z-open",
    "r9z-fhir", "nv-housing",
)  # fmt: skip


def make_settings(home: Path) -> Settings:
    """Make a home with an empty registry."""
    settings = load_settings(home, organisation="ods:R9Z", public_base_url="https://gw.example")
    engine = open_engine(settings.database_url)
    upgrade(engine)
    engine.dispose()
    return settings


def apply_pack(settings: Settings, service_url: str) -> Configuration:
    """Apply the packaged scenarios, every service at one address."""
    overlay = Overlay(base_urls=dict.fromkeys(CONNECTORS, service_url))
    return apply(settings, read_directory(PACK, overlay=overlay))


def apply(settings: Settings, configuration: Configuration) -> Configuration:
    """Apply a configuration as it stands."""
    engine = open_engine(settings.database_url)
    Registry(engine).apply(configuration, by="tests")
    engine.dispose()
    return configuration
