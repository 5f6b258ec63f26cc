"""Sections whose canonical bytes are written around the few values in which they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import orjson

from gateway.audit.entry import INTEGER_MAX, SECTION_BYTES_MAX, EntryInvalid, canonical


class WrittenSection(Mapping[str, object]):
    """A section that exists as its canonical bytes; its members are read from those when asked."""

    __slots__ = ("_body", "_members")

    def __init__(self, body: bytes) -> None:
        """Stand for `body`, which is what `entry.canonical` would return."""
        self._body = body
        self._members: dict[str, object] | None = None

    def body(self) -> bytes:
        """Return the canonical bytes."""
        return self._body

    def __getitem__(self, name: str) -> object:
        """Return a member; raises KeyError."""
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the members."""
        return iter(self._read())

    def __len__(self) -> int:
        """Return the number of members."""
        return len(self._read())

    def _read(self) -> dict[str, object]:
        if self._members is None:
            self._members = orjson.loads(self._body)
        return self._members


class SectionForm:
    """Writes sections that have the same members and differ in some numbers and texts only.

    The members' order and all that is constant are settled once (RFC 8785, section 3.2.3), so that
    a record costs one formatting of bytes in place of a dict, a sort and an encoder.
    """

    __slots__ = ("_template",)

    def __init__(
        self, constant: Mapping[str, object], *, numbers: tuple[str, ...], texts: tuple[str, ...]
    ) -> None:
        """Take what never changes, and the names of the members that `fill` is given.

        Raises EntryInvalid for a constant that no section may hold.
        """
        pieces = {name: _literal(canonical({name: value})) for name, value in constant.items()}
        pieces |= {name: _literal(canonical({name: 0}))[:-1] + b"%d" for name in numbers}
        pieces |= {name: _literal(canonical({name: ""}))[:-1] + b'%b"' for name in texts}
        self._template: Final = b"{%b}" % b",".join(pieces[name] for name in sorted(pieces))

    def fill(self, *values: int | bytes) -> WrittenSection:
        """Return the section with these values, in the alphabetical order of their names.

        A text is ASCII that JSON writes as it stands: hexadecimal digits or base64. Raises
        EntryInvalid for a number that not every JSON implementation can hold, or a long section.
        """
        body = self._template % values
        if len(body) > SECTION_BYTES_MAX:
            raise EntryInvalid(f"a section is longer than {SECTION_BYTES_MAX} bytes")
        for value in values:
            if type(value) is int and not -INTEGER_MAX <= value <= INTEGER_MAX:
                raise EntryInvalid("a section holds an integer beyond 2^53-1")
        return WrittenSection(body)


def _literal(member: bytes) -> bytes:
    """Return a member without the braces of its object, for a template of ``%`` formatting."""
    return member[1:-1].replace(b"%", b"%%")
