"""The people in an answer, as its record names them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from gateway.audit.merkle import HASH_BYTES, leaf_hash, root_of

SUBJECT_BYTES_RECORDED_MAX: Final = 60 * 1024
"""Bytes of person identifiers kept in one record: 4,700 NHS numbers. Its count tells all."""

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPeople:
    """`ids` are as many identifiers as one record holds, in their order; `root` is of them all."""

    ids: tuple[str, ...]
    root: Annotated[bytes, msgspec.Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]


def name_people(people: frozenset[str]) -> NamedPeople:
    """Return what a record says of an answer's `people`; it takes seconds for a million.

    The root is that of the RFC 6962 tree of their identifiers' bytes in order, so that whether
    somebody was among them can be proved of an answer with more people than a record names.
    """
    in_order = sorted(people)
    root = root_of([leaf_hash(identifier.encode()) for identifier in in_order])
    return NamedPeople(ids=as_many_as_fit(in_order), root=root)


def as_many_as_fit(identifiers: Iterable[str]) -> tuple[str, ...]:
    """Return as many of the `identifiers` as a record's section holds, from the first on."""
    kept: list[str] = []
    room = SUBJECT_BYTES_RECORDED_MAX
    for identifier in identifiers:
        room -= len(_encode(identifier)) + 1
        if room < 0:
            break
        kept.append(identifier)
    return tuple(kept)
