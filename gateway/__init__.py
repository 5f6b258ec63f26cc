"""Concordat: a federated data-exchange API gateway."""

from typing import Final

__version__: Final = "0.1.0"
