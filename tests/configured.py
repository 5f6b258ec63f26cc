"""Builders for tests: the built-in pack as a configuration, and a registry on a real file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.database import open_engine, upgrade
from gateway.registry.configuration import Configuration, Overlay, read_directory
from gateway.registry.store import Registry

PACK: Final = Path(__file__).parents[1] / "gateway" / "demo" / "pack"
CONNECTORS: Final = (
    "nhse-spl",
    "r9z-safeguarding",
    "exf-public-protection",
    "dwp-eligibility",
    "r9z-open",
    "r9z-fhir",
    "nv-housing",
)
OVERLAY: Final = Overlay(base_urls=dict.fromkeys(CONNECTORS, "https://service.example"))


def pack_configuration() -> Configuration:
    """Return the built-in pack with an address for each service."""
    return read_directory(PACK, overlay=OVERLAY)


def open_registry(directory: Path) -> Registry:
    """Return a registry with an empty, up-to-date database in `directory`."""
    engine = open_engine(sqlite_url(directory))
    upgrade(engine)
    return Registry(engine)


def sqlite_url(directory: Path) -> str:
    """Return the URL of a registry's file in `directory`."""
    return f"sqlite+pysqlite:///{directory / 'registry.db'}"


def postgresql_url(url: str) -> str:
    """Return the URL of a PostgreSQL database as the settings take it."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)
