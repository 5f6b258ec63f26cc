"""Where the body of a request ends: decoders for a known length and for chunks."""

from __future__ import annotations

import re
from typing import Final, Protocol

from gateway.exchange.front.heads import CRLF

CHUNK_LINE_BYTES_MAX: Final = 1024
"""The longest line between chunks: a size with its extensions, or one trailer field."""
TRAILER_BYTES_MAX: Final = 8 * 1024
"""All trailer fields together; they are checked for syntax and thrown away."""

_SIZE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,8})"
    rb"(?:;[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
    rb"(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++|\"(?:[ !#-\[\]-~]|\\[ -~])*+\"))?)*+"
)
"""A chunk's first line (RFC 9112, section 7.1): the size, and extensions that are ignored."""
_TRAILER: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[ -~]*+")


class FramingFault(Exception):
    """The body breaks its framing, so that nothing after it on the connection can be trusted."""


class Decoder(Protocol):
    """Finds the content of one body in the octets of a connection."""

    complete: bool
    """The end has been seen."""
    rest: bytes
    """What came after the end; empty before it."""

    def decode(self, received: bytes) -> list[bytes]:
        """Return the pieces of content in `received`; raises `FramingFault`."""


class LengthDecoder:
    """A body of a known number of octets (RFC 9112, section 6.2)."""

    def __init__(self, length: int) -> None:
        """Expect `length` octets, at least one."""
        self.complete = False
        self.rest = b""
        self.due_bytes = length

    def decode(self, received: bytes) -> list[bytes]:
        """Return the octets that belong to the body."""
        piece = received[: self.due_bytes]
        self.due_bytes -= len(piece)
        if not self.due_bytes:
            self.complete = True
            self.rest = received[len(piece) :]
        return [piece]


class ChunkedDecoder:
    """A body in chunks (RFC 9112, section 7.1).

    Trailer fields go nowhere: section 7.1.2 lets a recipient discard them, and a caller must not
    be able to add a header field after the head has been judged (H-01).
    """

    def __init__(self) -> None:
        """Expect the first chunk's size."""
        self.complete = False
        self.rest = b""
        self._partial = b""
        self._due_bytes = 0
        self._read_line = self._size
        self._trailer_bytes = 0

    def decode(self, received: bytes) -> list[bytes]:
        """Return the pieces of content in `received`, any number of chunks' worth.

        Raises:
            FramingFault: a size, a chunk's end or a trailer field breaks the grammar or a limit.
        """
        received = self._partial + received
        pieces = []
        at = 0
        while not self.complete:
            if self._due_bytes:
                piece = received[at : at + self._due_bytes]
                if not piece:
                    break
                pieces.append(piece)
                at += len(piece)
                self._due_bytes -= len(piece)
                continue
            end = received.find(CRLF, at)
            line_bytes = (end if end >= 0 else len(received) - 1) - at
            if line_bytes > CHUNK_LINE_BYTES_MAX:
                raise FramingFault
            if end < 0:
                break
            self._read_line(received[at:end])
            at = end + len(CRLF)
        self._partial = b"" if self.complete else received[at:]
        self.rest = received[at:] if self.complete else b""
        return pieces

    def _size(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise FramingFault
        self._due_bytes = int(match[1], 16)
        self._read_line = self._chunk_end if self._due_bytes else self._trailer

    def _chunk_end(self, line: bytes) -> None:
        if line:
            raise FramingFault
        self._read_line = self._size

    def _trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if not line:
            self.complete = True
        elif self._trailer_bytes > TRAILER_BYTES_MAX or not _TRAILER.fullmatch(line):
            raise FramingFault
