"""An auditor's machine for tests: five files of ours, Python, `cryptography`, and nothing else."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
FIVE: Final = ("entry", "merkle", "tiles", "note", "verify")
"""The modules that an auditor needs (audit-log.md, section 2.14)."""
_CRYPTOGRAPHY: Final = ("cryptography", "_cffi_backend", "cffi")
"""The library, and what it stands on."""


@dataclass(frozen=True)
class Auditor:
    """A directory with the five files, where the verifier runs in an empty environment."""

    directory: Path

    def verify(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run ``python -m gateway.audit.verify`` with these words."""
        return subprocess.run(
            [sys._base_executable, "-S", "-m", "gateway.audit.verify", *map(str, words)],  # type: ignore[attr-defined]  # since Python 3.7
            cwd=self.directory, capture_output=True, text=True, timeout=60,
            env={"PYTHONPATH": str(self.directory / "site"), "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip


def new_auditor(directory: Path) -> Auditor:
    """Copy exactly five files to a directory, and lay the one library beside them."""
    audit = directory / "gateway" / "audit"
    audit.mkdir(parents=True)
    for name in FIVE:
        shutil.copy(ROOT / "gateway" / "audit" / f"{name}.py", audit)
    (directory / "site").mkdir()
    for name in _CRYPTOGRAPHY:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        where = Path(found.origin)
        where = where.parent if where.name == "__init__.py" else where
        (directory / "site" / where.name).symlink_to(where)
    return Auditor(directory)
