"""Day keys that another keeper of keys wraps: a program that speaks to a KMS, an HSM or a vault.

A key is made here, wrapped there, and lies in the key directory as what came back. It is unwrapped
once a day by each process, in good time before the day begins, and never while an exchange waits.
"""

from __future__ import annotations

import base64
import binascii
import os
import select
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Protocol

from gateway.audit.entry import KEY_BYTES
from gateway.audit.keys.files import KeysUnavailable
from gateway.clock import monotonic_s

COMMAND_TIMEOUT_S: Final = 10.0
"""How long a program may take to wrap or unwrap one key."""
WRAPPED_BYTES_MAX: Final = 8 * 1024
"""The longest wrapped key; a KMS returns some hundred bytes."""
_SAID_BYTES_MAX: Final = WRAPPED_BYTES_MAX + 100
"""What is read of a program: a key, and the space around it."""


class KeyWrapper(Protocol):
    """What wraps day keys; `name` says which one, so that none can be passed off as another."""

    def wrap(self, name: str, key: bytes) -> bytes:
        """Return a key of 32 bytes wrapped, as printable ASCII; raises KeysUnavailable."""

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        """Return the key of what `wrap` returned for this name; raises KeysUnavailable."""


class CommandWrapper:
    """Wraps by a program of the operator's: ``PROGRAM wrap|unwrap NAME``.

    On its standard input it gets the key in base64, or what it had returned for it; on its
    standard output it returns the other of the two. It has the gateway's own environment.
    """

    def __init__(self, program: Path) -> None:
        """Use the program at this path."""
        self._program = program

    def wrap(self, name: str, key: bytes) -> bytes:
        """Have the program wrap a key; see KeyWrapper."""
        return self._run("wrap", name, base64.b64encode(key))

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        """Have the program unwrap a key; see KeyWrapper."""
        try:
            key = base64.b64decode(self._run("unwrap", name, wrapped), validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise KeysUnavailable(f"{self._program.name} did not return the key of {name}")
        return key

    def _run(self, verb: str, name: str, given: bytes) -> bytes:
        """Run the program; nothing that it writes is repeated, for it could be a key."""
        try:
            exit_code, said = _answer([str(self._program), verb, name], given + b"\n")
        except (OSError, subprocess.TimeoutExpired) as failure:
            failed = f"{self._program.name} {verb} {name} failed: {type(failure).__name__}"
            raise KeysUnavailable(failed) from None
        if exit_code != 0:
            failed = f"{self._program.name} {verb} {name} ended with exit code {exit_code}"
            raise KeysUnavailable(failed)
        answer = said.strip() if len(said) <= _SAID_BYTES_MAX else b""
        if not 0 < len(answer) <= WRAPPED_BYTES_MAX or not answer.isascii():
            raise KeysUnavailable(f"{self._program.name} {verb} {name} returned no key")
        return answer


def _answer(command: list[str], given: bytes) -> tuple[int, bytes]:
    """Return a program's exit code and what it says, of which no more is read than is needed.

    One that goes on beyond that, or for too long, is ended with all that it has started. Raises
    OSError, TimeoutError included, or TimeoutExpired.
    """
    until_s = monotonic_s() + COMMAND_TIMEOUT_S
    with subprocess.Popen(  # noqa: S603 - the operator's own program, by its full path
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as program:
        try:
            assert program.stdin is not None  # noqa: S101 - it was asked for
            assert program.stdout is not None  # noqa: S101 - it was asked for
            # A key fits into the pipe, whether it is read or not.
            with suppress(BrokenPipeError), program.stdin as pipe:
                pipe.write(given)
            said = _read(program.stdout, until_s)
            if len(said) > _SAID_BYTES_MAX:
                return 0, said
            return program.wait(max(until_s - monotonic_s(), 0)), said
        finally:
            if program.returncode is None:
                with suppress(OSError):
                    os.killpg(program.pid, signal.SIGKILL)


def _read(pipe: IO[bytes], until_s: float) -> bytes:
    """Read to the end, or until it is too much; raises TimeoutError."""
    ready, said = select.poll(), b""
    ready.register(pipe, select.POLLIN)
    while len(said) <= _SAID_BYTES_MAX:
        if not ready.poll(max(until_s - monotonic_s(), 0) * 1_000):
            raise TimeoutError
        piece = os.read(pipe.fileno(), _SAID_BYTES_MAX + 1 - len(said))
        if not piece:
            break
        said += piece
    return said
