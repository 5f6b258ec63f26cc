"""Another keeper of keys for tests: a program with a master key of its own, which can be down."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

_PROGRAM: Final = """#!{python}
import base64, pathlib, sys
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

here = pathlib.Path(__file__).parent
verb, name = sys.argv[1:]
with (here / "calls").open("a") as calls:
    calls.write(f"{{verb}} {{name}}\\n")
if (here / "down").exists():
    sys.exit("the keeper is down")
given = base64.b64decode(sys.stdin.buffer.read())
cipher, nonce = AESGCM(bytes(32)), bytes(12)
answer = (cipher.encrypt if verb == "wrap" else cipher.decrypt)(nonce, given, name.encode())
print(base64.b64encode(answer).decode())
"""


class Keeper:
    """A program that wraps keys, with its switch."""

    def __init__(self, directory: Path) -> None:
        """Write the program in a directory of its own."""
        self._directory = directory / "keeper"
        self._directory.mkdir()
        self.program = self._directory / "keeper"
        self.program.write_text(_PROGRAM.format(python=sys.executable))
        self.program.chmod(0o700)

    def go_down(self) -> None:
        """Answer nothing from now on."""
        (self._directory / "down").touch()

    def come_up(self) -> None:
        """Answer again."""
        (self._directory / "down").unlink()

    def calls(self) -> list[str]:
        """Return what was asked of it, as verb and name."""
        path = self._directory / "calls"
        return path.read_text().splitlines() if path.exists() else []
