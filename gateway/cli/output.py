"""The only place that prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PIPE_COLUMNS: Final = 120
"""Width of tables where there is no terminal to ask."""


class Exit(IntEnum):
    """Exit codes of every command [contract]."""

    OK = 0
    FAILED = 1
    UNUSABLE = 2


class Stop(Exception):
    """A command that cannot go on: what happened, and the line that mends it."""

    def __init__(self, message: str, *, mend: str = "", code: Exit = Exit.UNUSABLE) -> None:
        """`code` is UNUSABLE where nothing can be told, as of a name that nothing has.

        It is FAILED where something was looked at and found wrong.
        """
        super().__init__(message)
        self.mend: Final = mend
        self.code: Final = code


def console(*, errors: bool = False) -> Console:
    """Return a rich console; colours only on a terminal, and not where NO_COLOR is set.

    Texts are shown as they are: in a name that somebody chose, ``[/x]`` and ``:ox:`` mean nothing.
    """
    from rich.console import Console

    stream = sys.stderr if errors else sys.stdout
    width = None if stream.isatty() else PIPE_COLUMNS
    return Console(
        stderr=errors, width=width, highlight=False, soft_wrap=False, markup=False, emoji=False
    )


def show(*renderables: RenderableType) -> None:
    """Show tables and texts to a person."""
    target = console()
    for renderable in renderables:
        # A line of text is never broken: it may be a command to copy.
        target.print(renderable, soft_wrap=isinstance(renderable, str))


def line(text: str = "") -> None:
    """Write one plain line of a result."""
    print(text)  # noqa: T201 - this module is where commands speak


def amount(count: int, noun: str, several: str = "") -> str:
    """Return a number and what it is of, in the number that grammar asks; "s" makes several."""
    return f"{count} {noun if count == 1 else several or f'{noun}s'}"


def show_json(value: Mapping[str, object] | list[object]) -> None:
    """Write one JSON value for programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201 - as above


def write_bytes(content: bytes) -> None:
    """Write an answer's body as it came."""
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def tell(text: str) -> None:
    """Tell a person something that is not the result."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - as above


def complain(stop: Stop) -> NoReturn:
    """Say why the command stops and how to mend it, then end with its exit code."""
    tell(f"concordat: {stop}")
    if stop.mend:
        tell(f"  To mend it: {stop.mend}")
    raise SystemExit(int(stop.code))
