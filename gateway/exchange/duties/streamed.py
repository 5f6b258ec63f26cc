"""What duties on an answer in pieces are: how they take it, and that they may find it unfit."""

from __future__ import annotations

from typing import Protocol

from gateway.exchange.duties.applied import Applied, Shape, Withheld


class Unfit(Exception):
    """From here on nothing of the answer may leave; what has left before was fit."""

    def __init__(self, withheld: Withheld) -> None:
        """Say why nothing may leave."""
        super().__init__(withheld.detail)
        self.withheld = withheld


class StreamedDuties(Protocol):
    """Duties that need not see the whole answer."""

    def feed(self, piece: bytes) -> bytes:
        """Return what may leave after `piece`, which may be nothing; raises `Unfit`."""

    def finish(self) -> bytes:
        """Return what may leave after the end of the answer; raises `Unfit`."""

    def applied(self) -> Applied:
        """Return what the record says about the answer so far; the body is not in it."""


class NoDuties:
    """The answer passes as it is: no duty has to read it."""

    def __init__(self, shape: Shape) -> None:
        """Record the people whom the request names."""
        self._known = shape.known_subjects

    def feed(self, piece: bytes) -> bytes:
        """Return the piece."""
        return piece

    def finish(self) -> bytes:
        """Return nothing."""
        return b""

    def applied(self) -> Applied:
        """Return what the request says."""
        return Applied(body=b"", subjects=self._known, subjects_counted=len(self._known))
