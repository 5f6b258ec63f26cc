"""A home whose gateway has carried out the whole of the packaged scenarios, made once a run."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from gateway.settings import Settings, load_settings

DEMO_S_MAX: Final = 280


@cache
def _played() -> Path:
    directory = mkdtemp(prefix="concordat-played-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    home = Path(directory) / "home"
    command = [sys.executable, "-m", "gateway", "demo", "--exit", "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEMO_S_MAX)
    assert done.returncode == 0, done.stderr
    return home


def played_home(directory: Path) -> Settings:
    """Return the settings of a copy of the played home, in a test's own directory."""
    home = directory / "played"
    shutil.copytree(_played(), home)
    return load_settings(home)
