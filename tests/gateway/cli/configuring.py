"""A configuration as a folder, and a home that has it, for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

from gateway.cli.configuration import apply_directory
from gateway.registry.documents import Configuration
from gateway.registry.export import export
from gateway.settings import Settings
from tests.configured import pack_configuration


def write_folder(directory: Path, configuration: Configuration | None = None) -> Path:
    """Write a configuration, or that of the packaged scenarios, as a folder to apply."""
    for path, content in export(configuration or pack_configuration()):
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(content)
    return directory


def configure(settings: Settings, configuration: Configuration | None = None) -> None:
    """Apply a configuration, or that of the packaged scenarios, to a home."""
    apply_directory(configuration or pack_configuration(), settings)
