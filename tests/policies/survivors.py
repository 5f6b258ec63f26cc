"""The mutants of the decision that no test can tell from the original, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SURVIVORS: Final[Mapping[str, str]] = {}
