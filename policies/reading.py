"""Strict reading of plain document values: every fault is noted with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, TypeVar

from policies.times import Duration

Pointer = tuple[str | int, ...]
"""Where a value stands in a document: the keys and positions that lead to it."""

T = TypeVar("T")

INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
NEAREST_WORD_RATIO: Final = 0.6
"""How alike two words must be for one to be offered in place of the other."""

_ABSENT: Final = object()
_NO_INSTANT: Final = datetime(1, 1, 1, tzinfo=UTC)
_NO_DAY: Final = date(1, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with a document: where, a stable code, and a sentence for its author."""

    pointer: Pointer
    code: str
    message: str


class DocumentInvalid(Exception):
    """A document that cannot be used; `faults` holds every fault found, in document order."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Keep the faults, and tell them in one line each."""
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{place(f.pointer)}: {f.message}" for f in self.faults))


def place(pointer: Pointer) -> str:
    """Return a pointer as people read it: ``access.rules[0].path``."""
    text = ""
    for step in pointer:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.lstrip(".") or "the document"


def nearest(word: str, words: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the closest of `words`, or nothing."""
    found = difflib.get_close_matches(word, sorted(words), n=1, cutoff=NEAREST_WORD_RATIO)
    return f"; did you mean {found[0]!r}?" if found else ""


class Section:
    """One object of a document. Reading a member notes its faults and returns a value of its type.

    The value returned for a faulty member is a stand-in: whoever reads a document must raise
    `DocumentInvalid` before using anything, if any fault was noted.
    """

    __slots__ = ("_members", "faults", "pointer")

    def __init__(
        self,
        value: object,
        pointer: Pointer,
        faults: list[Fault],
        *,
        required: Iterable[str] = (),
        optional: Iterable[str] = (),
    ) -> None:
        """Note a value that is no object, members it lacks, and members nobody knows."""
        self.pointer = pointer
        self.faults = faults
        self._members: Mapping[str, object] = {}
        if not isinstance(value, Mapping):
            self._fault((), "wrong-type", f"an object is expected, not {_kind(value)}")
            return
        self._members = value
        required, known = tuple(required), {*required, *optional}
        for key in value:
            if not isinstance(key, str) or key not in known:
                near = nearest(str(key), known)
                self._fault((str(key),), "unknown-key", f"{key!r} is not known here{near}")
        for key in required:
            if key not in value:
                self._fault((), "missing-key", f"{key!r} is missing")

    def given(self, name: str) -> bool:
        """Whether the member is there at all: null is not the same as left out."""
        return name in self._members

    def has(self, name: str) -> bool:
        """Whether the member is there and is not null."""
        return self._members.get(name) is not None

    def fault(self, name: str, code: str, message: str) -> None:
        """Note a fault of a member."""
        self._fault((name,), code, message)

    def text(self, name: str, *, pattern: re.Pattern[str] | None = None, chars_max: int = 0) -> str:
        """Read a text; `pattern` must match all of it; `chars_max` 0 means no bound."""
        found = self._typed(name, str, "a text")
        if found is None:
            return ""
        if pattern is not None and not pattern.fullmatch(found):
            self.fault(name, "malformed", f"{found!r} is not of the form that is asked for here")
        if chars_max and len(found) > chars_max:
            self.fault(name, "too-long", f"at most {chars_max} characters are taken")
        return found

    def optional_text(self, name: str) -> str | None:
        """Read a text that may be left out, but not be null."""
        return self.text(name) if name in self._members else None

    def nullable_text(self, name: str) -> str | None:
        """Read a text that may be left out or null."""
        return self.text(name) if self.has(name) else None

    def word(self, name: str, words: Iterable[str]) -> str:
        """Read one word of a closed list."""
        found = self._typed(name, str, "a text")
        self._closed((name,), found, words)
        return found or ""

    def texts(self, name: str, *, words: Iterable[str] | None = None) -> tuple[str, ...]:
        """Read a list of different texts, or () where it is left out; `words` closes the list."""
        if name not in self._members:
            return ()
        found: list[str] = []
        for position, item in enumerate(self._typed(name, list, "a list") or ()):
            if not isinstance(item, str):
                self._fault(
                    (name, position), "wrong-type", f"a text is expected, not {_kind(item)}"
                )
            elif item in found:
                self._fault((name, position), "duplicate", f"{item!r} is there twice")
            else:
                found.append(item)
                if words is not None:
                    self._closed((name, position), item, words)
        return tuple(found)

    def one_or_more(self, name: str) -> tuple[str, ...]:
        """Read a text, or a list of different texts."""
        if isinstance(self._members.get(name), str):
            return (self.text(name),)
        return self.texts(name)

    def integer(self, name: str, *, minimum: int) -> int:
        """Read a whole number of at least `minimum`."""
        found = self._typed(name, int, "a whole number")
        if found is not None and found < minimum:
            self.fault(name, "too-small", f"at least {minimum} is asked for")
        return found or 0

    def optional_integer(self, name: str, *, minimum: int) -> int | None:
        """Read a whole number that may be left out."""
        return self.integer(name, minimum=minimum) if name in self._members else None

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Read true or false; `default` stands where it is left out."""
        if name not in self._members:
            return default
        return bool(self._typed(name, bool, "true or false"))

    def instant(self, name: str) -> datetime:
        """Read an RFC 3339 instant that states its offset."""
        return self._parsed(name, _instant, "an instant with an offset") or _NO_INSTANT

    def nullable_instant(self, name: str) -> datetime | None:
        """Read an instant that may be left out or null."""
        return self.instant(name) if self.has(name) else None

    def day(self, name: str) -> date:
        """Read a date, ``YYYY-MM-DD``."""
        return self._parsed(name, _day, "a date, YYYY-MM-DD") or _NO_DAY

    def optional_day(self, name: str) -> date | None:
        """Read a date that may be left out."""
        return self.day(name) if name in self._members else None

    def duration(self, name: str) -> Duration:
        """Read an ISO 8601 duration."""
        return self._parsed(name, Duration.parse, "a duration such as P30D or PT1H") or Duration()

    def optional_duration(self, name: str) -> Duration | None:
        """Read a duration that may be left out."""
        return self.duration(name) if name in self._members else None

    def free(self, name: str) -> Mapping[str, object]:
        """Read an object whose members the schema leaves open; {} where it is left out."""
        if name not in self._members:
            return {}
        return dict(self._typed(name, dict, "an object") or {})

    def lists(self, name: str) -> Mapping[str, tuple[str, ...]]:
        """Read an object whose members are texts or lists of texts; {} where it is left out."""
        open_object = self.free(name)
        section = Section(open_object, (*self.pointer, name), self.faults, optional=open_object)
        return {key: section.one_or_more(key) for key in open_object}

    def section(
        self, name: str, *, required: Iterable[str] = (), optional: Iterable[str] = ()
    ) -> Section:
        """Read an object member."""
        value = self._members.get(name, {})
        pointer, faults = (*self.pointer, name), self.faults
        if name not in self._members:  # already noted as missing, or rightly left out
            return Section({}, pointer, [], required=required, optional=optional)
        return Section(value, pointer, faults, required=required, optional=optional)

    def sections(
        self, name: str, *, required: Iterable[str] = (), optional: Iterable[str] = ()
    ) -> list[Section]:
        """Read a list of objects."""
        items = self._typed(name, list, "a list") or []
        required, optional = tuple(required), tuple(optional)
        return [
            Section(
                item,
                (*self.pointer, name, position),
                self.faults,
                required=required,
                optional=optional,
            )
            for position, item in enumerate(items)
        ]

    def _typed(self, name: str, kind: type[T], called: str) -> T | None:
        """Return the member if it is of `kind`; one that is missing has been noted before."""
        value = self._members.get(name, _ABSENT)
        if value is _ABSENT:
            return None
        # bool is a subclass of int, yet `true` is no number.
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            return value
        self.fault(name, "wrong-type", f"{called} is expected, not {_kind(value)}")
        return None

    def _parsed(self, name: str, parse: Callable[[str], T], called: str) -> T | None:
        found = self._typed(name, str, "a text")
        if found is None:
            return None
        try:
            return parse(found)
        except (ValueError, OverflowError):
            self.fault(name, "malformed", f"{found!r} is not {called}")
            return None

    def _closed(self, steps: Pointer, found: str | None, words: Iterable[str]) -> None:
        if found is not None and found not in words:
            near = nearest(found, words)
            self._fault(steps, "not-one-of", f"{found!r} is not one of the words here{near}")

    def _fault(self, steps: Pointer, code: str, message: str) -> None:
        self.faults.append(Fault(pointer=(*self.pointer, *steps), code=code, message=message))


def _instant(text: str) -> datetime:
    if not INSTANT.fullmatch(text):
        raise ValueError(text)
    found = datetime.fromisoformat(text)
    found.astimezone(UTC)  # an instant that UTC cannot write is refused here, not at a decision
    return found


def _day(text: str) -> date:
    if not DAY.fullmatch(text):
        raise ValueError(text)
    return date.fromisoformat(text)


def _kind(value: object) -> str:
    names = {type(None): "nothing", bool: "true or false", str: "a text", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else "a number")
